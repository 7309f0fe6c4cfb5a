"""Whether an event stream that ended properly was cut behind llama-swap; and how whole ones end.

llama-swap ends a stream like any other when the llama-server behind it is killed, as in a reload.
Pure.
"""

from collections.abc import Iterable

from proxy.exchange import Ending

# An error is an ending too: llama-server says no more behind it.
_ERROR = (b'data: {"error"', b"event: error", b"error: {")
# Some servers leave out [DONE] (ik_llama.cpp does), but not why they finished: null until then.
_OPENAI = (b"[DONE]", b'"finish_reason":"', b'"finish_reason": "', *_ERROR)

CHAT = (Ending(shapes=(b'"chat.completion.chunk"',), last=_OPENAI),)
COMPLETION = (Ending(shapes=(b'"text_completion"',), last=_OPENAI),)
RESPONSE = (
    Ending(
        shapes=(b"event: response.", b'"type":"response.', b'"type": "response.'),
        last=(b"response.completed", b"response.incomplete", b"response.failed", *_ERROR),
    ),
)
MESSAGE = (
    Ending(
        shapes=(b'"message_start"', b'"content_block_', b'"message_delta"', b"event: ping"),
        last=(b"message_stop", *_ERROR),
    ),
)


def is_told(end: bytes, endings: Iterable[Ending]) -> bool:
    """Whether this end of a stream has what is near the end of every whole one."""
    return any(
        any(shape in end for shape in ending.shapes) and any(last in end for last in ending.last)
        for ending in endings
    )


def is_cut(end: bytes, endings: Iterable[Ending]) -> bool:
    """Whether this end of a stream is none.

    Only a stream of a known shape can lack its ending; what else a server may send under a route
    is its own business. But nothing but comments is no answer of anyone.
    """
    for ending in endings:
        if any(shape in end for shape in ending.shapes):
            return not any(last in end for last in ending.last)
    return end.startswith(b":") and all(line[:1] in (b"", b":") for line in end.splitlines())
