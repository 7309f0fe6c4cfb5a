"""Event streams that were cut, told from whole ones by what is at their end."""

import pytest

from proxy.exchange import Ending
from proxy.http.event_stream import CHAT, COMPLETION, MESSAGE, RESPONSE, is_cut
from proxy.policy.routes import route_of

CHUNK = (
    b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"[x]"}}],'
    b'"object":"chat.completion.chunk"}\n\n'
)
TEXT = b'data: {"choices":[{"finish_reason":null,"text":"x"}],"object":"text_completion"}\n\n'
BLOCK = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0}\n\n'
DELTA = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta"}\n\n'
ERROR = b'data: {"error":{"code":500,"message":"context"}}\n\n'


@pytest.mark.parametrize(
    ("endings", "event", "last"),
    [
        (CHAT, CHUNK, b"data: [DONE]\n\n"),
        (CHAT, CHUNK, CHUNK.replace(b"null", b'"stop"')),
        (COMPLETION, TEXT, b"data: [DONE]\n\n"),
        (COMPLETION, TEXT, TEXT.replace(b"null", b'"length"')),
        (MESSAGE, BLOCK, b'event: message_stop\ndata: {"type":"message_stop"}\n\n'),
        (MESSAGE, BLOCK, b'event: error\ndata: {"type":"error","error":{"type":"api_error"}}\n\n'),
        (RESPONSE, DELTA, b'event: response.completed\ndata: {"type":"response.completed"}\n\n'),
        (RESPONSE, DELTA, ERROR),
        (CHAT, CHUNK, ERROR),
    ],
)
def test_stream_of_a_known_shape_needs_its_ending(
    endings: tuple[Ending, ...], event: bytes, last: bytes
) -> None:
    """An error is one; so is the reason why the model finished."""
    assert is_cut(event * 3, endings)
    assert is_cut(event + event[:20], endings)
    assert is_cut(event + b": ping\n\n" * 3, endings)
    assert not is_cut(event * 3 + last, endings)


@pytest.mark.parametrize("endings", [CHAT, COMPLETION, MESSAGE, RESPONSE])
@pytest.mark.parametrize("stream", [b"", b"data: 1\n\ndata: 2\n\n", b'data: {"token": "x"}\n\n'])
def test_stream_of_another_shape_may_end_as_it_likes(
    endings: tuple[Ending, ...], stream: bytes
) -> None:
    """Whatever serves it knows another API."""
    assert not is_cut(stream, endings)


def test_stream_of_comments_only_is_no_answer() -> None:
    """llama-server died while it read the prompt."""
    assert is_cut(b": ping\n\n: ping\n\n", CHAT)
    assert is_cut(b":\n\n", MESSAGE)
    assert not is_cut(b": ping\n\ndata: 1\n\n", CHAT)


@pytest.mark.parametrize(
    ("path", "endings"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v/completions", COMPLETION),
        ("/v1/responses", RESPONSE),
        ("/v/messages", MESSAGE),
        ("/v1/embeddings", ()),
    ],
)
def test_each_route_has_the_endings_of_its_api(path: str, endings: tuple[Ending, ...]) -> None:
    """With and without the version."""
    route = route_of("POST", path)
    assert route is not None
    assert route.forward.endings == endings
