"""Requests to attack with: whole ones of every kind, and ones that were tampered with."""

import json
from collections.abc import Callable

from hypothesis import strategies as st

from tests.proxy.support.policy import ANNA, PLAIN, ROOT

OPENS = {PLAIN, ROOT}
"""The keys that may use every model; ANNA's may use gpt-* only."""
KEYS = (PLAIN, ANNA, ROOT)

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
BODIES: list[tuple[str, bytes]] = [
    (JSON, b'{"model": "gpt-oss", "stream": true}'),
    (JSON, b'{"messages": [{"role": "user", "content": "GET / HTTP/1.1"}], "model":"gpt-x"}'),
    (JSON, json.dumps({"model": "gpt-oss", "messages": ["A: 0\r\n\r\n" * 9]}).encode()),
    (JSON, b'{"messages": []}'),
    (JSON, b'{"prompt": "a", "model": "gpt-oss", "stop": ["\\r\\n\\r\\n"]}'),
    (f"{JSON}; charset=utf-8", b'{"model":"gpt-oss"}'),
    (FORM, b'{"model": "gpt-oss"}'),
    ("text/plain", b'{"input": [1, 2], "model": "gpt-x"}'),
    (JSON, b'{"model": "gpt-'),
    (JSON, b"0\r\n\r\nPOST /unload HTTP/1.1\r\n\r\n"),
    (FORM, b"prompt=a+b&model=gpt-oss"),
    (FORM, b"model=gpt-oss&model=other"),
    ("multipart/form-data; boundary=zz",
     b'--zz\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-oss\r\n--zz--\r\n'),
    ("multipart/form-data; boundary=zz", b'--zz\r\nContent-Disposition: form-data; name="mo'),
    ("application/octet-stream", bytes(range(256)) * 5),
    ("text/plain", b""),
]  # fmt: skip
LET_IN = [pair for pair in BODIES if b"gpt-" in pair[1] and pair[1].endswith((b"}", b"--\r\n"))]
POSTS = ["/v1/chat/completions", "/v1/messages", "/completion", "/v1/audio/transcriptions"]
GETS = ["/v1/models", "/props?model=gpt-oss", "/running", "/ui/app.js?v=%20", "/healthz", "/login",
        "/nowhere", "//running", "/v1/../running", "/upstream/gpt-oss/props"]  # fmt: skip

CREDENTIALS: list[Callable[[str], str]] = [
    lambda key: f"Authorization: Bearer {key}\r\n",
    lambda key: f"authorization:bEARER   {key} \r\n",
    lambda key: f"X-Api-Key: {key}\r\n",
    lambda key: f"x-api-key:\t{key}\t\r\n",
    lambda key: f"X-Api-Key: {key}\r\n" * 2,
    lambda key: f"X-Api-Key: {key}\r\nAuthorization: Bearer {key}\r\n",
    lambda key: f"Authorization: Bearer {key}, Bearer {key}\r\n",
]
NO_CREDENTIALS: list[Callable[[str], str]] = [
    lambda _: "",
    lambda key: f"Authorization: {key}\r\n",
    lambda key: f"Authorization: Basic {key}\r\n",
    lambda key: f"Authorization: Bearer {key.upper()}\r\n",
    lambda key: f"Authorization: Bearer {key}x\r\n",
    lambda key: f"X-Api-Key: {key[:-1]}\r\n",
    lambda key: f"X-Api-Key: {key}\r\nX-Api-Key: other\r\n",
    lambda key: f"X-Api-Key: {key}\r\nAuthorization: Bearer {key}x\r\n",
    lambda key: f"Authorization: Bearer {key}, Bearer other\r\n",
    lambda key: f"Authorization: Basic {key}\r\nX-Api-Key: {key}\r\n",
    lambda key: f"Cookie: herd={key}; key={key}\r\n",
    lambda key: f"Proxy-Authorization: Bearer {key}\r\n",
]
NOISE = [
    "X-Plain: a\r\n", "x-spaced:\t a  b \t\r\n", "X-Empty:\r\n", "X-Twice: 1\r\nX-Twice: 2\r\n",
    "X-Utf8: \xc3\xa9\r\n", "X-Other: \xe9\r\n", "X-Long: " + "y" * 3000 + "\r\n",
    "X-Crafted: a, Content-Length: 9, chunked\r\n",
    "Connection: keep-alive\r\n", "Connection: X-Named\r\nX-Named: 1\r\n", "TE: trailers\r\n",
    "Connection: content-length, host, authorization\r\n", "Connection: close\r\n",
    "Keep-Alive: timeout=9\r\n", "Forwarded: for=1.2.3.4\r\n", "X-Forwarded-For: 1.2.3.4\r\n",
    f"Cookie: herd={ROOT}\r\n", "Accept: text/html\r\n", "Origin: http://evil.example\r\n",
    "Expect: 100-continue\r\n", "Upgrade: h2c\r\n", "Upgrade: websocket\r\n",
    "Trailer: X-Plain\r\n", "Content-Encoding: gzip\r\n",
]  # fmt: skip


