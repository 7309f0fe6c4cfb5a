"""What needs no disk and no network: ranges, and whose turn it is."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetcher.ranges import Ranges
from fetcher.spec import File, Patience
from fetcher.who_fetches import FromHub, FromPeers, Host, Told, Waiting, order, source

SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=20)
PATIENCE = Patience()
NOW = 1000.0


@settings(deadline=None)
@given(SPANS)
def test_ranges_are_the_bytes_that_were_added(spans: list[tuple[int, int]]) -> None:
    ranges, wanted = Ranges(), set[int]()
    for start, end in spans:
        ranges.add(start, end)
        wanted |= set(range(start, end))
    found = list(ranges)

    assert {n for start, end in found for n in range(start, end)} == wanted
    assert ranges.total == len(wanted)
    # Sorted, and none touches the next.
    assert all(a[1] < b[0] for a, b in pairwise(found))
    gaps = {n for start, end in ranges.gaps(45) for n in range(start, end)}
    assert gaps == set(range(45)) - wanted


def split(number: int, of: int = 9, stem: str = "q/big") -> File:
    return File(f"{stem}-{number:05}-of-{of:05}.gguf", 1000, f"{number:064x}", "http://hub/x")


FILE = split(1)
NAMES = [f"mac{n}" for n in range(1, 5)]
ORDER = order(FILE, NAMES)


def test_the_splits_of_a_model_go_round() -> None:
    firsts = [order(split(number), NAMES)[0] for number in range(1, 9)]

    assert {name: firsts.count(name) for name in NAMES} == dict.fromkeys(NAMES, 2)


def test_all_macs_find_the_same_order_with_everybody_in_it() -> None:
    for number in range(1, 9):
        orders = [order(split(number), names) for names in (NAMES, NAMES[::-1], {*NAMES})]
        assert orders[0] == orders[1] == orders[2]
        assert sorted(orders[0]) == NAMES


def host(name: str, have: int | None = None, **more: Any) -> Host:
    """Another Mac that is there, with some bytes of the file."""
    grown, proven = more.pop("grown", NOW), more.pop("proven", True)
    files = {} if have is None else {FILE.sha256: Told(have, FILE.size, grown, proven)}
    return Host(name, **{"alive": True, "since": NOW, "sign": NOW, "files": files, **more})


def chosen(
    me: str, *hosts: Host, have: int = 0, claimed: bool = False, begun: bool = False, out: Any = ()
) -> Any:
    return source(
        FILE, {h.name: h for h in hosts}, me, have=have, claimed=claimed or begun, begun=begun,
        out=frozenset(out), now=NOW, patience=PATIENCE,
    )  # fmt: skip


def test_alone_it_is_ours() -> None:
    assert chosen("mac1") == FromHub()


def test_who_has_it_gives_it() -> None:
    holders = [host("mac2", 1000), host("mac3", 1000), host("mac4", 500)]

    assert chosen("mac1", *holders) == FromPeers(("mac2", "mac3"))
    assert chosen("mac1", *holders, out={"mac2"}, claimed=True) == FromPeers(("mac3",))


def test_one_of_another_size_is_not_it() -> None:
    other = host("mac2")
    other.files[FILE.sha256] = Told(900, 900, NOW, True)

    assert not isinstance(chosen("mac1", other), FromPeers)


def test_each_waits_for_the_first() -> None:
    first, *others = ORDER

    assert chosen(first, *map(host, others)) == FromHub()
    for me in others:
        hosts = [host(name) for name in NAMES if name != me]
        assert chosen(me, *hosts) == Waiting(first, begun=False)


def test_who_is_gone_or_does_not_begin_is_passed_over() -> None:
    first, second, *others = ORDER
    rest = [host(name) for name in others]

    assert chosen(second, host(first, alive=False), *rest) == FromHub()
    assert chosen(second, host(first, sign=NOW - 16), *rest) == FromHub()


def test_each_has_its_time_to_begin() -> None:
    first, second, third, last = ORDER
    silent = [host(name, sign=NOW - 16) for name in (first, second)]
    longer = [host(name, sign=NOW - 31) for name in (first, second)]

    assert chosen(third, *silent, host(last)) == Waiting(second, begun=False)
    assert chosen(third, *longer, host(last)) == FromHub()
    # From when another went no further, though these were silent all the while.
    died = host(last, 500, grown=NOW - 61)
    assert chosen(third, *longer, died) == Waiting(first, begun=False)


def test_who_fetches_it_is_waited_for_whoever_is_first() -> None:
    first, *_, last = ORDER

    assert chosen(first, host(last, 500)) == Waiting(last, begun=True)


def test_who_goes_on_no_further_is_passed_over() -> None:
    first, *_, last = ORDER

    assert chosen(first, host(last, 500, grown=NOW - 61)) == FromHub()
    # One byte less than all of it: that is being verified, which takes its time.
    assert chosen(first, host(last, 999, grown=NOW - 60)) == Waiting(last, begun=True)
    assert chosen(first, host(last, 999, grown=NOW - 61)) == FromHub()


def test_bytes_of_a_run_that_died_are_not_waited_for_long() -> None:
    first, *_, last = ORDER

    assert chosen(first, host(last, 500, proven=False)) == Waiting(last, begun=True)
    assert chosen(first, host(last, 500, proven=False, grown=NOW - 4)) == FromHub()


WAITING = Waiting("mac1", begun=True)


@pytest.mark.parametrize(
    ("mine", "theirs", "found"),
    [(500, 400, FromHub()), (400, 500, WAITING), (0, 0, WAITING), (500, 510, WAITING)],
)
def test_of_two_that_fetch_the_same_one_stops(mine: int, theirs: int, found: Any) -> None:
    """Where they have the same, but for a little, it is the name."""
    one = chosen("mac2", host("mac1", theirs), have=mine, begun=True)
    other = chosen("mac1", host("mac2", mine), have=theirs, begun=True)

    assert (one == FromHub()) != (other == FromHub())
    assert one == found


def test_who_has_not_begun_makes_way() -> None:
    assert chosen("mac1", host("mac2", 0), claimed=True) == Waiting("mac2", begun=True)


@settings(deadline=None)
@given(st.integers(0, 999), st.integers(0, 999), st.integers(0, 300), st.integers(0, 300))
def test_what_is_known_late_never_stops_both(a: int, b: int, late_a: int, late_b: int) -> None:
    one = chosen("mac1", host("mac2", max(0, b - late_b)), have=a, begun=True)
    other = chosen("mac2", host("mac1", max(0, a - late_a)), have=b, begun=True)

    assert FromHub() in (one, other)
