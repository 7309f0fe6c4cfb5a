"""URLs of media in a body: found however they are written and cut, and nothing else is."""

import asyncio
import gzip
import json
import random
import zlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.body.media_urls import ENOUGH, Inspection, faults_of_prefixes
from tests.proxy.support.policy import ANNA, PLAIN, ROOT
from tests.proxy.support.proxy import Seen, Wire, answer, run
from tests.proxy.support.stack import Stack, stack

INSIDE = "http://127.0.0.1:8080/unload"
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def chat(part: Any) -> Any:
    return {"model": "m", "messages": [{"role": "user", "content": [part]}]}


def image(url: Any) -> Any:
    """As each API has it."""
    return {
        "chat": chat({"type": "image_url", "image_url": {"url": url}}),
        "chat, detail first": chat(
            {"image_url": {"detail": {"a": ["{"]}, "url": url}, "type": "image_url"}
        ),
        "chat, without an object": chat({"type": "image_url", "image_url": url}),
        "responses": {
            "model": "m",
            "input": [{"content": [{"type": "input_image", "image_url": url}]}],
        },
        "messages": chat({"type": "image", "source": {"type": "url", "url": url}}),
        "tool result": chat(
            {
                "type": "tool_result",
                "content": [{"type": "image", "source": {"type": "url", "url": url}}],
            }
        ),
        "audio": chat({"type": "input_audio", "input_audio": {"url": url, "format": "wav"}}),
        "audio data": chat({"type": "input_audio", "input_audio": {"data": url, "format": "wav"}}),
        "video": chat({"type": "video_url", "video_url": {"url": url}}),
    }


APIS = list(image(""))
BAD = [
    INSIDE,
    "https://example.com/a.png",
    "HTTP://127.0.0.1/",
    "file:///etc/passwd",
    "FILE://x",
    "ftp://a/",
    " http://a/",
    "//127.0.0.1/",
    "Data:image/png;base64,AA",
    "gopher://a",
    "https://images.example.com@127.0.0.1/",
    "https://images.example.com.evil.example/",
    # What shows as nothing, before a URL and in it.
    "\0http://a/",
    "\u200bhttp://a/",
    "\ufeff \u00a0http://a/",
    "ht\0tp://a/",
    "ht\ntp://a/",
    "htt\u200bp://a/",
    " " * 5000 + "http://a/",
    "\0" * 2000 + "http://a/",
    # To llama-server the host is behind the first `@`.
    "https://images.example.com/@127.0.0.1:8080/unload",
    "https://images.example.com/a?b=@127.0.0.1/",
    "https://images.example.com/" + "a" * 2000 + "@127.0.0.1/",
    "https://images.example.com/\\@127.0.0.1/",
    "https://images.example.com/a b",
    "https://images.example.com/a\r\nHost: b",
    "https://images.example.com/\0",
]


def found(body: Any, allowed: tuple[str, ...] = (), **dump: Any) -> str | None:
    raw = body if isinstance(body, bytes) else json.dumps(body, **dump).encode()
    return Inspection(allowed).feed(raw)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("url", BAD)
def test_a_url_of_media_is_found_in_every_api(api: str, url: str) -> None:
    assert found(image(url)[api])
    assert found(image(url)[api], ("https://images.example.com/",))
    assert found(image(url)[api], indent=3, separators=(" , ", " :\t\n "))


@pytest.mark.parametrize("api", APIS)
def test_what_is_in_the_body_itself_passes(api: str) -> None:
    assert found(image(PIXEL)[api]) is None
    assert found(image("iVBORw0KGgo=")[api]) is None
    allowed = "https://images.example.com/a.png"
    assert found(image(allowed)[api], ("https://images.example.com/",)) is None


def escaped(text: str, which: int) -> str:
    return "".join(
        f"\\u{ord(char):04x}" if which == -1 or number == which else char
        for number, char in enumerate(text)
    )


