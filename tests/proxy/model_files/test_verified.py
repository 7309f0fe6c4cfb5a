"""What is whole and what is under way, read from receipts and journals that anything may be in."""

import asyncio
import os
from pathlib import Path

import pytest

from proxy.model_files.verified import VerifiedFiles, stock_of
from tests.proxy.support.files import journal, mtime_of, open_files, put, sha256_of, vouch

CONTENT = b"a model" * 1000


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    return tmp_path / "model"


def whole(top: Path) -> set[str]:
    return set(stock_of(str(top.parent)).whole)


def test_verified_files_of_all_models_are_found_by_content(top: Path) -> None:
    first = put(top, "a.gguf", b"a")
    second = put(top, "sub dir/deep/b-00001-of-00002.gguf", b"bb")
    third = put(top.parent / "other", "ü \n.gguf", b"ccc")
    empty = put(top, "empty", b"")

    stock = stock_of(str(top.parent))
    assert {sha256: file.size for sha256, file in stock.whole.items()} == {
        first: 1, second: 2, third: 3, empty: 0,
    }  # fmt: skip
    assert not stock.under_way


def test_a_directory_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    stock = stock_of(str(tmp_path / "none"))

    assert not stock.whole
    assert not stock.under_way


def test_a_models_directory_may_be_a_link_to_another_disk(tmp_path: Path) -> None:
    sha256 = put(tmp_path / "disk" / "model", "a.gguf", CONTENT)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model").symlink_to(tmp_path / "disk" / "model")
    (tmp_path / "all").symlink_to(tmp_path / "models")

    assert set(stock_of(str(tmp_path / "models")).whole) == {sha256}
    assert set(stock_of(str(tmp_path / "all")).whole) == {sha256}


def test_a_file_that_has_changed_is_not_whole(top: Path) -> None:
    """Written in place, cut, touched, or replaced by another of the same size and time."""
    for number, name in enumerate(("written", "cut", "touched", "replaced", "gone")):
        put(top, name, CONTENT + bytes([number]))
    untouched = put(top, "untouched", CONTENT)
    assert len(whole(top)) == 6

    (top / "written").write_bytes(CONTENT[::-1] + b"0")
    os.truncate(top / "cut", 10)
    os.utime(top / "touched", ns=(1, 1))
    times = (top / "replaced").stat()
    (top / "new").write_bytes(CONTENT[::-1] + b"3")
    os.utime(top / "new", ns=(times.st_atime_ns, times.st_mtime_ns))
    (top / "new").replace(top / "replaced")
    (top / "gone").unlink()

    assert whole(top) == {untouched}


def test_a_time_in_the_receipt_is_of_the_nanosecond(top: Path) -> None:
    """Nine decimals, so that a leading zero is none that is left out."""
    sha256 = put(top, "a", CONTENT)
    os.utime(top / "a", ns=(1_700_000_000_000_000_123, 1_700_000_000_000_000_123))
    vouch(top, "a", sha256)

    assert mtime_of(top / "a").endswith(".000000123")
    assert whole(top) == {sha256}
    os.utime(top / "a", ns=(1_700_000_000_000_000_124, 1_700_000_000_000_000_124))
    assert not whole(top)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:70],
        lambda text: text.upper(),
        lambda text: "-" + text[64:],
        lambda text: text[1:],
        lambda text: text.replace(" ", "  ", 1),
        lambda text: text + text,
        lambda text: text.replace(".", ","),
        lambda text: text.replace("fetched", ""),
        lambda text: text.replace("fetched", "é"),
        lambda text: text + "x" * 2**20,
        lambda text: "\0" * 100,
    ],
)
def test_a_receipt_that_is_malformed_vouches_for_nothing(top: Path, change: object) -> None:
    assert callable(change)
    good = put(top, "good", b"good")
    put(top, "a", CONTENT)
    receipt = top / ".herd" / "a.receipt"
    receipt.write_text(change(receipt.read_text()))

    assert whole(top) == {good}


def test_a_receipt_that_is_no_file_is_not_waited_for(top: Path, tmp_path: Path) -> None:
    """A pipe, a directory, a link to a good receipt."""
    good = put(top, "good", b"good")
    (top / "linked").write_bytes(b"good")
    (top / ".herd" / "linked.receipt").symlink_to(top / ".herd" / "good.receipt")
    os.mkfifo(top / ".herd" / "pipe.receipt")
    os.mkfifo(top / ".herd" / "pipe.0123456789ab.pieces")
    (top / ".herd" / "directory.receipt").mkdir()

    assert whole(top) == {good}


