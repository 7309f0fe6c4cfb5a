"""What the workstation has and asks: keys, a certificate, models.lock, the Hub, an endpoint."""
