"""What parser.py relies on in aiohttp 3.14.x; a failure here means: read its new source first."""

import asyncio

import aiohttp
import pytest

from proxy.parser import Malformed, RequestParser


def parser(head_bytes: int = 65536) -> RequestParser:
    return RequestParser(asyncio.new_event_loop(), head_bytes)


HEAD = b"POST /a HTTP/1.1\r\nHost: x\r\n"


def test_version_is_the_one_that_was_read() -> None:
    """Private interfaces change between minor versions."""
    assert aiohttp.__version__.startswith("3.14.")


def test_one_message_at_a_time_and_the_rest_waits() -> None:
    """What follows a message is not read before the next call."""
    one = parser()
    first = one.head(HEAD + b"Content-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /c")

    assert first
    assert (first.path, one.body(), one.complete) == ("/a", b"hi", True)
    second = one.head(b"")
    assert second
    assert (second.path, one.body(), one.complete) == ("/b", b"", True)
    assert one.head(b"") is None
    third = one.head(b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert third
    assert third.path == "/c"


def test_body_comes_in_pieces_without_framing() -> None:
    """And says when it is complete."""
    one = parser()
    assert one.head(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab")
    assert (one.body(), one.complete) == (b"ab", False)
    assert (one.body(b"c\r\n2;x=y\r\nde\r\n"), one.complete) == (b"cde", False)
    assert (one.body(b"0\r\n\r\n"), one.complete) == (b"", True)


def test_large_body_is_not_paused_for() -> None:
    """The limit at which aiohttp would pause is never reached."""
    one = parser()
    assert one.head(HEAD + b"Content-Length: 50000000\r\n\r\n")
    for _ in range(50):
        assert len(one.body(b"x" * 1_000_000)) == 1_000_000
    assert one.complete


def test_raw_headers_are_as_sent() -> None:
    """Order, repetition and spelling."""
    head = parser().head(HEAD + b"X-a: 1\r\nx-A:  2 \r\n\r\n")

    assert head
    assert list(head.raw_headers) == [(b"Host", b"x"), (b"X-a", b"1"), (b"x-A", b"2")]


def test_trailers_become_headers_of_the_next_request() -> None:
    """A fault of 3.14.5, because of which no request is read behind a chunked one. When this test
    fails it is mended, and `ClientConnection._begin` need not close any more."""
    one = parser()
    assert one.head(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Api-Key: k\r\n\r\n")
    second = one.head(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")

    assert second
    assert "X-Api-Key" in second.headers


@pytest.mark.parametrize(
    ("head", "large"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n", True),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n", True),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 200 + b"\r\n", False),
        (b"GET / HTTP/1.1\r\n\r\n", False),
        (b"GET / HTTP/1.1\nHost: x\n\n", False),
        (b"NONSENSE / HTTP/1.1\r\n", False),
        (b"\x16\x03\x01\x02\x00", False),
        (b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", False),
    ],
)
def test_malformed_head_is_said_to_be_so(head: bytes, large: bool) -> None:
    """And whether it was only too large."""
    with pytest.raises(Malformed) as caught:
        parser().head(head)

    assert caught.value.large is large


def test_head_that_never_ends_is_too_large() -> None:
    """However small its lines and pieces are."""
    one = parser(head_bytes=1000)
    assert one.head(b"GET / HTTP/1.1\r\n") is None
    assert one.head_bytes
    lines = [b"X: aaa\r\n"] * 200
    with pytest.raises(Malformed) as caught:
        list(map(one.head, lines))

    assert caught.value.large
