"""What HTTP says (RFC 9110, 9112): heads, framing, media types, codings, ranges. Pure.

Imports `exchange` and `limits` only.
"""
