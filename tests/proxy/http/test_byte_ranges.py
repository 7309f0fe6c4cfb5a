"""Ranges of a file, by the RFC's rules."""

import pytest

from proxy.http.byte_ranges import NotThere, part_of

TAG = '"content"'


@pytest.mark.parametrize(
    ("asked", "size", "part"),
    [
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=0-9", 10, (0, 10)),
        ("bytes=3-5", 10, (3, 6)),
        ("bytes=3-", 10, (3, 10)),
        ("bytes=9-", 10, (9, 10)),
        ("bytes=3-99", 10, (3, 10)),
        ("bytes=3-" + "9" * 5000, 10, (3, 10)),
        ("bytes=-1", 10, (9, 10)),
        ("bytes=-10", 10, (0, 10)),
        ("bytes=-99", 10, (0, 10)),
        ("bytes=-" + "9" * 5000, 10, (0, 10)),
        ("BYTES=1-2", 10, (1, 3)),
        ("bytes= 1-2 ", 10, (1, 3)),
        ("bytes=60000000000-60000000001", 63 * 10**9, (60 * 10**9, 60 * 10**9 + 2)),
    ],
)
def test_one_range_is_that_part(asked: str, size: int, part: tuple[int, int]) -> None:
    assert part_of(size, [asked], [], TAG) == range(*part)


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-1,3-4", "bytes=5-4", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "bytes=--1",
     "bytes=1-2-3", "lines=0-1", "0-1", "", "bytes=+1-2", "bytes=1 - 2", "bytes=١-٢"],
)  # fmt: skip
def test_what_is_no_single_range_is_all_of_it(asked: str) -> None:
    assert part_of(10, [asked], [], TAG) is None


def test_no_range_and_two_headers_are_all_of_it() -> None:
    assert part_of(10, [], [], TAG) is None
    assert part_of(10, ["bytes=0-1", "bytes=0-1"], [], TAG) is None


@pytest.mark.parametrize(
    ("asked", "size"),
    [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-5", 0),
     ("bytes=" + "9" * 5000 + "-", 10)],
)  # fmt: skip
def test_a_range_behind_the_end_is_refused(asked: str, size: int) -> None:
    with pytest.raises(NotThere):
        part_of(size, [asked], [], TAG)


@pytest.mark.parametrize(
    ("conditions", "counts"),
    [
        ([], True),
        ([TAG], True),
        (['"another"'], False),
        (["W/" + TAG], False),
        (["Wed, 21 Oct 2026 07:28:00 GMT"], False),
        ([TAG, TAG], False),
    ],
)
def test_a_range_counts_only_for_the_content_that_the_client_has(
    conditions: list[str], counts: bool
) -> None:
    assert (part_of(10, ["bytes=2-3"], conditions, TAG) == range(2, 4)) is counts
    if not counts:  # also not as a refusal
        assert part_of(10, ["bytes=20-"], conditions, TAG) is None
