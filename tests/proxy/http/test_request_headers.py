"""Which headers pass."""

import pytest
from multidict import CIMultiDict

from proxy.http.request_headers import to_upstream, wants_upgrade
from proxy.http.response_head import BadAnswer, Framing, for_client, parse

Pairs = list[tuple[str, str]]


def pairs_of(lines: bytes) -> Pairs:
    split = (line.partition(": ") for line in lines.decode().split("\r\n") if ": " in line)
    return [(name, value) for name, _, value in split]


def all_up(*pairs: tuple[str, str]) -> Pairs:
    raw = [(name.encode(), value.encode()) for name, value in pairs]
    return pairs_of(to_upstream(raw, host=b"llama:1", client="192.0.2.7", scheme="http"))


def up(*pairs: tuple[str, str]) -> Pairs:
    sent = all_up(*pairs)
    assert sent.pop(0) == ("Host", "llama:1")
    return [(name, value) for name, value in sent if not name.startswith("X-Forwarded")]


def down(*pairs: tuple[str, str]) -> Pairs:
    lines = [f"{name}: {value}".encode() for name, value in (*pairs, ("Date", "then"))]
    head = parse(b"\r\n".join([b"HTTP/1.1 200 OK", *lines]), to_head=False)
    sent = pairs_of(for_client(head, "id", b"", chunked=False, close=False))
    assert sent[-2:] == [("Date", "then"), ("X-Request-Id", "id")]
    return sent[:-2]


def test_hop_by_hop_credential_and_forwarding_headers_do_not_go_up() -> None:
    """Nor what Connection names, in any case and on any of its lines."""
    assert up(
        ("Connection", "close, X-Private"),
        ("connection", "x-other"),
        ("x-private", "1"),
        ("X-Other", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic a"),
        ("api-key", "k"),
        ("X-Goog-Api-Key", "k"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Trailer", "X-T"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("Authorization", "Bearer k"),
        ("X-Api-Key", "k"),
        ("Expect", "100-continue"),
        ("Host", "mac.example"),
        ("Forwarded", "for=1.2.3.4"),
        ("X-Real-IP", "1.2.3.4"),
        ("Accept", "a"),
        ("Accept", "b"),
        ("Content-Length", "3"),
    ) == [("Accept", "a"), ("Accept", "b"), ("Content-Length", "3")]


def test_who_the_client_is_comes_from_the_socket() -> None:
    """A client cannot say it is somebody else."""
    assert all_up(
        ("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https"), ("Host", "mac")
    ) == [
        ("Host", "llama:1"),
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "mac"),
    ]


def test_connection_cannot_take_the_length_away() -> None:
    """The body would then be read as the next request."""
    assert up(("Connection", "Content-Length"), ("Content-Length", "3")) == [
        ("Content-Length", "3")
    ]


def test_connection_cannot_take_the_type_of_the_body_away() -> None:
    """llama-swap would look for the model at another place than we did."""
    json = ("Content-Type", "application/json")

    assert up(("Connection", "content-type, X-A"), json, ("X-A", "1")) == [json]


def test_hop_by_hop_headers_do_not_come_down_and_others_keep_their_order() -> None:
    """Repeated ones stay repeated."""
    assert down(
        ("Set-Cookie", "a=1"),
        ("Connection", "X-Private"),
        ("X-Private", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"),
        ("Set-Cookie", "b=2"),
        ("Content-Encoding", "gzip"),
    ) == [
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Content-Encoding", "gzip"),
    ]


def test_word_of_the_upstream_on_other_origins_does_not_come_down() -> None:
    """llama-swap allows all of them; the lines of our policy are added behind."""
    head = parse(
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: *\r\n"
        b"ACCESS-CONTROL-ALLOW-CREDENTIALS: true\r\nAccess-Control-Allow-Private-Network: true\r\n"
        b"Vary: Origin",
        to_head=False,
    )
    added = b"Access-Control-Allow-Origin: https://chat.example\r\n"
    down = for_client(head, "id", added, chunked=False, close=False)

    assert head.lines == [b"Vary: Origin", b"Content-Length: 0"]
    assert down.lower().count(b"access-control-") == 1


def test_length_beside_chunked_does_not_come_down() -> None:
    """It means nothing there, and the client would believe it."""
    assert not down(("Transfer-Encoding", "chunked"), ("Content-Length", "3"))


BAD_ANSWERS = {
    "another protocol": b"SSH-2.0-x",
    "no version": b"HTTP/2 200 OK",
    "no number": b"HTTP/1.1 2x0 OK",
    "long number": b"HTTP/1.1 2000 OK",
    "status in another line end": b"HTTP/1.1 200 OK\rX: y",
    "line feed in a header": b"HTTP/1.1 200 OK\r\nA: b\nX-Injected: 1",
    "carriage return in a header": b"HTTP/1.1 200 OK\r\nA: b\rX-Injected: 1",
    "NUL": b"HTTP/1.1 200 OK\r\nA: b\0",
    "folded": b"HTTP/1.1 200 OK\r\nA: b\r\n c",
    "no colon": b"HTTP/1.1 200 OK\r\nA",
    "space before colon": b"HTTP/1.1 200 OK\r\nA : b",
    "no name": b"HTTP/1.1 200 OK\r\n: b",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +3",
    "list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3",
    "endless length": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30,
    "other coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\ntransfer-encoding: chunked",
    "chunked in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
}


@pytest.mark.parametrize("head", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_answer_that_two_programs_may_read_differently_is_none(head: bytes) -> None:
    """The client gets a 502 instead of somebody's guess."""
    with pytest.raises(BadAnswer):
        parse(head, to_head=False)


@pytest.mark.parametrize(
    ("head", "to_head", "framing"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3", False, Framing.LENGTH),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0", False, Framing.NONE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3", True, Framing.NONE),
        (b"HTTP/1.1 204 No\r\nContent-Length: 3", False, Framing.NONE),
        (b"HTTP/1.1 304 No\r\nContent-Length: 3", False, Framing.NONE),
        (b"HTTP/1.1 103 No\r\nContent-Length: 3", False, Framing.NONE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked", False, Framing.CHUNKED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", True, Framing.NONE),
        (b"HTTP/1.1 200", False, Framing.CONNECTION),
    ],
)
def test_end_of_an_answer(head: bytes, to_head: bool, framing: Framing) -> None:
    """RFC 9112 6.3."""
    assert parse(head, to_head=to_head).framing is framing


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("websocket", True), ("h2c, websocket", True), ("TLS/1.0", True), ("h2c", False), ("", False)],
)
def test_upgrades_but_h2c_are_noticed(value: str, wanted: bool) -> None:
    """curl --http2 offers h2c and is content with HTTP/1.1."""
    assert wants_upgrade(CIMultiDict({"Upgrade": value})) is wanted


def test_no_upgrade_header_is_no_upgrade() -> None:
    """Nearly every request."""
    assert not wants_upgrade(CIMultiDict())


def test_chunked_answer_that_may_have_no_body_is_the_last_of_its_connection() -> None:
    """Its chunks would be read as the head of somebody else's answer."""
    assert not parse(b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked", to_head=False).reusable
    assert parse(b"HTTP/1.1 204 No\r\nX-A: 1", to_head=False).reusable
    assert parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", to_head=True).reusable
