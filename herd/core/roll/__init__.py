"""A change that goes from Mac to Mac, as plain data: in which order, and how many at a time."""