@pytest.mark.parametrize("which", [-1, 0, 1, 2])
def test_names_and_values_may_be_spelled_with_escapes(which: int) -> None:
    for name in ("url", "image_url", "data"):
        for spelled, value in (
            (escaped(name, which), INSIDE),
            (name, escaped(INSIDE, which)),
            (escaped(name, which).upper().replace("\\U", "\\u"), INSIDE)
            if which == -1
            else (name, "http:\\/\\/127.0.0.1\\/"),
        ):
            assert found(f'{{"a":{{"{spelled}":"{value}"}}}}'.encode()), (spelled, value)


@pytest.mark.parametrize(
    "body",
    [
        chat({"type": "text", "text": json.dumps(image(INSIDE)["chat"])}),
        chat({"type": "text", "text": 'my "url": "http://a" and \\"url\\": \\"http://b\\"'}),
        chat({"type": "text", "text": "http://a/b", "name": "url"}),
        {"messages": [], "stop": ["url", "http://a"]},
        {"tools": [{"parameters": {"properties": {"url": {"type": "string", "format": "uri"}}}}]},
        {"tools": [{"required": ["url"], "description": "http://a"}]},
        {"server_url": "http://a", "curl": "http://a", "metadata": ":"},
        {"url": None, "data": ["http://a"], "image_url": {"detail": "http"}},
        {"data": "plain text: with a colon", "url": "a/b?c=http://d"},
        {"data": "Links\nhttp://a", "url": "\u65e5\u672c http://a"},
        {"data": "", "url": " "},
        {},
    ],
)
def test_text_and_tools_are_no_media(body: Any) -> None:
    assert found(body) is None
    assert found(body, indent=2) is None


@pytest.mark.parametrize("spaces", [0, 3, 5000])
def test_it_is_found_however_the_body_is_cut(spaces: int) -> None:
    gap = " " * spaces
    raw = f'{{"m":[{{"image_url"{gap}:{gap}{{"url"{gap}:{gap}"{INSIDE}"}}}}]}}'.encode()
    randomly = random.Random(7)
    for size in (1, 2, 7, 61, 4096):
        inspection = Inspection()
        pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
        assert any(inspection.feed(piece) for piece in pieces), size
    for _ in range(50):
        cut = randomly.randrange(len(raw))
        inspection = Inspection()
        assert inspection.feed(raw[:cut]) or inspection.feed(raw[cut:]), cut


@pytest.mark.parametrize(
    "member",
    [
        '"url":"\\u0068ttp://a"',
        '"\\u0075rl":"http:\\/\\/a"',
        '"im\\u0061ge_url" : " \\thttps://a\\"b"',
        '"data":"\\u0066\\u0069le:///etc"',
    ],
)
def test_escapes_may_be_cut_anywhere(member: str) -> None:
    raw = f'{{"a":[{{{member}}}]}}'.encode()
    for first in range(len(raw)):
        for second in range(first, len(raw)):
            inspection = Inspection()
            pieces = (raw[:first], raw[first:second], raw[second:])
            assert any(inspection.feed(piece) for piece in pieces), (first, second)


def test_what_passes_passes_however_it_is_cut_and_little_is_kept() -> None:
    raw = json.dumps(image(PIXEL + "A" * 100_000)["chat"]).encode()
    for size in (1000, 16384):
        inspection = Inspection()
        for at in range(0, len(raw), size):
            assert inspection.feed(raw[at : at + size]) is None
            assert len(inspection._held) < 2 * ENOUGH + size


@pytest.mark.parametrize(
    "prefixes",
    [
        "https://a/",
        [5],
        ["https://a"],
        ["a/"],
        ["file:///"],
        ["https://a@b/"],
        ["https://a/@b/"],
        ["https://a/\\b"],
        ["https://A/"],
        ["*"],
    ],
)
def test_beginnings_that_are_none(prefixes: object) -> None:
    assert faults_of_prefixes(prefixes)


