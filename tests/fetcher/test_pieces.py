"""The journal of an unfinished file: what it may vouch for, and when."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from fetcher.pieces import Pieces
from tests.fetcher.conftest import have, journal_of, leave, part_of, sha256

CONTENT = os.urandom(30_000)
NAME = "a/m.gguf"


def pieces(directory: Path) -> Pieces:
    places = part_of(directory, NAME, CONTENT), journal_of(directory, NAME, CONTENT)
    part, journal = (str(place.relative_to(directory)) for place in places)
    return Pieces(directory, NAME, part, journal, sha256(CONTENT), len(CONTENT))


@pytest.mark.parametrize(
    "journal",
    [
        "",
        "{",
        "[]",
        '{"ranges": [[0, 100]]}',
        '{"sha256": "SHA", "size": 30000, "have": 9, "ranges": [[0, 40000]]}',
        '{"sha256": "SHA", "size": 30000, "have": 9, "ranges": [[9, 3]]}',
        '{"sha256": "SHA", "size": 30000, "have": 9, "ranges": [[0, 20000]]}',
        '{"sha256": "SHA", "size": 30001, "have": 9, "ranges": [[0, 100]]}',
        '{"sha256": "000", "size": 30000, "have": 9, "ranges": [[0, 100]]}',
    ],
)
def test_a_journal_that_cannot_be_true_is_not_trusted(tmp_path: Path, journal: str) -> None:
    """The part has less than it says, it is of something else, or it is no journal."""
    leave(tmp_path, NAME, CONTENT, (0, 12345))
    assert pieces(tmp_path).have == 12345
    journal_of(tmp_path, NAME, CONTENT).write_text(journal.replace("SHA", sha256(CONTENT)))

    assert pieces(tmp_path).have == 0


def test_the_journal_says_what_is_where(tmp_path: Path) -> None:
    some = pieces(tmp_path)
    some.begin()
    some.write(20_000, CONTENT[20_000:])
    some.write(0, CONTENT[:10])
    before = have(tmp_path, NAME, CONTENT)
    asyncio.run(some.save())
    told = json.loads(journal_of(tmp_path, NAME, CONTENT).read_text())

    assert before == 0
    ranges = [[0, 10], [20_000, 30_000]]
    assert told == {"sha256": sha256(CONTENT), "size": 30_000, "have": 10_010, "ranges": ranges}
    assert list(pieces(tmp_path).gaps()) == [(10, 20_000)]


def test_all_bytes_are_one_less_until_they_are_verified(tmp_path: Path) -> None:
    """Other Macs would take them for verified."""
    some = pieces(tmp_path)
    some.begin()
    some.write(0, CONTENT)
    some.close()

    assert have(tmp_path, NAME, CONTENT) == 29_999
    assert pieces(tmp_path).whole


def test_a_journal_of_bytes_that_were_thrown_away_is_never_written(tmp_path: Path) -> None:
    """It was on its way to the disk in a thread."""

    async def scenario() -> None:
        some = pieces(tmp_path)
        some.begin()
        some.write(0, CONTENT[:100])
        saving = asyncio.ensure_future(some.save())
        some.clear()
        await saving

    asyncio.run(scenario())
    assert have(tmp_path, NAME, CONTENT) == 0
    assert pieces(tmp_path).have == 0


def test_who_leaves_a_file_without_bytes_leaves_nothing(tmp_path: Path) -> None:
    some = pieces(tmp_path)
    some.begin()
    assert have(tmp_path, NAME, CONTENT) == 0
    some.close()

    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