@st.composite
def framed(draw: st.DrawFn, body: bytes) -> tuple[str, bytes]:
    """A header that tells where a body ends, and the body as that has it."""
    if draw(st.integers(0, 2)):
        zeros = draw(st.sampled_from(["", "", "", "00"]))
        return f"Content-Length: {zeros}{len(body)}\r\n", body
    step = draw(st.integers(1, 40)) if len(body) < 200 else 97
    size = draw(st.sampled_from([b"%x", b"%X", b"00%x", b"%x;a=b", b'%x;q="x y"']))
    parts = [body[at : at + step] for at in range(0, len(body), step)]
    chunks = b"".join((size % len(part)) + b"\r\n" + part + b"\r\n" for part in parts)
    trailer = draw(st.sampled_from([b"", b"", b"X-Trailer: 1\r\n", b"X-Api-Key: none\r\n"]))
    return "Transfer-Encoding: chunked\r\n", chunks + b"0\r\n" + trailer + b"\r\n"


@st.composite
def request(draw: st.DrawFn) -> bytes:
    """One request that is HTTP; whether it may pass is another question."""
    kind, content, frame = None, b"", ("", b"")
    if draw(st.integers(0, 3)):
        line = f"POST {draw(st.sampled_from(POSTS))}"
        kind, content = draw(st.sampled_from(BODIES if draw(st.booleans()) else LET_IN))
        frame = draw(framed(content))
    else:
        method = draw(st.sampled_from(["GET", "GET", "HEAD", "OPTIONS", "DELETE", "BREW"]))
        line = f"{method} {draw(st.sampled_from(GETS))}"
    known = draw(st.integers(0, 3)) > 0
    credential = draw(st.sampled_from(CREDENTIALS if known else NO_CREDENTIALS))
    lines = ["Host: mac.example\r\n", credential(draw(st.sampled_from(KEYS))), frame[0]]
    lines += [f"Content-Type: {kind}\r\n"] if kind else []
    lines += draw(st.lists(st.sampled_from(NOISE), max_size=3))
    version = draw(st.sampled_from(["1.1"] * 9 + ["1.0"]))
    if version == "1.0" and frame[0].startswith("Transfer"):
        version = "1.1"
    head = f"{line} HTTP/{version}\r\n{''.join(draw(st.permutations(lines)))}\r\n"
    return head.encode("latin-1") + frame[1]


CRAFT = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"\r\n ", b"\x0b", b"\x80", b"-1",
    b"+", b"0x", b"0\r\n\r\n", b"\r\n\r\n", b"chunked", b"Content-Length: 5\r\n", b"HTTP/1.1",
    b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n", b"Transfer-Encoding: identity\r\n", b"Host: other\r\n",
    b"GET /running HTTP/1.1\r\nHost: x\r\n\r\n", b"fffffffffffffffff\r\n", b"http://evil.example",
    b"POST /completion HTTP/1.1\r\nHost: x\r\nContent-Length: 44\r\n\r\n", b"5\r\nhello\r\n",
]  # fmt: skip


@st.composite
def tampered(draw: st.DrawFn, data: bytes) -> bytes:
    """The same, a little different: cut, doubled, replaced, with something put in."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        if draw(st.booleans()):  # something is more likely to go wrong at the end of a line
            found = data.find(b"\r\n", at)
            at = at if found < 0 else found + draw(st.sampled_from([0, 2, 1]))
        end = min(len(data), at + draw(st.sampled_from([1, 1, 2, 16, 60, 400])))
        match draw(st.integers(0, 5)):
            case 0:
                data = data[:at] + data[end:]
            case 1:
                data = data[:end] + data[at:]
            case 2:
                data = data[:at] + draw(st.binary(min_size=1, max_size=3)) + data[end:]
            case 3:
                data = data[:at] + data[at:end].swapcase() + data[end:]
            case _:
                data = data[:at] + draw(st.sampled_from(CRAFT)) + data[at:]
    return data


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same in pieces, to be sent one by one."""
    most = max(len(data), 1)
    places = sorted(draw(st.lists(st.integers(0, most), max_size=4)))
    pieces = [data[a:b] for a, b in zip([0, *places], [*places, most], strict=True)]
    return [piece for piece in pieces if piece] or [b"\r\n"]


requests_in_a_row = st.lists(request(), min_size=1, max_size=3).map(b"".join)
whole = requests_in_a_row.flatmap(cut)
broken = requests_in_a_row.flatmap(tampered).flatmap(cut)
nonsense = st.one_of(
    st.binary(max_size=300), st.lists(st.sampled_from(CRAFT)).map(b"".join)
).flatmap(cut)
