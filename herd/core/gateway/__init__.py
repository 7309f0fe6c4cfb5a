"""Many Macs as one service: what HAProxy is told of them, as plain data."""
