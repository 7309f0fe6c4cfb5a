"""What an attacker puts on the wire, and what comes of it: a table of bytes over real sockets.

Each row is one connection. Behind what it attacks with, most rows send a request of their own with
a good admin key, `AFTER`: the upstream must get it only where the row says that the connection goes
on. What reaches the upstream is read by a parser that shares nothing with the proxy.
"""

from collections.abc import Iterator

import pytest

from tests.proxy.support.ground import Ground, ground
from tests.proxy.support.policy import PLAIN, ROOT

K = f"Host: x\r\nX-Api-Key: {ROOT}\r\n"
PLAIN_KEY = f"Host: x\r\nX-Api-Key: {PLAIN}\r\n"
POST = f"POST /upstream/m HTTP/1.1\r\n{K}"
GET = f"GET /running HTTP/1.1\r\n{K}"
AFTER = f"GET /ui/after HTTP/1.1\r\n{K}\r\n"
CHUNKED = f"{POST}Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("ground")) as made:
        yield made


# The head is none, or has two meanings: an error, the end, and nobody else hears of it.
NO_HEADS = {
    # Where does the body end?
    "length and chunked": f"{POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": f"{POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": f"{POST}Content-Length: 0\r\nContent-Length: 50\r\n\r\n",
    "the same length twice": f"{POST}Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "two lengths in one": f"{POST}Content-Length: 0, 0\r\n\r\n",
    "length with a plus": f"{POST}Content-Length: +0\r\n\r\n",
    "length with a minus": f"{POST}Content-Length: -1\r\n\r\n",
    "length in hex": f"{POST}Content-Length: 0x0\r\n\r\n",
    "length with a space inside": f"{POST}Content-Length: 1 0\r\n\r\n",
    "length with an underscore": f"{POST}Content-Length: 1_0\r\n\r\n",
    "length with a fraction": f"{POST}Content-Length: 0.0\r\n\r\n",
    "length without a number": f"{POST}Content-Length:\r\n\r\n",
    "length of 65 bits": f"{POST}Content-Length: 18446744073709551616\r\n\r\n",
    "length in digits of others": f"{POST}Content-Length: \xd9\xa3\r\n\r\n",
    "vertical tab before the coding": f"{POST}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked, but not last": f"{POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": f"{POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two headers": f"{POST}{'Transfer-Encoding: chunked' + chr(13) + chr(10)}"
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "identity": f"{POST}Transfer-Encoding: identity\r\n\r\n",
    "quoted coding": f'{POST}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "coding with a parameter": f"{POST}Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "xchunked": f"{POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "no coding": f"{POST}Transfer-Encoding:\r\n\r\n",
    "coding in HTTP/1.0": f"POST /upstream/m HTTP/1.0\r\n{K}Transfer-Encoding: chunked\r\n\r\n"
    "0\r\n\r\n",
    # What is a line, and what a header?
    "space before the colon": f"{POST}Content-Length : 50\r\n\r\n",
    "tab before the colon": f"{POST}Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "space before the name": f"POST /upstream/m HTTP/1.1\r\n Host: x\r\nX-Api-Key: {ROOT}\r\n\r\n",
    "no colon": f"{GET}Nonsense\r\n\r\n",
    "no name": f"{GET}: value\r\n\r\n",
    "folded line": f"{GET}X-A: a\r\n\tContent-Length: 5\r\n\r\n",
    "lines that end in LF": GET.replace("\r\n", "\n") + "\n",
    "one line that ends in LF": f"{GET}X-A: a\nTransfer-Encoding: chunked\r\n\r\n",
    "head that ends in LF LF": f"{GET}\n\n",
    "CR in a value": f"{GET}X-A: a\rX-B: b\r\n\r\n",
    "CR CR LF": f"{GET}X-A: a\r\r\n\r\n",
    "NUL in a value": f"{GET}X-A: a\0b\r\n\r\n",
    "NUL in a name": f"{GET}X\0A: a\r\n\r\n",
    "byte above ASCII in a name": f"{GET}X-\xe9: a\r\n\r\n",
    "brackets in a name": f"{GET}X(A): a\r\n\r\n",
    # Whose request is it?
    "no Host": f"GET /running HTTP/1.1\r\nX-Api-Key: {ROOT}\r\n\r\n",
    "HTTP/0.9": "GET /running\r\n\r\n",
    "HTTP/0.9 with a key": f"GET /running\r\n{K}\r\n",
    "HTTP/2.0": f"GET /running HTTP/2.0\r\n{K}\r\n",
    "HTTP/1.10": f"GET /running HTTP/1.10\r\n{K}\r\n",
    "http/1.1": f"GET /running http/1.1\r\n{K}\r\n",
    "preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "space in the target": f"GET /running /x HTTP/1.1\r\n{K}\r\n",
    "NUL in the target": f"GET /run\0ning HTTP/1.1\r\n{K}\r\n",
    "method with a bracket": f"GE(T /running HTTP/1.1\r\n{K}\r\n",
    "TLS to a plain port": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize(("name", "sent"), NO_HEADS.items(), ids=NO_HEADS)
def test_head_with_two_meanings_is_the_end_of_the_connection(
    here: Ground, name: str, sent: str
) -> None:
    """One answer for all that came."""
    case = here.attack((sent + AFTER).encode("latin-1"))

    assert case.statuses == [505 if "HTTP/0.9" in name or "HTTP/2" in name else 400]
    assert case.closed
    assert not case.admitted
    assert not case.upstream


# The head is good and the body none: what follows must be neither a request nor its end.
NO_BODIES = {
    "size that is none": f"{CHUNKED}zz\r\n",
    "size with 0x": f"{CHUNKED}0x3\r\nabc\r\n0\r\n\r\n",
    "size with a sign": f"{CHUNKED}+3\r\nabc\r\n0\r\n\r\n",
    "size behind a space": f"{CHUNKED} 3\r\nabc\r\n0\r\n\r\n",
    "size of 68 bits": f"{CHUNKED}10000000000000003\r\nabc\r\n0\r\n\r\n",
    "size without digits": f"{CHUNKED}\r\nabc\r\n0\r\n\r\n",
    "size that ends in LF": f"{CHUNKED}3\nabc\r\n0\r\n\r\n",
    "chunk that ends in LF": f"{CHUNKED}3\r\nabc\n0\r\n\r\n",
    "chunk longer than its size": f"{CHUNKED}3\r\nabcdef\r\n0\r\n\r\n",
    "extension with a CR": f"{CHUNKED}3;a\rb\r\nabc\r\n0\r\n\r\n",
    "extension with a LF": f"{CHUNKED}3;a\nabc\r\n0\r\n\r\n",
    "extension with a NUL": f"{CHUNKED}3;a\0\r\nabc\r\n0\r\n\r\n",
    "last chunk that ends in LF": f"{CHUNKED}3\r\nabc\r\n0\n\n",
    "trailer that is no header": f"{CHUNKED}3\r\nabc\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
    "length in a trailer": f"{CHUNKED}3\r\nabc\r\n0\r\nContent-Length: 99\r\n\r\n",
    "trailer that is folded": f"{CHUNKED}3\r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n",
}


@pytest.mark.parametrize("sent", NO_BODIES.values(), ids=NO_BODIES)
def test_body_that_is_none_never_looks_whole(here: Ground, sent: str) -> None:
    """The upstream may have seen a beginning, and no end."""
    case = here.attack((sent + AFTER).encode("latin-1"))

    assert case.statuses == [400]
    assert case.closed
    assert not case.arrived
    assert all(reading.begun and not reading.fault for reading in case.upstream)


# Odd, but HTTP; the request passes with this body, and the next one does or not.
GOOD = {
    "length with zeros": (f"{POST}Content-Length: 003\r\n\r\nabc", b"abc", True),
    "request in a body": (f"{POST}Content-Length: {len(AFTER)}\r\n\r\n{AFTER}", AFTER, True),
    "request behind no body": (f"{POST}Content-Length: 0\r\n\r\n", b"", True),
    "body of a GET": (f"{GET}Content-Length: 3\r\n\r\nabc", b"abc", True),
    "length named by Connection": (
        f"{POST}Connection: content-length\r\nContent-Length: 3\r\n\r\nabc", b"abc", True
    ),
    "all of it named by Connection": (
        f"{POST}Connection: transfer-encoding, host, x-api-key\r\nContent-Length: 3\r\n\r\nabc",
        b"abc", True,
    ),
    "coding named by Connection": (
        f"{POST}Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\n\r\n", b"abc", False,
    ),
    "ChUnKeD": (f"{POST}Transfer-Encoding: ChUnKeD\r\n\r\n1\r\na\r\n0\r\n\r\n", b"a", False),
    "request in a chunk": (
        f"{CHUNKED}{len(AFTER):x}\r\n{AFTER}\r\n0\r\n\r\n", AFTER, False
    ),
    "request in an extension": (
        f"{CHUNKED}3;x=\"GET / HTTP/1.1\"\r\nabc\r\n0\r\n\r\n", b"abc", False
    ),
    "last chunk of many zeros": (f"{CHUNKED}3\r\nabc\r\n0000\r\n\r\n", b"abc", False),
    "empty lines before": (f"\r\n\r\n{POST}Content-Length: 3\r\n\r\nabc", b"abc", True),
    "Connection: close": (f"{GET}Connection: close\r\n\r\n", b"", False),
    "HTTP/1.0": (f"GET /running HTTP/1.0\r\n{K}\r\n", b"", False),
    "HTTP/1.0 that wants to stay": (
        f"GET /running HTTP/1.0\r\n{K}Connection: keep-alive\r\n\r\n", b"", False
    ),
    "offer of h2c": (
        f"{GET}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n",
        b"", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "body", "goes_on"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("step", [0, 1], ids=["at once", "byte by byte"])
def test_body_ends_where_everyone_sees_its_end(
    here: Ground, sent: str, body: bytes | str, goes_on: bool, step: int
) -> None:
    """And the next request begins behind it."""
    data = (sent + AFTER).encode()
    case = here.attack(*([data[at : at + 1] for at in range(len(data))] if step else [data]))

    wanted = body.encode() if isinstance(body, str) else body
    assert [message.body for message in case.arrived] == [wanted] + [b""] * goes_on
    assert case.statuses == [200] * (1 + goes_on)
    assert not any(reading.fault or reading.rest for reading in case.upstream)
    assert case.closed is not goes_on


# Ways to other places than the path says, with a key that may go there or not.
DETOURS = {
    "/v1/../running": 400, "/v1/%2e%2e/running": 400, "/v1/..%2frunning": 400, "//running": 400,
    "/v1//models": 404, "/./running": 400, "/running/.": 400, "/running/..": 400,
    "/running%2f": 400, "/upstream%2fm": 400, "/v1/..;/running": 400, "/running;a=b": 400,
    "/v1/models%00": 400, "/v1/models%0d%0aX-A:%20b": 400, "/running%23": 404, "/running%3f": 404,
    "/\\running": 400, "/v1\\..\\running": 400, "/%252e%252e/running": 400, "/%5c../running": 400,
    "/running%": 400, "/%u002e/running": 400, "/running#": 400, "/ui/%c0%ae%c0%ae/running": 404,
    "/running/": 404, "/RUNNING": 404, "/UI": 404, "/Api/x": 404, "/%72unning": 404,
    "/running%20": 404, "/unload/": 404, "/upstream": 404, "/upstream/m/v1/models": 404,
    "/api/x": 404, "/ui": 404, "/logs/stream": 404, "/admin/usage": 404, "/metrics": 404,
    "/metrics/": 404, "/healthz/../running": 400, "/healthz%2f..%2frunning": 400,
    "/login/../ui/": 400, "/v1/models/../../unload": 400,
    "http://x/running": 400, "//x/running": 400, "x:80": 400, "*": 400, "running": 400,
    "/v1/models/../../api/x?model=gpt-oss": 400, "?x": 400,
}  # fmt: skip


@pytest.mark.parametrize(("target", "status"), DETOURS.items(), ids=DETOURS)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "CONNECT"])
def test_no_detour_leads_to_an_admins_route(
    here: Ground, target: str, status: int, method: str
) -> None:
    """With a key for inference it is refused, and without one as well."""
    told = here.attack(f"{method} {target} HTTP/1.1\r\n{PLAIN_KEY}\r\n{AFTER}".encode())
    assert told.statuses[0] in ((status,) if method == "GET" else (400, 404))
    assert not [request for request in told.admitted if request.path != "/ui/after"]
    unknown = here.attack(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n{AFTER}".encode())
    assert unknown.statuses[0] in (400, 401)
    assert not [request for request in unknown.admitted if request.path != "/ui/after"]


def test_two_hosts_reach_nobody_or_only_one_of_them_does(here: Ground) -> None:
    """llama-swap's Host is always its own address."""
    case = here.attack(f"{GET}Host: other\r\n\r\n".encode())

    assert case.statuses == [400]
    assert not case.upstream


@pytest.mark.parametrize("size", [0, 40])
def test_request_behind_a_refused_one_is_judged_by_itself(here: Ground, size: int) -> None:
    """The refused one's body is nobody's request, and its right or wrong nobody else's."""
    stranger = f"POST /completion HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
    case = here.attack((stranger + AFTER[:size] + AFTER + stranger + "x" * size + AFTER).encode())

    assert case.statuses == [401, 200, 401, 200]
    assert [message.start for message in case.arrived] == ["GET /ui/after"] * 2


def test_credential_of_one_request_is_not_that_of_the_next(here: Ground) -> None:
    """Nor one in a body, a trailer or a query."""
    case = here.attack(
        f"{POST}Content-Length: 0\r\n\r\nGET /running?key={ROOT} HTTP/1.1\r\nHost: x\r\n\r\n"
        f"{CHUNKED}0\r\nX-Api-Key: {ROOT}\r\n\r\nGET /running HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    )

    assert case.statuses == [200, 401, 200]
    assert [message.start.split()[0] for message in case.arrived] == ["POST", "POST"]
