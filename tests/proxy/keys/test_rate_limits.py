"""Limits per name: when they refuse, what they tell, and how they recover."""

import pytest

from proxy.keys.key import Limits
from proxy.keys.rate_limits import DAY, Denied, Meter, duration

NOON = 20000 * DAY + DAY / 2


def denied(meter: Meter, now: float = 0, today: float = NOON) -> Denied:
    found = meter.enter(now, today)
    assert found
    return found


def test_no_limits_let_everything_in_and_tell_nothing() -> None:
    """The usual key of one person."""
    meter = Meter(Limits(), 0)
    meter.charge(10**9, NOON)

    assert all(meter.enter(0, NOON) is None for _ in range(1000))
    assert meter.headers(0, NOON) == []


def test_requests_per_minute_run_out_and_come_back_evenly() -> None:
    """Six a minute are one each ten seconds."""
    meter = Meter(Limits(rpm=6), 0)
    assert [meter.enter(0, NOON) for _ in range(6)] == [None] * 6

    assert denied(meter).headers() == [("Retry-After", "10")]
    assert "limit of 6 requests per minute. Try again in 10s." in denied(meter).message()
    assert denied(meter, now=9.5).headers() == [("Retry-After", "1")]
    assert meter.enter(10, NOON) is None
    assert denied(meter, now=10)


def test_tokens_per_minute_let_a_request_in_and_take_its_tokens_later() -> None:
    """What a request will cost is not known before; a debt is waited for."""
    meter = Meter(Limits(tpm=600), 0)
    assert meter.enter(0, NOON) is None
    meter.charge(700, NOON)

    assert denied(meter).wait == pytest.approx(10.1)
    assert meter.enter(11, NOON) is None


def test_tokens_given_back_count() -> None:
    """A stream charged by its events may turn out to have been cheaper."""
    meter = Meter(Limits(tpm=60, tpd=100), 0)
    meter.charge(100, NOON)
    meter.charge(-90, NOON)

    assert meter.enter(0, NOON) is None


def test_tokens_per_day_end_at_midnight_utc() -> None:
    """Clients are told not to try again by themselves before."""
    meter = Meter(Limits(tpd=100), 0)
    meter.charge(100, NOON)

    assert denied(meter).headers() == [("Retry-After", "43200"), ("x-should-retry", "false")]
    assert meter.enter(0, NOON + DAY / 2) is None


def test_requests_at_once() -> None:
    """The place becomes free when one ends."""
    meter = Meter(Limits(parallel=2), 0)
    assert [meter.enter(0, NOON), meter.enter(0, NOON)] == [None, None]

    assert denied(meter).headers() == [("Retry-After", "1")]
    meter.leave()
    assert meter.enter(0, NOON) is None


def test_refused_requests_use_nothing_up() -> None:
    """A client that keeps trying is let in when its time has come."""
    meter = Meter(Limits(rpm=1, parallel=5), 0)
    meter.enter(0, NOON)
    for now in range(60):
        denied(meter, now)

    assert meter.enter(60, NOON) is None
    assert meter.open == 2


def test_what_is_left_is_told_as_openai_does() -> None:
    """Requests and tokens; of the minute and the day, the one with less left."""
    meter = Meter(Limits(rpm=60, tpm=6000, tpd=5000), 0)
    meter.enter(0, NOON)
    meter.charge(3000, NOON)

    assert dict(meter.headers(0, NOON)) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "5000",
        "x-ratelimit-remaining-tokens": "2000",
        "x-ratelimit-reset-tokens": "12h0m0s",
    }


def test_changed_limits_keep_what_is_used() -> None:
    """A redeploy with another limit is no fresh start."""
    meter = Meter(Limits(rpm=2, tpd=10), 0)
    meter.enter(0, NOON)
    meter.charge(10, NOON)
    meter.limit(Limits(rpm=3), 0)

    assert [meter.enter(0, NOON), meter.enter(0, NOON)] == [None, None]
    assert denied(meter).what == "requests per minute"
    meter.limit(Limits(tpd=11), 0)
    assert meter.enter(0, NOON) is None
    assert meter.used(NOON) == 10


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.0121, "13ms"), (1, "1s"), (7.44, "7.5s"), (60, "1m0s"), (359.2, "6m0s"),
     (86399, "23h59m59s")],
)  # fmt: skip
def test_durations_read_as_openais(seconds: float, text: str) -> None:
    """Rounded up: waiting that long is enough."""
    assert duration(seconds) == text
