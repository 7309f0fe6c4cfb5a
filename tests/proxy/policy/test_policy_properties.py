"""What the policy promises, under anything in any order."""

import asyncio
import re
import string
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from proxy.accounting.charging import Ticket
from proxy.accounting.usage import Usage
from proxy.exchange import Reply, Request
from proxy.keys.key import Key, Limits
from proxy.keys.rate_limits import DAY, Meter
from tests.proxy.support.policy import ANNA, PLAIN, ROOT, Desk, entry

REPEATABLE = settings(derandomize=True, database=None, deadline=None, max_examples=300)
KNOWN = {PLAIN, ANNA, ROOT}
CHAT = "POST /v1/chat/completions"
STREAM = b"text/event-stream"
EVENT = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'
NOON = 20000 * DAY + DAY / 2


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk") / "config.json")


# -- Keys


@st.composite
def nearly_keys(draw: st.DrawFn) -> str:
    """Something like a key: changed by a letter, cut, doubled, in other letters."""
    key = draw(st.sampled_from(sorted(KNOWN)))
    at = draw(st.integers(0, len(key) - 1))
    letter = draw(st.sampled_from(string.printable + "\xe9\u212a\0"))
    return draw(
        st.sampled_from([
            key, key.upper(), key.title(), key.swapcase(), key[:at], key[at:], key + key,
            key[:at] + letter + key[at:], key[:at] + letter + key[at + 1 :], key[::-1],
            f'"{key}"', f"Bearer {key}", f"{key},{key}", key + "=", f"{key}\u200b",
        ])
    )  # fmt: skip


@REPEATABLE
@given(secret=nearly_keys(), scheme=st.sampled_from(["Bearer", "bearer", "BEARER", "bEaReR"]),
       pad=st.sampled_from(["", " ", "  "]))  # fmt: skip
def test_only_keys_are_keys(desk: Desk, secret: str, scheme: str, pad: str) -> None:
    """The scheme may have any case and the header any spaces around; the key not."""
    # One key named twice is one key.
    known = secret.strip() in KNOWN or secret.split(",") in [[key, key] for key in KNOWN]
    for headers in ({"Authorization": f"{scheme} {pad}{secret}{pad}"},
                    {"x_api_key": f"{pad}{secret}{pad}"}):  # fmt: skip
        caller = desk.policy.authenticate(desk.request(CHAT, **headers))
        assert isinstance(caller, Reply) is not known
        if isinstance(caller, Reply):
            assert caller.status == 401
            assert secret.encode() not in caller.body or len(secret) < 8


@REPEATABLE
@given(
    scheme=st.text(string.ascii_letters + "-_.: \t", max_size=8)
    | st.sampled_from(["Basic", "Token", "xBearer", "Bearers", "Bearer,", "Bearer:", "Bearer\t"])
)
def test_no_other_scheme_is_one(desk: Desk, scheme: str) -> None:
    """Not Basic, none, nor one that only looks like it."""
    assume(scheme.lower() != "bearer" and not scheme.lower().startswith("bearer "))
    caller = desk.policy.authenticate(desk.request(CHAT, Authorization=f"{scheme} {ANNA}"))
    assert isinstance(caller, Reply)


# -- Models

names = st.text("abgpt-./:*?[]!^0 \n", min_size=1, max_size=8)


def like(pattern: str) -> re.Pattern[str]:
    """A pattern of `*` and `?` only, understood anew."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(c) or re.escape(c) for c in pattern), re.DOTALL)


@REPEATABLE
@given(model=names, patterns=st.lists(names.filter(lambda p: "[" not in p), min_size=1, max_size=3))
@example("gpt-4\n", ["gpt-4"])
@example("GPT-4", ["gpt-*"])
@example("xgpt-4", ["gpt-*"])
def test_patterns_match_all_of_a_name(model: str, patterns: list[str]) -> None:
    """As a shell's do, in the case they are written in."""
    key = Key(name="k", digest=b"", models=tuple(patterns))

    assert key.may_use(model) is any(like(p).fullmatch(model) is not None for p in patterns)
    assert not key.may_use(None)


# -- Limits


@REPEATABLE
@given(rpm=st.integers(1, 20), waits=st.lists(st.floats(0, 40), min_size=1, max_size=80))
def test_any_window_has_what_the_bucket_holds_and_what_flows_in(
    rpm: int, waits: list[float]
) -> None:
    """At most `rpm` at once, and `rpm` more per minute of the window."""
    meter, now, times = Meter(Limits(rpm=rpm), 0), 0.0, []
    for wait in waits:
        now += wait
        if meter.enter(now, NOON) is None:
            times.append(now)
            meter.leave()
    for first in range(len(times)):
        for last in range(first, len(times)):
            allowed = rpm + (times[last] - times[first]) * rpm / 60
            assert last - first + 1 <= allowed + 1e-6


