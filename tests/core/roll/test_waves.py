"""Who is changed when: canaries first, gateways last, and never what nobody else serves."""

from dataclasses import replace

import pytest

from herd.core.roll.waves import (
    LastCopy,
    Member,
    in_order,
    last_copies,
    next_wave,
    single_copies,
)


def mac(name: str, *models: str, slots: int = 1, **more: object) -> Member:
    return Member(name, dict.fromkeys(models or ("m",), slots), **more)  # type: ignore[arg-type]


def names(members: list[Member]) -> list[str]:
    return [member.name for member in members]


def waves(herd: list[Member], most: int) -> list[list[str]]:
    """A whole roll, in which each Mac is back before the next wave."""
    waiting, found = in_order(herd), []
    while waiting:
        wave = next_wave(waiting, [replace(member, out="") for member in herd], most)
        waiting = [member for member in waiting if member not in wave]
        found.append(names(wave))
    return found


def test_who_was_left_comes_first_then_canaries_and_gateways_last() -> None:
    herd = [
        mac("gate", gateway=True),
        mac("b"),
        mac("bird", canary=True),
        mac("a"),
        mac("lost", left=True),
    ]

    assert names(in_order(herd)) == ["lost", "bird", "b", "a", "gate"]


def test_one_that_is_both_is_a_canary_as_somebody_said_so() -> None:
    assert names(in_order([mac("a"), mac("gate", gateway=True, canary=True)])) == ["gate", "a"]


@pytest.mark.parametrize(
    ("macs", "most", "expected"),
    [
        (4, 1, [1, 1, 1, 1]),
        (4, 2, [2, 2]),
        (4, 4, [2, 2]),
        (5, 9, [2, 2, 1]),
        (3, 2, [1, 1, 1]),
        (2, 2, [1, 1]),
        (1, 3, [1]),
    ],
)
def test_at_least_half_of_a_model_stays_in_service(
    macs: int, most: int, expected: list[int]
) -> None:
    assert list(map(len, waves([mac(f"mac{n}") for n in range(macs)], most))) == expected


def test_it_is_slots_that_count_and_each_model_for_itself() -> None:
    large = [mac("large", slots=8), mac("s1", slots=2), mac("s2", slots=2), mac("s3", slots=2)]
    assert waves(large, 3) == [["large"], ["s1", "s2", "s3"]]
    # Who serves something else may go along, past one that may not.
    mixed = [mac("a1", "a"), mac("a2", "a"), mac("b1", "b"), mac("b2", "b")]
    assert waves(mixed, 2) == [["a1", "b1"], ["a2", "b2"]]


def test_who_is_out_of_service_counts_as_gone() -> None:
    herd = [mac("a"), mac("b"), mac("c"), mac("d", out="maint")]

    assert names(next_wave(herd[:3], herd, 3)) == ["a"]


def test_canaries_prove_something_to_those_behind_them() -> None:
    herd = [mac("a"), mac("bird", canary=True), mac("b"), mac("c")]

    assert waves(herd, 2) == [["bird"], ["a", "b"], ["c"]]


def test_of_gateways_one_is_always_there() -> None:
    herd = [*(mac(name, gateway=True) for name in ("g1", "g2")), mac("a"), mac("b")]
    assert waves(herd, 2) == [["a", "b"], ["g1"], ["g2"]]
    lost = [replace(member, left=True) for member in herd]
    assert waves(lost, 2) == [["g1", "a"], ["g2", "b"]]


def test_the_last_that_serves_is_named_with_why_the_others_do_not() -> None:
    herd = [mac("a", "m", "n"), mac("b", out="drain: a new disk"), mac("c", "n")]

    (found,) = last_copies([herd[0]], herd)

    assert found == LastCopy("m", ["a"], {"b": "drain: a new disk"})
    assert str(found) == "m is served by a only now (b: drain: a new disk)"


def test_nothing_is_lost_by_who_serves_nothing() -> None:
    assert not list(last_copies([mac("a", out="down")], [mac("a", out="down")]))
    assert not single_copies([mac("a", out="down")], [mac("a", out="down")])


def test_what_only_one_is_to_serve_is_told_apart() -> None:
    herd = [mac("a", "m", "alias"), mac("b", "n"), mac("c", "n", out="down")]

    assert list(map(str, single_copies(herd, herd))) == [
        "alias is served by a only",
        "m is served by a only",
    ]


def test_who_is_changed_at_the_same_time_is_no_other_copy() -> None:
    herd = [mac("a"), mac("b")]

    assert [copy.macs for copy in last_copies(herd, herd)] == [["a", "b"]]
