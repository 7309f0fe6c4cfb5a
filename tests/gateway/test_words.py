"""What a person may write comes to a real HAProxy exactly, or is refused before."""

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from herd.core.files import templates
from herd.core.gateway import fleet
from herd.core.gateway.fleet import Gateway, Mac, Pool, Share
from herd.core.text.quoting import haproxy_quote
from tests.core.samples import HOSTILE, HOSTILE_NAMES
from tests.gateway.gateway import Answer, Running, chat, refusal, running

# What HAProxy itself reads as more than text, in one place or another.
THEIRS = [*HOSTILE, *HOSTILE_NAMES, "%[src]", "%ci", "${HOME}", '"$HOME"', "{ src }", "a,b(c)", "]"]


def sample(**other: object) -> Gateway:
    macs = [Mac("mac1", "127.0.0.1", 3000), Mac("mac2", "::1", 3000, agent_port=3001)]
    pools = [Pool(["one", "uno"], [Share(mac, 2, 100) for mac in macs])]
    made = Gateway(macs, pools, "{}", 18080, 5, 60, 64 * 1024, ["x-session-id"], ".")
    return replace(made, **other)  # type: ignore[arg-type]


def test_quoted_words_come_back_as_they_were(tmp_path: Path) -> None:
    """All in one file, each the text of an answer of its own."""
    listing = json.dumps(dict.fromkeys(THEIRS, "x"), ensure_ascii=False)
    with running(tmp_path, {"big": {"mac1": 1}}, listing=listing) as herd:
        text = templates.haproxy(herd.gateway)
        rules = "".join(
            f"  http-request return status 200 content-type text/plain string {haproxy_quote(word)}"
            f" if {{ path /{number} }}\n"
            for number, word in enumerate(THEIRS)
        )
        marker = "  # Which model:"
        with pytest.MonkeyPatch.context() as patched:
            changed = text.replace(marker, rules + marker)
            patched.setattr(templates, "haproxy", lambda gateway: changed)
            herd.reload()

        for number, word in enumerate(THEIRS):
            assert herd.ask(path=f"/{number}", method="GET").body.decode() == word
        assert herd.ask(path="/v1/models", method="GET").body.decode() == listing


@pytest.mark.parametrize("word", ["a\nb", "a\rb", "a\0b", "\x7f", "a\u2028b"])
def test_what_no_line_can_hold_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="U\\+"):
        haproxy_quote(word)


def test_models_and_macs_may_have_any_names(tmp_path: Path) -> None:
    """They are asked for in the proxy's words, as a body may hold escapes that HAProxy cannot."""
    pools = {name: {HOSTILE_NAMES[number % 4]: 1} for number, name in enumerate(HOSTILE)}
    with running(tmp_path, pools) as herd:
        for name, slots in pools.items():
            answer = ask_for(herd, name)
            (mac,) = slots
            assert answer.json["served"] == mac
            assert answer.by == fleet.plain(mac)


def ask_for(herd: Running, name: str) -> Answer:
    return herd.ask(chat(name), x_herd_model=quote(name, safe="/:+@~"))


def test_a_body_in_utf_8_names_them_too(tmp_path: Path) -> None:
    with running(tmp_path, {"naïve-模型-🦙": {"mac1": 1}}) as herd:
        body = json.dumps(chat("naïve-模型-🦙"), ensure_ascii=False).encode()
        assert herd.ask(body).json["served"] == "mac1"


@pytest.mark.parametrize("name", HOSTILE)
def test_no_two_names_are_one_to_haproxy(name: str) -> None:
    made = {fleet.plain(other) for other in {*HOSTILE, *HOSTILE_NAMES, "two_words", "naïve"}}

    assert len(made) == len({*HOSTILE, *HOSTILE_NAMES, "two_words", "naïve"})
    assert fleet.plain(name) in made


def test_a_large_herd_is_taken(tmp_path: Path) -> None:
    """Thirty Macs, twenty models, names and addresses of every kind."""
    macs = [Mac(f"mac{n}.example.com", f"10.0.{n}.1", 3000, False, 3001) for n in range(30)]
    pools = [
        Pool([f"{HOSTILE[n % len(HOSTILE)]}-{n}", f"alias {n}"], [Share(m, 4, 32) for m in macs])
        for n in range(20)
    ]

    assert refusal(templates.haproxy(sample(macs=macs, pools=pools)), tmp_path) == ""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "studio.invalid"])
def test_a_mac_that_cannot_be_found_keeps_no_gateway_from_starting(
    tmp_path: Path, address: str
) -> None:
    mac = Mac("mac1", address, 3000, agent_port=3001)

    pools = [Pool(["one"], [Share(mac, 1, 100)])]
    assert refusal(templates.haproxy(sample(macs=[mac], pools=pools)), tmp_path) == ""


def test_a_path_may_hold_anything(tmp_path: Path) -> None:
    name = 'it\'s a "$HOME" `dir` #1'
    (tmp_path / name).mkdir()
    (tmp_path / name / "gateway.key").write_text("x\n")

    assert refusal(templates.haproxy(sample(directory=name)), tmp_path) == ""
