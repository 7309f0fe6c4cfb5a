"""Text: quoted for where it goes, harmless in a terminal, secret, sizes for people."""
