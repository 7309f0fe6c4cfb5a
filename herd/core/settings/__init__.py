"""Settings of hosts: their schema, which layer wins, what is checked, how problems are told."""
