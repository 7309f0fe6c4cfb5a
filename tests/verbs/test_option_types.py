"""What a person types is refused before any Mac is asked, in words that say what is wanted."""

from argparse import ArgumentTypeError

import pytest

from herd.verbs.option_types import days_or_date, minutes, positive, seconds


@pytest.mark.parametrize("text", ["-5", "0", "96GB", "x", "", "1.5", "1000000"])
def test_a_number_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=rf"^'{text}' is no number of 1 or more"):
        positive(text)


@pytest.mark.parametrize("text", ["7x", "2026-13-45", "-1d", "d", "yesterday"])
def test_a_day_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f"^'{text}' is neither days as 7d nor a date"):
        days_or_date(text)


def test_what_is_meant_is_taken() -> None:
    assert (positive("1"), positive("96")) == (1, 96)
    assert [days_or_date(text) for text in ("7d", "2026-11-29")] == ["7d", "2026-11-29"]
    assert (minutes("0"), minutes("60")) == (0, 60)
    assert [seconds(text) for text in ("0.5", "2", "3600")] == [0.5, 2.0, 3600.0]


@pytest.mark.parametrize("text", ["0", "0.4", "-1", "3601", "nan", "inf", "x", ""])
def test_an_interval_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f"^'{text}' is no number of seconds"):
        seconds(text)
