"""Counters that rise, that are new, and that begin anew with their program."""

import pytest

from herd.core.live.counters import increase


@pytest.mark.parametrize(
    ("before", "after", "rose"),
    [
        ({}, {}, {}),
        ({"a": 5.0}, {"a": 5.0}, {"a": 0.0}),
        ({"a": 5.0}, {"a": 7.5}, {"a": 2.5}),
        ({"a": 5.0}, {"a": 6.0, "b": 3.0}, {"a": 1.0, "b": 3.0}),
        # Lower than it was: a new program, of which all is since its start.
        ({"a": 5.0}, {"a": 2.0}, {"a": 2.0}),
        ({"a": 5.0, "b": 1.0}, {"a": 2.0, "b": 9.0}, {"a": 2.0, "b": 9.0}),
        # Gone is lower, too.
        ({"a": 5.0, "b": 1.0}, {"b": 9.0}, {"b": 9.0}),
        ({"a": 5.0}, {}, {}),
        # What stood at nothing may be gone without that.
        ({"a": 5.0, "b": 0.0}, {"a": 6.0, "b": 0.0}, {"a": 1.0, "b": 0.0}),
    ],
)
def test_what_they_rose_by(
    before: dict[str, float], after: dict[str, float], rose: dict[str, float]
) -> None:
    assert increase(before, after) == rose
