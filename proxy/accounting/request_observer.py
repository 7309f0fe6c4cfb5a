"""A request as the books see it: how many bytes went up, and that its answer will tell something.

llama-server's own `/completion` answers with just those of its fields that `response_fields` names.
Where nothing told what was made, nothing could be charged: such a request is refused.
"""

from proxy.accounting.json_skimmer import Skimmer

_PATHS = frozenset(("/completion", "/infill"))
_FIELDS = frozenset((b"response_fields",))
_TELLING = frozenset(("timings", "content"))

MESSAGE = (
    "response_fields must name timings or content here: without them an answer would not tell "
    "what it cost. Add timings to response_fields, or leave the field out."
)


class Asked:
    """The body of one request."""

    __slots__ = ("_skimmer", "at", "size")

    def __init__(self, path: str) -> None:
        self.size = 0
        self.at: float | None = None
        """When it was complete."""
        self._skimmer = Skimmer(_FIELDS) if path in _PATHS else None

    def feed(self, data: bytes, *, complete: bool) -> str:
        """Before this piece goes up; why it must not, or an empty text."""
        self.size += len(data)
        if self._skimmer is None:
            return ""
        self._skimmer.feed(data, final=complete)
        for found in self._skimmer.found:
            if "response_fields" in found and not _tells(found["response_fields"]):
                return MESSAGE
        return ""


def _tells(fields: object) -> bool:
    """No fields are all of them."""
    if not isinstance(fields, list):
        return False
    return not fields or any(isinstance(one, str) and one in _TELLING for one in fields)
