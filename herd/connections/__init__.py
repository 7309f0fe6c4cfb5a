"""pyinfra's connections: what happens before and upon one, and those that the verbs use."""