def test_beginnings() -> None:
    assert faults_of_prefixes(["https://images.example.com/", "http://10.0.0.5:8000/a/"]) == []
    assert faults_of_prefixes([]) == []


# -- Through the proxy


async def post(made: Stack, body: Any, key: str, path: str = "/v1/chat/completions") -> Any:
    """Status and code of an error."""
    async with aiohttp.ClientSession() as client:
        data = body if isinstance(body, bytes) else json.dumps({**body, "model": "gpt-x"}).encode()
        headers = {"x-api-key": key, "Content-Type": "application/json"}
        async with client.post(made.url + path, data=data, headers=headers) as response:
            told = await response.json(content_type=None)
            return response.status, told.get("error", {}).get("code", told["error"].get("type"))


@pytest.mark.parametrize("key", [ANNA, PLAIN])
def test_a_url_does_not_reach_llama_swap(tmp_path: Path, key: str) -> None:
    refused = json.dumps({"error": {"code": "it came through"}}).encode()

    async def main() -> None:
        async with stack(tmp_path, answer(body=refused)) as made:
            for api, path in (
                ("chat", "/v1/chat/completions"),
                ("responses", "/v1/responses"),
                ("messages", "/v1/messages"),
            ):
                status, _ = await post(made, image(INSIDE)[api], key, path)
                assert status == 400
            assert made.upstream.seen == []
            _, code = await post(made, image(PIXEL)["chat"], key)
            assert code == "it came through"

    run(main())


def test_an_administrator_may_name_any_and_others_what_is_allowed(tmp_path: Path) -> None:
    through = json.dumps({"error": {"code": "it came through"}}).encode()
    picture = "https://images.example.com/a.png"

    async def main() -> None:
        async with stack(tmp_path, answer(body=through)) as made:
            assert (await post(made, image(INSIDE)["chat"], ROOT))[1] == "it came through"
            _, code = await post(made, image(picture)["chat"], ANNA)
            assert code == "media_url_not_allowed"
            config = json.loads(made.config.read_text())
            config["allowImageUrls"] = ["https://images.example.com/"]
            made.config.write_text(json.dumps(config))
            assert (await post(made, image(picture)["chat"], ANNA))[1] == "it came through"
            assert (await post(made, image(INSIDE)["chat"], ANNA))[1] == "media_url_not_allowed"

    run(main())


def test_a_url_behind_what_has_gone_up_ends_the_request_there(tmp_path: Path) -> None:
    """llama-swap never gets the end of such a body, so it does nothing with it."""
    came = asyncio.Event()
    whole: list[bytes] = []

    async def script(seen: Seen, wire: Wire) -> None:
        came.set()
        whole.append(await wire.reader.read(-1))

    async def pieces() -> Any:
        yield b'{"model": "gpt-x", "messages": [{"content": "' + b"a" * 300_000
        await asyncio.wait_for(came.wait(), 5)
        yield b'"}, {"image_url": {"ur'
        yield b'l": "' + INSIDE.encode() + b'"}}]}'

    async def main() -> None:
        async with stack(tmp_path, script) as made, aiohttp.ClientSession() as client:
            made.upstream.reads_body = False
            headers = {"x-api-key": ANNA, "Content-Type": "application/json"}
            url = made.url + "/v1/chat/completions"
            async with client.post(url, data=pieces(), headers=headers) as response:
                assert response.status == 400
            for _ in range(100):
                if whole:
                    break
                await asyncio.sleep(0.02)
            assert INSIDE.encode() not in whole[0]
            assert not whole[0].endswith(b"0\r\n\r\n")

    run(main())


