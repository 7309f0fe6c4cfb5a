"""What lines say of sizes, rates and times: pure."""

import pytest

from fetcher.pace import STILL, WINDOW, Pace
from fetcher.progress import complete, human, line

GIB, MIB, KIB = 1 << 30, 1 << 20, 1 << 10


@pytest.mark.parametrize(
    ("done", "total", "told"),
    [
        (0, 0, "0.0 KiB of 0.0 KiB"),
        (12345, 80_000, "12.1 KiB of 78.1 KiB"),
        (1, MIB // 5, "0.0 MiB of 0.2 MiB"),
        (100 * MIB, 120 * MIB, "100.0 MiB of 120.0 MiB"),
        (GIB - MIB, GIB, "1.00 GiB of 1.00 GiB"),
        (100 * MIB, 8 * GIB, "0.10 GiB of 8.00 GiB"),
        (300 * MIB, 58 * GIB, "0.3 GiB of 58.0 GiB"),
    ],
)
def test_a_part_has_the_unit_of_its_whole(done: int, total: int, told: str) -> None:
    assert f"{human(done, total)} of {human(total)}" == told


def test_a_line_has_a_rate_and_a_time_or_what_is_waited_for() -> None:
    moving = line(MIB, 8 * MIB, 3.5 * MIB, "waiting for mac2")

    assert moving == "12%, 1.0 MiB of 8.0 MiB, 3.5 MiB/s, 0:00:02 left"
    assert line(MIB, 8 * MIB, 0, "waiting for mac2") == "12%, 1.0 MiB of 8.0 MiB, waiting for mac2"
    assert line(MIB, 8 * MIB, 0) == "12%, 1.0 MiB of 8.0 MiB"


def note(pace: Pace, since: float, until: float, begun_at: float, rate: float) -> float:
    """Five looks a second; the bytes that are there in the end."""
    for n in range(round((until - since) * 5)):
        pace.note(since + n / 5, int(begun_at + rate * n / 5))
    return begun_at + rate * (until - since)


def test_a_rate_is_that_of_late() -> None:
    pace = Pace()
    done = note(pace, 0, 100, 0, 1000)
    note(pace, 100, 101 + WINDOW, done, 50)

    assert pace.rate(101 + WINDOW) == pytest.approx(50, rel=0.05)


def test_what_does_not_move_has_no_rate() -> None:
    pace = Pace()
    done = note(pace, 0, 20, 0, 1000)
    note(pace, 20, 21 + STILL, done, 0)

    assert pace.rate(20) > 0
    assert pace.rate(21 + STILL) == 0


@pytest.mark.parametrize("pause", [STILL + 1, 3600])
def test_a_pause_does_not_count(pause: float) -> None:
    """Neither before the first byte nor between two."""
    pace = Pace()
    note(pace, 0, pause, 0, 0)
    assert pace.rate(pause) == 0
    done = note(pace, pause, pause + 3, 0, 1000)
    assert pace.rate(pause + 3) == pytest.approx(1000, rel=0.05)
    note(pace, pause + 3, 2 * pause + 3, done, 0)
    note(pace, 2 * pause + 3, 2 * pause + 6, done, 1000)

    assert pace.rate(2 * pause + 6) == pytest.approx(1000, rel=0.1)


def test_bytes_that_were_wrong_do_not_count() -> None:
    pace = Pace()
    note(pace, 0, 10, 5_000_000, 1000)
    note(pace, 10, 12, 0, 400)

    assert pace.rate(12) == pytest.approx(400, rel=0.05)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, " (all was there)"),
        ({"the Hub": 8 * MIB}, " (all from the Hub)"),
        ({"the Hub": 3 * MIB}, " (3.0 MiB from the Hub)"),
        ({"the Hub": 3 * MIB, "mac2": 5 * MIB}, " (5.0 MiB from mac2, 3.0 MiB from the Hub)"),
        ({"the Hub": 0, "mac2": 8 * MIB}, " (8.0 MiB from mac2)"),
    ],
)
def test_the_last_line_says_where_from_if_there_are_others(
    given: dict[str, int], told: str
) -> None:
    assert complete(8 * MIB, given, "the Hub", alone=False) == f"complete, 8.0 MiB{told}"
    assert complete(8 * MIB, {"the Hub": 8}, "the Hub", alone=True) == "complete, 8.0 MiB"
