"""What a herd does right now, from what its Macs say of it twice."""