def test_no_receipt_leads_out_of_its_model(top: Path) -> None:
    """By `..`, by a link in the place of the file, or of a directory on the way to it."""
    secret = top.parent.parent / "secret"
    secret.mkdir(exist_ok=True)
    (secret / "key").write_bytes(CONTENT)
    sha256 = sha256_of(CONTENT)
    vouch(secret, "key", sha256)
    text = (secret / ".herd" / "key.receipt").read_text()
    herd = top / ".herd"
    herd.mkdir()
    (top / "link").symlink_to(secret / "key")
    (top / "folder").symlink_to(secret)
    (herd / "folder").mkdir()
    for path in ("link.receipt", "folder/key.receipt", "...receipt", "..receipt", ".receipt"):
        (herd / path).write_text(text)
    (herd / "up").symlink_to(secret / ".herd")
    (top / "up").symlink_to(secret)
    beside = top.parent / "beside"
    beside.mkdir()
    (beside / "key").symlink_to(secret / "key")
    (beside / ".herd").symlink_to(secret / ".herd")

    assert not whole(top)
    assert set(stock_of(str(secret.parent)).whole) == {sha256}, "it is a good one where it is"


def test_what_is_no_file_is_not_whole(top: Path) -> None:
    os.mkfifo(top / "pipe")
    (top / "directory").mkdir()
    for name in ("pipe", "directory"):
        vouch(top, name, sha256_of(name.encode()))

    assert not whole(top)


def test_what_is_under_way_is_never_all_there(top: Path) -> None:
    """Its bytes may all have come, but nobody has verified them where they are to be."""
    a, b, c = (sha256_of(name) for name in (b"a", b"b", b"c"))
    journal(top, "a", sha256=a, size=100, have=40, ranges=[[0, 30], [50, 60]])
    journal(top, "b", sha256=b, size=100, have=100, ranges=[[0, 100]])
    journal(top, "sub/c", sha256=c, size=100, have=0, ranges=[])
    journal(top.parent / "other", "c", sha256=c, size=100, have=7, ranges=[[0, 7]])

    assert stock_of(str(top.parent)).under_way == {a: (100, 40), b: (100, 99), c: (100, 7)}


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "A" * 64},
        {"sha256": None},
        {"size": 0, "have": 0},
        {"size": "100"},
        {"size": 2**70},
        {"have": -1},
        {"have": 101},
        {"have": True},
        {"have": 1.5},
        {"ranges": None},
        {"ranges": [[0]]},
        {"ranges": [[0, "9"]]},
        {"ranges": [[9, 3]]},
        {"ranges": [[0, 101]]},
    ],
)
def test_a_journal_that_is_malformed_tells_nothing(top: Path, change: dict[str, object]) -> None:
    good = {"sha256": sha256_of(b"a"), "size": 100, "have": 40, "ranges": [[0, 40]]}
    file = journal(top, "a", **good)
    assert stock_of(str(top.parent)).under_way

    file.unlink()
    journal(top, "a", **{**good, **change})
    for number, text in enumerate(("", "{", "[]", "[" * 100_000, "null", "\xff")):
        (top / ".herd" / f"{number}.0123456789ab.pieces").write_text(text)
    (top / ".herd" / "a.pieces").write_text("")
    assert not stock_of(str(top.parent)).under_way


def test_requests_that_come_together_share_a_look_and_later_ones_take_another(top: Path) -> None:
    async def situation() -> None:
        shelf = VerifiedFiles(top.parent)
        first = put(top, "a", b"a")
        stocks = await asyncio.gather(*(shelf.stock() for _ in range(20)))
        assert all(stock is stocks[0] for stock in stocks)
        assert set(stocks[0].whole) == {first}
        second = put(top, "b", b"b")
        await asyncio.sleep(0.4)
        assert set((await shelf.stock()).whole) == {first, second}

    asyncio.run(situation())


def test_a_file_that_is_exchanged_between_look_and_opening_is_not_opened(top: Path) -> None:
    async def situation() -> None:
        shelf = VerifiedFiles(top.parent)
        sha256 = put(top, "a", CONTENT)
        assert await shelf.open(sha256)
        (top / "new").write_bytes(CONTENT[::-1])
        (top / "new").replace(top / "a")
        assert await shelf.open(sha256) is None

    asyncio.run(situation())


def test_one_who_leaves_does_not_take_the_look_from_the_others(top: Path) -> None:
    async def situation() -> None:
        sha256 = put(top, "a", CONTENT)
        shelf = VerifiedFiles(top.parent)
        leaving, staying = (asyncio.ensure_future(shelf.stock()) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        assert set((await staying).whole) == {sha256}

    asyncio.run(situation())


def test_looking_leaves_nothing_open(top: Path) -> None:
    for number in range(30):
        put(top, f"{number}", CONTENT + bytes([number]))
        journal(top, f"{number}", sha256="0" * 64, size=9, have=1, ranges=[])
    before = open_files()
    for _ in range(3):
        stock_of(str(top.parent))

    assert open_files() == before
