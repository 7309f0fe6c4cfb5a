"""Rows for people: whole in a pipe, and as wide as a terminal where there is one."""

import sys

import pytest

from herd.verbs.told import Told

LONG = " ".join(["a-long-word", "and", "more"] * 9)


def test_rows_are_as_wide_as_the_terminal_and_whole_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told("mac1")
    told.row("updates", LONG)
    told.row("serves", "yes")

    assert told.text.splitlines()[1] == f"  {'updates':<12}{LONG}"

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    title, first, *rest, last = told.text.splitlines()
    assert (title, last) == ("mac1", f"  {'serves':<12}yes")
    assert first.startswith("  updates     a-long-word")
    assert all(line.startswith(" " * 14) and len(line) <= 60 for line in rest)
    assert " ".join([first, *rest]).split() == ["updates", *LONG.split()]
