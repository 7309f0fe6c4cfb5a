"""Errors of llama-swap's: small ones are held back whole, to be told in the client's dialect.

Whatever is no small text, or of another status, is never held back.
"""

from proxy.http.response_head import AnswerHead, Framing

LONGEST = 16384
_KINDS = (b"application/json", b"text/plain", b"text/html")


class HeldError:
    """An error as it comes."""

    __slots__ = ("content", "head", "raw")

    def __init__(self, head: AnswerHead) -> None:
        self.head = head
        self.raw = b""  # with llama-swap's framing
        self.content = b""

    def take(self, raw: bytes, content: bytes, done: bool) -> bool:
        """A piece of it; whether it is whole, or too long to wait for the rest."""
        self.raw += raw
        self.content += content
        return done or len(self.content) > LONGEST

    def head_for(self, body: bytes) -> AnswerHead:
        """The head for another body, of JSON."""
        head = self.head
        dropped = (b"content-length", b"content-type")
        head.lines = [line for line in head.lines if line.partition(b":")[0].lower() not in dropped]
        head.lines += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
        head.framing = Framing.LENGTH
        return head


def held(head: AnswerHead) -> HeldError | None:
    """A place for this answer, if it is an error to be held back."""
    if head.framing is Framing.NONE or head.length > LONGEST:
        return None
    if not head.content_type.startswith(_KINDS):
        return None
    if head.says(b"content-encoding"):
        return None
    return HeldError(head)