def test_a_file_may_hold_anything(tmp_path: Path) -> None:
    through = json.dumps({"error": {"code": "it came through"}}).encode()

    async def main() -> None:
        async with stack(tmp_path, answer(body=through)) as made, aiohttp.ClientSession() as client:
            form = aiohttp.FormData({"model": "gpt-x"})
            form.add_field("file", f'"url": "{INSIDE}"'.encode(), filename="a.wav")
            url = f"{made.url}/v1/audio/transcriptions"
            async with client.post(url, data=form, headers={"x-api-key": ANNA}) as response:
                assert response.status == 200

    run(main())


def call(given: Any) -> Any:
    """A conversation with a tool that was called, as Anthropic's clients send it again."""
    return chat({"type": "tool_use", "id": "t1", "name": "fetch", "input": given})


def found_in_calls(body: Any, step: int) -> str | None:
    raw = json.dumps(body).encode()
    inspection = Inspection(calls=True)
    return next(
        (name for at in range(0, len(raw), step) if (name := inspection.feed(raw[at : at + step]))),
        None,
    )


@pytest.mark.parametrize("step", [1, 3, 7, 64, 10_000])
@pytest.mark.parametrize(
    "given",
    [
        {"url": INSIDE, "prompt": "what does it say?"},
        {"pages": [{"url": INSIDE}, {"a": {"image_url": INSIDE}}], "b": [[], {}]},
        {"text": 'a "quote\\" } ] and {', "url": INSIDE},
        {},
    ],
)
def test_what_a_tool_was_called_with_is_no_media(given: Any, step: int) -> None:
    assert found_in_calls(call(given), step) is None
    body = call(given)
    body["messages"] += image(INSIDE)["messages"]["messages"]
    assert found_in_calls(body, step) == "url"


@pytest.mark.parametrize("step", [1, 5, 10_000])
@pytest.mark.parametrize(
    "text",
    [
        r'{"image_url": {"x\"input": 1, "url": "http://a/"}}',
        r'{"a": "\"input\": {", "image_url": {"url": "http://a/"}}',
        r'{"image_url": {"input": "{", "url": "http://a/"}}',
        r'{"input": {"a": "}\\"}, "source": {"url": "http://a/"}}',
        r'{"input": [{"image_url": {"url": "http://a/"}}]}',
    ],
)
def test_what_only_looks_like_a_call_hides_nothing(text: str, step: int) -> None:
    json.loads(text)
    raw = text.encode()
    inspection = Inspection(calls=True)

    assert any(inspection.feed(raw[at : at + step]) for at in range(0, len(raw), step))


def test_elsewhere_nothing_is_stepped_over() -> None:
    assert Inspection().feed(json.dumps(call({"url": INSIDE})).encode()) == "url"


@pytest.mark.parametrize(
    ("path", "heads"),
    [
        ("/v1/chat/completions", {"Content-Encoding": "gzip"}),
        ("/v1/images/edits", {"Content-Encoding": "gzip"}),
        ("/v1/chat/completions", {"Content-Encoding": "deflate"}),
        ("/v1/images/edits", {"Content-Type": "multipart/mixed; boundary=B"}),
        ("/v1/images/edits", {"Content-Type": "multipart/form-data; boundary=B; boundary=C"}),
    ],
)
def test_what_goes_up_is_what_is_looked_at(
    tmp_path: Path, path: str, heads: dict[str, str]
) -> None:
    """A coding, or a Content-Type that the body is not, hides nothing."""

    async def main() -> None:
        async with stack(tmp_path, answer(b"{}")) as made, aiohttp.ClientSession() as session:
            plain = json.dumps(image(INSIDE)["chat"]).encode()
            pack = {"gzip": gzip.compress, "deflate": zlib.compress}.get(
                heads.get("Content-Encoding", ""), bytes
            )
            got = await session.post(
                made.url + path, data=pack(plain), headers={"x-api-key": PLAIN, **heads}
            )
            assert got.status == 400
            assert (await got.json())["error"]["code"] == "media_url_not_allowed"
            assert made.upstream.seen == []

    run(main())
