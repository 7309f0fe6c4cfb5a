"""A gateway that is a Linux machine: its units, what it must have, what it said of itself."""
