"""The owner's word, and in which words others hear of it."""

import asyncio
import stat
from pathlib import Path

import pytest

from proxy.exchange import Reply
from proxy.readiness import availability
from proxy.readiness.availability import LONGEST_REASON, READY, State, Word
from proxy.readiness.readiness import Readiness


def ready(tmp_path: Path) -> Readiness:
    return Readiness(tmp_path / "availability.json")


def say(readiness: Readiness, state: State, reason: str = "") -> None:
    assert readiness.path is not None
    availability.write(readiness.path, availability.word(state, reason))
    readiness.look()


def test_a_word_is_read_as_it_was_written_and_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "availability.json"
    for said in (Word(State.DRAIN), Word(State.MAINT, 'a new "disk", für Anna'), READY):
        availability.write(path, said)

        assert availability.read(path) == said
        assert not path.exists() or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("reason", ["two\nlines", "x" * (LONGEST_REASON + 1), "\x1b[2J"])
def test_a_reason_is_one_short_line(reason: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        availability.word(State.DRAIN, reason)


@pytest.mark.parametrize("text", ["", "{", "[]", "drain", '{"state": "off"}', '{"reason": "x"}'])
def test_a_word_that_cannot_be_read_changes_nothing(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    readiness = ready(tmp_path)
    say(readiness, State.DRAIN)
    (tmp_path / "availability.json").write_text(text)
    readiness.look()

    assert readiness.word.state is State.DRAIN
    assert "does not say ready, drain or maint" in caplog.text


def test_it_holds_over_a_restart(tmp_path: Path) -> None:
    say(ready(tmp_path), State.MAINT, "memory")

    again = ready(tmp_path)
    assert again.agent_line() == "maint up"
    assert again.refuses(owner=False).startswith("This server is under maintenance: memory. ")


@pytest.mark.parametrize(
    ("state", "ending", "stuck", "slots", "line"),
    [
        (State.READY, False, {}, None, "ready up"),
        (State.READY, False, {}, 6, "ready maxconn:6 up"),
        (State.DRAIN, False, {}, None, "drain up"),
        (State.MAINT, False, {}, None, "maint up"),
        (State.READY, True, {}, None, "drain up"),
        (State.MAINT, True, {}, None, "maint up"),
        (State.READY, False, {"b": "", "a": ""}, None, "ready down #a model gives no token"),
        (State.DRAIN, False, {"a": ""}, 2, "drain maxconn:2 down #a model gives no token"),
    ],
)
def test_what_haproxy_is_told(
    tmp_path: Path, state: State, ending: bool, stuck: dict[str, str], slots: int | None, line: str
) -> None:
    readiness = ready(tmp_path)
    say(readiness, state)
    readiness.ending, readiness.slots = ending, lambda: slots
    readiness.stuck |= stuck

    assert readiness.agent_line() == line


def test_a_drained_mac_is_live_and_not_ready(tmp_path: Path) -> None:
    """And without llama-swap, or without tokens, it is neither. Strangers are told no names."""
    readiness = ready(tmp_path)
    health = 200

    async def fetch(target: str) -> Reply:
        assert target == "/health"
        return Reply(status=health)

    def state() -> tuple[str, str]:
        async def both() -> tuple[str, str]:
            return await readiness.not_live(fetch), await readiness.not_ready(fetch)

        return asyncio.run(both())

    assert state() == ("", "")
    say(readiness, State.DRAIN, "a new model")
    assert state() == ("", "drained")
    say(readiness, State.READY)
    readiness.stuck["gpt"] = "none in 60 s"
    assert state() == ("a model gives no token",) * 2
    readiness.stuck.clear()
    health = 503
    assert state() == ("no llama-swap", "no llama-swap")


def test_who_runs_the_mac_may_try_it_while_it_is_drained(tmp_path: Path) -> None:
    readiness = ready(tmp_path)
    for state, owner, refused in (
        (State.READY, False, False),
        (State.DRAIN, False, True),
        (State.DRAIN, True, False),
        (State.MAINT, True, True),
    ):
        say(readiness, state)
        assert bool(readiness.refuses(owner=owner)) is refused, (state, owner)


def test_what_a_gateway_sends_that_has_not_heard_of_a_drain_is_served(tmp_path: Path) -> None:
    """It asks how the Mac is each two seconds; a Mac that comes up drained was so before."""
    now = 0.0
    readiness = Readiness(tmp_path / "availability.json", clock=lambda: now)
    readiness.news = 5.0
    say(readiness, State.DRAIN, "a new model")
    for at, refused in ((4.9, False), (5.0, True)):
        now = at
        assert bool(readiness.refuses(owner=False, gateway=True)) is refused
        assert bool(readiness.unheard) is not refused
        assert readiness.refuses(owner=False)
        readiness.look()
    assert readiness.agent_line() == "drain up"
    say(readiness, State.READY)
    say(readiness, State.MAINT)
    assert readiness.refuses(owner=False, gateway=True)
    say(readiness, State.DRAIN)
    assert not readiness.refuses(owner=False, gateway=True)

    again = Readiness(tmp_path / "availability.json", clock=lambda: now)
    again.news = 5.0
    assert again.refuses(owner=False, gateway=True)
