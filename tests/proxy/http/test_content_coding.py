"""Bodies in a Content-Encoding: decoded within a bound, or refused with the true reason."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.http.content_coding import CODINGS, MOST_MEMBERS, SIP, decoder_of
from proxy.http.refusal import Refused
from tests.proxy.support.body import FORM, JSON, form, read
from tests.proxy.support.policy import ANNA
from tests.proxy.support.proxy import answer, body, error, headers, run, status
from tests.proxy.support.stack import Stack, stack

BODY = b'{"messages":["' + b"hello " * 9000 + b'"],"model":"gpt-oss"}'
GOES_UP = b'{"model":"gpt-oss","messages":["' + b"hello " * 9000 + b'"]}'


def zstd(data: bytes) -> bytes:
    module = pytest.importorskip("backports.zstd", reason="`make dev` would bring it")
    packed: bytes = module.compress(data)
    return packed


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "GZip": gzip.compress,
    "zstd": zstd,
}


@pytest.mark.parametrize("coding", PACKERS)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_coding_is_undone(coding: str, step: int) -> None:
    """Also when it comes byte by byte, and in two that follow each other."""
    pack = PACKERS[coding]
    for packed in (pack(BODY), pack(BODY[:99]) + pack(BODY[99:])):
        assert read(JSON, packed, step, content_encoding=coding) == ("gpt-oss", GOES_UP)
    model = ('Content-Disposition: form-data; name="model"', b"m")
    assert read(FORM, pack(form(model)), step, content_encoding=coding)[0] == "m"


@pytest.mark.parametrize("coding", PACKERS)
def test_coding_that_is_broken(coding: str) -> None:
    """It is never said that there was no model."""
    packed = PACKERS[coding](BODY)
    for broken in (packed[:-1], packed[:-9], BODY, packed + b"x", b"", packed[:20] + b"x" * 30):
        with pytest.raises(Refused) as refused:
            read(JSON, broken, content_encoding=coding)
        assert refused.value.status == 400
        assert "Content-Encoding" in refused.value.message or "JSON" in refused.value.message


@pytest.mark.parametrize("coding", PACKERS)
def test_bomb_is_refused_as_it_swells(coding: str) -> None:
    """Little is held of it, and the bound is named."""
    bomb = PACKERS[coding](b'{"model":"m","x":"' + b" " * 2**25 + b'"}')
    with pytest.raises(Refused) as refused:
        read(JSON, bomb, content_encoding=coding)
    assert refused.value.status == 413
    assert "1 MiB when it is decoded" in refused.value.message


def post(extra: str, data: bytes, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Api-Key: {ANNA}\r\n{extra}"
        f"Content-Length: {size}\r\nConnection: close\r\n\r\n"
    ).encode() + data


async def say(proxy: Stack, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))
    writer.write(data)
    got = await reader.read()
    writer.close()
    return got


def test_llama_swap_gets_it_decoded(tmp_path: Path) -> None:
    """Without a word about the coding."""

    async def situation() -> None:
        async with stack(tmp_path, answer(body=b"{}")) as proxy:
            kind = "Content-Type: application/json\r\n"
            packed = gzip.compress(BODY)
            assert (
                status(await say(proxy, post(f"{kind}Content-Encoding: gzip\r\n", packed))) == 200
            )
            seen = proxy.upstream.seen[0]
            assert seen.body == GOES_UP
            assert not seen.all("Content-Encoding")
            assert seen.all("Content-Type") == ["application/json"]

    run(situation())


@pytest.mark.parametrize("coding", ["br", "compress", "gzip, gzip", "zstd, gzip", "x"])
def test_other_codings_are_refused_before_the_body(coding: str, tmp_path: Path) -> None:
    """415, naming the header and what is read here; RFC 9110 15.5.16 and 12.5.3."""

    async def situation() -> None:
        async with stack(tmp_path, answer()) as proxy:
            head = f"Content-Type: application/json\r\nContent-Encoding: {coding}\r\n"
            got = await say(proxy, post(head + "Expect: 100-continue\r\n", b"", 10**6))
            assert status(got) == 415
            assert headers(got)["accept-encoding"] == ", ".join(CODINGS)
            assert "Content-Encoding" in error(got)["message"]
            assert not proxy.upstream.seen

    run(situation())


def test_true_reason_whatever_was_sent(tmp_path: Path) -> None:
    """curl -d without a type is served; a real form is told what to send."""

    async def situation() -> None:
        async with stack(tmp_path, answer(body=b"{}")) as proxy:
            kind = "Content-Type: application/x-www-form-urlencoded\r\n"
            assert status(await say(proxy, post(kind, b'{"model": "gpt-oss"}'))) == 200
            assert proxy.upstream.seen[0].all("Content-Type") == ["application/json"]
            got = await say(proxy, post(kind, b"model=gpt-oss&prompt=hi"))
            assert status(got) == 415
            assert headers(got)["accept"] == "application/json"
            assert "application/json" in json.loads(body(got))["error"]["message"]

    run(situation())


def test_what_decodes_to_nothing_is_taken_in_sips() -> None:
    """Empty members, frames and blocks make no bytes, but work: others get their turn all the
    same, and nobody may send them without end."""
    skippable = b"\x50\x2a\x4d\x18" + bytes(4)
    for coding, nothing in (
        ("gzip", gzip.compress(b"")), ("deflate", zlib.compress(b"")), ("zstd", zstd(b"")),
        ("zstd", skippable),
    ):  # fmt: skip
        decoder = decoder_of([coding], 2**20)
        assert decoder is not None
        came = bytearray(nothing * (MOST_MEMBERS + 1))
        for _ in range(MOST_MEMBERS):
            before = len(came)
            assert decoder.take(came, last=False) == (b"", False)
            assert before - len(came) <= SIP
        with pytest.raises(Refused, match=f"more than {MOST_MEMBERS} pieces") as refused:
            decoder.take(came, last=False)
        assert refused.value.status == 413
        # As the sizes that pzstd and others put before what they are of.
        packed = nothing * 9 + PACKERS[coding](BODY) + nothing
        assert read(JSON, packed, content_encoding=coding) == ("gpt-oss", GOES_UP)
    decoder = decoder_of(["deflate"], 2**20)
    assert decoder is not None
    came = bytearray(b"\x78\x9c" + b"\0\0\0\xff\xff" * 9999)
    while before := len(came):
        assert decoder.take(came, last=False) == (b"", False)
        assert 0 < before - len(came) <= SIP


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_broken_coding_is_not_blamed_on_the_content_type(kind: str) -> None:
    with pytest.raises(Refused) as refused:
        read(kind, BODY, content_encoding="gzip")
    assert (refused.value.status, refused.value.code) == (400, "invalid_encoding")
    assert refused.value.message == "The body is not in its Content-Encoding: gzip."
