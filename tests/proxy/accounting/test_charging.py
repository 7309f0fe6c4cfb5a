"""Limits, charges, revocation and the log, on the policy as the engine drives it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from proxy.accounting.charging import Ticket
from proxy.accounting.usage import Usage
from proxy.exchange import Reply
from proxy.policy import policy
from tests.proxy.support.policy import ANNA, PLAIN, ROOT, Desk, entry, error, until

STREAM = b"text/event-stream"
EVENT = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'
LAST = b'data: {"usage": {"prompt_tokens": 7, "completion_tokens": 5}}\n\ndata: [DONE]\n\n'


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "config.json", usage=Usage(tmp_path / "usage.db"))


def ticket(desk: Desk, key: str = ANNA, **more: Any) -> tuple[Any, Ticket]:
    request, met = desk.chat(key, **more)
    assert isinstance(met, Ticket), met
    return request, met


def refusal(desk: Desk, key: str = ANNA, **more: Any) -> Reply:
    _, met = desk.chat(key, **more)
    assert isinstance(met, Reply)
    return met


def used(desk: Desk) -> dict[tuple[str, str], tuple[int, ...]]:
    assert desk.usage
    return {(row.key, row.model): row[3:] for row in desk.usage.rows()}


class TestLimits:
    """429 in the client's dialect, and numbers on every answer."""

    def test_answers_tell_what_is_left(self, desk: Desk) -> None:
        """In llama-swap's answer, as lines to add."""
        desk.write(entry("anna", ANNA, rpm=10, tpm=1000))

        async def situation() -> None:
            _, met = ticket(desk)
            assert met.head(200, STREAM) == (
                b"x-ratelimit-limit-requests: 10\r\nx-ratelimit-remaining-requests: 9\r\n"
                b"x-ratelimit-reset-requests: 6s\r\nx-ratelimit-limit-tokens: 1000\r\n"
                b"x-ratelimit-remaining-tokens: 1000\r\nx-ratelimit-reset-tokens: 0ms\r\n"
            )

        asyncio.run(situation())

    @pytest.mark.parametrize("line", ["POST /v1/responses", "POST /v1/messages"])
    def test_over_the_limit(self, desk: Desk, line: str) -> None:
        """Both dialects have a word for it."""
        desk.write(entry("anna", ANNA, rpm=1))

        async def situation() -> None:
            ticket(desk)
            reply = refusal(desk, line=line)
            assert reply.status == 429
            assert error(reply)["type"] == "rate_limit_error"
            assert {name: value for name, value in reply.headers if name != "Content-Type"} == {
                "Retry-After": "60",
                "x-ratelimit-limit-requests": "1",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1m0s",
            }

        asyncio.run(situation())

    def test_tokens_of_a_running_stream_count_before_its_end(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By its events, and by its numbers once they are told."""
        monkeypatch.setattr(policy, "TICK", 0.01)
        desk.write(entry("anna", ANNA, tpm=20))

        async def situation() -> None:
            request, met = ticket(desk)
            met.head(200, STREAM)
            for _ in range(30):
                met.data(EVENT)
            await asyncio.sleep(0.1)
            assert refusal(desk).status == 429
            met.data(LAST)
            desk.end(request, met)
            ticket(desk)
            for _ in range(50):
                if used(desk).get(("anna", "gpt-oss")) == (1, 0, 7, 5):
                    break
                await asyncio.sleep(0.1)
            assert used(desk) == {("anna", "gpt-oss"): (1, 0, 7, 5)}

        asyncio.run(situation())

    def test_place_of_a_request_is_free_when_it_is_over_however_it_ended(self, desk: Desk) -> None:
        """Also if llama-swap was never reached."""
        desk.write(entry("anna", ANNA, parallel=1))

        async def situation() -> None:
            for status, how in ((200, "-"), (499, "cancelled"), (503, "-")):
                request, met = ticket(desk)
                assert refusal(desk).status == 429
                desk.end(request, met, status, how)

        asyncio.run(situation())

    def test_tokens_of_the_day_survive_a_restart(self, desk: Desk) -> None:
        """They are in the file."""
        desk.write(entry("anna", ANNA, tpd=10))
        assert desk.usage
        desk.usage.add("anna", "gpt-oss", prompt=4, completion=6)
        until(lambda: used(desk))

        async def situation() -> None:
            assert error(refusal(desk))["message"].startswith(
                "This API key has reached its limit of 10 tokens per day. Try again in "
            )

        asyncio.run(situation())

    def test_admin_routes_are_neither_limited_nor_charged(self, desk: Desk) -> None:
        """A dashboard asks all the time."""
        desk.write(entry("root", ROOT, scopes=["admin"], rpm=1))

        async def situation() -> None:
            for _ in range(3):
                request, met = ticket(desk, ROOT, model=None, line="GET /api/events")
                met.head(200, STREAM)
                desk.end(request, met)

        asyncio.run(situation())


class TestKeysThatChange:
    """While streams run."""

    def test_revoked_key_ends_its_streams_and_no_others(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a further request."""
        monkeypatch.setattr(policy, "TICK", 0.01)

        async def situation() -> None:
            ticket(desk, ANNA)
            ticket(desk, PLAIN)
            done, met = ticket(desk, ANNA)
            desk.end(done, met)
            desk.write(PLAIN)
            await asyncio.sleep(0.1)
            assert desk.aborted == ["broken off: key revoked"]

        asyncio.run(situation())

    def test_rotated_key_ends_with_its_entry(self, desk: Desk) -> None:
        """The successor's streams and the name's limits live on."""
        new, old_entry = ROOT, entry("anna", ANNA, expires="2099-01-01", rpm=2)

        async def situation() -> None:
            desk.write(old_entry, entry("anna", new, rpm=2))
            ticket(desk, ANNA)
            ticket(desk, new)
            assert refusal(desk, new).status == 429
            desk.write(entry("anna", new, rpm=2))
            desk.keys.reload()
            assert desk.aborted == ["broken off: key revoked"]
            assert refusal(desk, new).status == 429

        asyncio.run(situation())

    def test_broken_file_ends_nothing(self, desk: Desk) -> None:
        """The old keys stay."""

        async def situation() -> None:
            ticket(desk)
            desk.config.write_text("{")
            desk.keys.reload()
            assert desk.aborted == []
            ticket(desk)

        asyncio.run(situation())

    def test_nothing_wakes_up_while_nothing_runs(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An idle proxy costs no CPU."""
        monkeypatch.setattr(policy, "TICK", 0.01)

        async def situation() -> None:
            request, met = ticket(desk)
            desk.end(request, met)
            await asyncio.sleep(0.05)
            assert desk.policy._timer is None

        asyncio.run(situation())


class TestBooks:
    """What a request leaves behind."""

    def test_cancelled_stream_is_charged_by_its_events(self, desk: Desk) -> None:
        """And is an error in the books."""

        async def situation() -> None:
            request, met = ticket(desk)
            met.head(200, STREAM)
            for _ in range(3):
                met.data(EVENT)
            desk.end(request, met, how="cancelled")

        asyncio.run(situation())
        until(lambda: used(desk))
        assert used(desk) == {("anna", "gpt-oss"): (1, 1, 0, 3)}

    def test_model_that_never_answered_has_no_row_of_its_own(self, desk: Desk) -> None:
        """A client could fill the file with names."""

        async def situation() -> None:
            for number in range(5):
                request, met = ticket(desk, PLAIN, model=f"made-up-{number}")
                met.head(404, b"application/json")
                met.data(b'{"usage": {"prompt_tokens": 9}}')
                desk.end(request, met, 404)

        asyncio.run(situation())
        until(lambda: used(desk))
        assert used(desk) == {("#1", "other"): (5, 5, 0, 0)}

    def test_log_line_has_the_numbers_and_nothing_of_the_content(self, desk: Desk) -> None:
        """Not the query either."""

        async def situation() -> None:
            request, met = ticket(desk, line="POST /v1/chat/completions?secret=1")
            met.head(200, STREAM)
            desk.now += 0.25
            met.data(EVENT)
            met.data(LAST)
            desk.end(request, met, seconds=1.5)

        asyncio.run(situation())
        assert [line.text() for line in desk.log.lines] == [
            "id=id1 client=10.0.0.9 key=anna method=POST path=/v1/chat/completions status=200 "
            "time=1.500 sent=10 model=gpt-oss first=0.250 in=7 out=5"
        ]
