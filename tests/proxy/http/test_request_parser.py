"""What the request parser relies on in aiohttp 3.14.x; if one fails, read the new source."""

import asyncio

import aiohttp
import pytest

from proxy.http.malformed_head import Malformed
from proxy.http.request_parser import RequestParser


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


COMMON = b"GET / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("head", "status", "words"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n", 431, "A header has more than"),
        (COMMON + b"Authorization: Bearer " + b"k" * 8200, 431, "A header has more than"),
        (COMMON + b"y" * 9000 + b": x\r\n", 431, "A header has more than"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n", 414, "target has more than 8190"),
        (b"GET /?" + b"a" * 9000, 414, "target has more than 8190"),
        (COMMON + b"X: a\r\n" * 130 + b"\r\n", 431, "more than 128 headers"),
        (COMMON + b"".join(b"X-%d: a\r\n" % n for n in range(500)), 431, "128 headers"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Exactly one Host"),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400, "CR LF"),
        (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501, "method"),
        (b"get / HTTP/1.1\r\n", 501, "method"),
        (b"NONSENSE", 400, "not HTTP"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", 400, "not HTTP"),
        (b"\x16\x03\x01\x02\x00", 400, "not HTTPS"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1"),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, "HTTP/1.1"),
        (b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505, "HTTP/1.1"),
        (b"GET / HTTP/3\r\n", 505, "HTTP/1.1"),
        (b"GET /\r\n\r\n", 505, "HTTP/1.1"),
        (b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", 400, "target"),
        (b"GET /\xe9 HTTP/1.1\r\n", 400, "percent-encoded"),
        (COMMON + b"Host: y\r\n\r\n", 400, "Host came twice"),
        (COMMON + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "came twice"),
        (COMMON + b"Content-Length: -1\r\n\r\n", 400, "not a number"),
        (COMMON + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400, "exclude each"),
        (COMMON + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", 400, "exclude each"),
        (COMMON + b"Transfer-Encoding: gzip\r\n\r\n", 400, "chunked"),
        (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "chunked"),
        (COMMON + b" folded: x\r\n", 400, "header line"),
        (COMMON + b"Authorization : Bearer k\r\n", 400, "header line"),
        (COMMON + b"X: a\x00b\r\n", 400, "header line"),
    ],
)  # fmt: skip
def test_malformed_head_has_its_status_and_its_reason(head: bytes, status: int, words: str) -> None:
    """Whole or byte for byte; nothing of it is quoted."""
    with pytest.raises(Malformed) as caught:
        parser().head(head)

    assert caught.value.status == status
    assert words in caught.value.message
    assert b"Bearer" not in caught.value.message.encode()
    one = parser()
    with pytest.raises(Malformed) as in_pieces:
        list(map(one.head, [head[at : at + 100] for at in range(0, len(head), 100)]))
    assert in_pieces.value.status == status


@pytest.mark.parametrize(
    "trailers",
    [b"Host: a\r\nHost: b", b"content-type: a\r\nContent-Type: b", b"Content-Length: 3",
     b"Content-Length: 3\r\nContent-Length: 4"],
)  # fmt: skip
def test_what_is_wrong_behind_the_body_is_not_said_of_the_head(trailers: bytes) -> None:
    """Which had one of each, or none."""
    chunks = b"1\r\na\r\n0\r\n" + trailers + b"\r\n\r\n"
    with pytest.raises(Malformed) as caught:
        parser().head(HEAD + b"Content-Type: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)

    assert caught.value.status == 400
    assert "trailers" in caught.value.message


def test_whether_only_a_head_was_asked_for_is_known_before_all_of_it_is_there() -> None:
    """The answer to a malformed one has no body, either."""
    for method, asks in ((b"HEAD", True), (b"GET", False)):
        one = parser()
        assert one.head(method + b" / HTTP/1.1\r\n") is None
        assert one.asks_for_head is asks


@pytest.mark.parametrize("protocol", [b"websocket", b"WebSocket", b"h2c", b"TLS/1.0", b"a, b"])
def test_offer_to_upgrade_leaves_the_parser_usable(protocol: bytes) -> None:
    """Behind the offer comes the next request, as nothing was switched to."""
    one = parser()
    for _ in range(3):
        head = one.head(COMMON + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n")
        assert head
        assert head.upgrade
        assert (one.body(), one.complete, one.rest) == (b"", True, False)
        plain = one.head(HEAD + b"Content-Length: 2\r\n\r\nhi")
        assert plain
        assert not plain.upgrade
        assert (one.body(), one.complete) == (b"hi", True)


def test_what_comes_behind_an_offer_to_upgrade_is_known_to_be_there() -> None:
    """It is lost, so the connection has to end."""
    one = parser()
    offer = COMMON + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert one.head(offer + b"GET /lost")
    one.body()
    assert one.rest


def test_head_that_never_ends_is_too_large() -> None:
    """However small its lines and pieces are."""
    one = parser(head_bytes=1000)
    assert one.head(b"GET / HTTP/1.1\r\n") is None
    assert one.head_bytes
    lines = [b"X: aaa\r\n"] * 200
    with pytest.raises(Malformed) as caught:
        list(map(one.head, lines))

    assert (caught.value.status, caught.value.code) == (431, "head_too_large")


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_head_that_comes_at_once_has_the_same_bound(pieces: int) -> None:
    """And what comes behind it is no part of it."""
    lines = b"X: aaa\r\n" * 100
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n"
    for most, fits in ((len(whole), True), (len(whole) - 50, False)):
        one = parser(head_bytes=most)
        parts = [whole[: -2 * (pieces - 1) or None], *([whole[-2:]] * (pieces - 1))]
        parts[-1] += b"GET / HTTP/1.1\r\n" + b"Y: b\r\n" * 100
        if fits:
            assert list(map(one.head, parts))[-1] is not None
        else:
            with pytest.raises(Malformed) as caught:
                list(map(one.head, parts))
            assert (caught.value.status, caught.value.code) == (431, "head_too_large")