@REPEATABLE
@given(
    limits=st.builds(Limits, rpm=st.integers(1, 100)) | st.builds(Limits, tpm=st.integers(1, 1000)),
    burst=st.integers(1, 200),
)
def test_who_waits_as_told_gets_in(limits: Limits, burst: int) -> None:
    """`Retry-After` is neither too short nor, by more than its rounding, too long."""
    meter, now = Meter(limits, 0), 0.0
    for _ in range(burst):
        if (denied := meter.enter(now, NOON)) is not None:
            assert meter.enter(now + denied.wait * 0.99 - 0.001, NOON) is not None
            told = int(dict(denied.headers())["Retry-After"])
            assert told < denied.wait + 1 + 1e-6 or told == 1
            now += told + 1e-6
            assert meter.enter(now, NOON) is None
        meter.leave()
        meter.charge(7, NOON)


@REPEATABLE
@given(tpd=st.integers(1, 500), costs=st.lists(st.integers(0, 120), max_size=40))
def test_a_day_is_overdrawn_by_one_request_at_most(tpd: int, costs: list[int]) -> None:
    """And the next day begins with nothing used."""
    meter, used = Meter(Limits(tpd=tpd), 0), 0
    for cost in costs:
        admitted = meter.enter(0, NOON) is None
        assert admitted is (used < tpd)
        if admitted:
            used += cost
            meter.charge(cost, NOON)
            meter.leave()
    assert meter.used(NOON) == used
    assert meter.enter(0, NOON + DAY) is None


# -- The books

moves = st.lists(
    st.tuples(
        st.sampled_from(["begin", "events", "numbers", "end", "cancel", "settle"]),
        st.integers(0, 5), st.integers(0, 30),
    ),
    max_size=40,
)  # fmt: skip


@settings(REPEATABLE, max_examples=60)
@given(moves=moves, parallel=st.integers(1, 4))
def test_books_are_the_sum_of_what_was_charged(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, int, int]], parallel: int
) -> None:
    """However streams begin, end and are charged in between; and no more run than may."""
    asyncio.run(_keep_books(tmp_path_factory.mktemp("books"), moves, parallel))


async def _keep_books(directory: Path, moves: list[tuple[str, int, int]], parallel: int) -> None:
    usage = Usage(directory / "usage.db")
    desk = Desk(directory / "config.json", usage=usage)
    desk.write(entry("anna", ANNA, parallel=parallel, tpd=2**40), PLAIN)
    running: list[tuple[Request, Ticket, list[int]]] = []  # events, prompt and completion told
    sums: Counter[str] = Counter()

    def end(number: int, how: str) -> None:
        request, ticket, (events, prompt, completion) = running.pop(number % len(running))
        desk.end(request, ticket, how=how)
        told = (prompt, completion) if (prompt or completion) else (0, events)
        if how != "-":
            told = (prompt, max(completion, events))
        sums["prompt"] += told[0]
        sums["completion"] += told[1]
        sums["errors"] += how != "-"

    for move, number, amount in moves:
        if move == "begin":
            request, met = desk.chat(ANNA)
            assert isinstance(met, Reply) is (len(running) >= parallel)
            if isinstance(met, Reply):
                assert met.status == 429
                continue
            met.head(200, STREAM)
            running.append((request, met, [0, 0, 0]))
            sums["requests"] += 1
        elif move == "settle":
            desk.policy._books.settle()
        elif running:
            _, ticket, counts = running[number % len(running)]
            if move == "events" and not counts[2]:
                ticket.data(EVENT * amount)
                counts[0] += amount
            elif move == "numbers" and not counts[2]:
                ticket.data(
                    b'data: {"usage": {"prompt_tokens": %d, "completion_tokens": %d}}\n\n'
                    % (number, amount + 1)
                )
                counts[:] = counts[0] + 1, number, amount + 1
            elif move in ("end", "cancel"):
                end(number, "-" if move == "end" else "cancelled")
    while running:
        end(0, "-")
    meter = desk.policy._meters._meters.get("anna")
    usage.close()

    rows = [row for row in usage.rows() if row.key == "anna"]
    written = {name: sum(getattr(row, name) for row in rows)
               for name in ("requests", "errors", "prompt", "completion")}  # fmt: skip
    assert written == {name: sums[name] for name in written}
    if meter is not None:
        assert meter.open == 0
        assert meter.used(time.time()) == sums["prompt"] + sums["completion"]
