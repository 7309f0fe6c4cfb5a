"""URLs of media in a body: found however they are written and cut, and nothing else is."""

import json
import random
from typing import Any

import pytest

from proxy.media import ENOUGH, Inspection, faults_of_prefixes

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
        ["https://A/"],
        ["*"],
    ],
)
def test_beginnings_that_are_none(prefixes: object) -> None:
    assert faults_of_prefixes(prefixes)


def test_beginnings() -> None:
    assert faults_of_prefixes(["https://images.example.com/", "http://10.0.0.5:8000/a/"]) == []
    assert faults_of_prefixes([]) == []
