"""Logs of several Macs are read as one."""

from herd.core.text.merged_logs import merged

A = ("a: ", ["2026-11-29T03:00:02.500Z INFO two", "  Traceback", "2026-11-29T03:00:04Z four"])
B = ("b: ", ["2026-11-29T03:00:01Z one", "2026-11-29T03:00:03Z three"])


def test_lines_come_in_the_order_of_time_with_what_belongs_to_them() -> None:
    said = [line.split()[-1] for _, line in merged([A, B])]

    assert said == ["one", "two", "Traceback", "three", "four"]


def test_a_log_without_times_comes_first_in_its_own_order() -> None:
    plain = ("s: ", ["[INFO] z", "[INFO] a"])

    assert merged([A, plain])[:2] == [("s: ", "[INFO] z"), ("s: ", "[INFO] a")]


def test_what_comes_before_the_first_time_is_as_old_as_that() -> None:
    begun = ("c: ", ["end of a line", "2026-11-29T03:00:02Z x"])

    assert [name for name, _ in merged([B, begun])] == ["b: ", "c: ", "c: ", "b: "]


def test_a_clock_that_was_set_back_does_not_turn_a_log_around() -> None:
    back = ("d: ", ["2026-11-29T03:00:09Z x", "2026-11-29T03:00:01Z y"])

    assert [line[-1] for _, line in merged([back])] == ["x", "y"]


def test_nothing_is_nothing() -> None:
    assert merged([]) == merged([("a: ", [])]) == []
