"""What an option of a verb may be, said before any Mac is asked."""

import argparse
import re
from datetime import date


def positive(text: str) -> int:
    """A number of something that there has to be."""
    if not text.isdecimal() or not 0 < int(text) < 10**6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return int(text)


def days_or_date(text: str) -> str:
    """As the proxy's books take it (proxy/accounting/usage.py), said before any Mac is asked."""
    days = re.fullmatch(r"[0-9]{1,5}d", text)
    try:
        if not days:
            date.fromisoformat(text)
    except ValueError:
        words = f"{text!r} is neither days as 7d nor a date as 2026-12-31"
        raise argparse.ArgumentTypeError(words) from None
    return text


def minutes(text: str) -> int:
    """0, or at least a minute: a Mac that is as it should be is to be left alone."""
    if not text.isdigit() or int(text) > 7 * 24 * 60:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes up to a week")
    return int(text)


def seconds(text: str) -> float:
    """Shorter, and a Mac would be asked more than it does else."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.5 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.5 to 3600")
    return value
