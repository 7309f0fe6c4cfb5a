"""What ends a model's way, but not that of the others."""


class Failure(Exception):
    """A model cannot be made whole; the text is for a person and has no secret."""
