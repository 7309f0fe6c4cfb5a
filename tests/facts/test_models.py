"""The answer of models.sh: files, receipts and free disk."""

import pytest
from pyinfra.api import FactProcessError

from herd.core.models.missing_files import Holdings, Receipt, Stat
from herd.facts.models import Models, parse

SUM = "0" * 64


def test_files_receipts_and_free_disk_are_told() -> None:
    """From documentation: stat(1), df(1)."""
    found = parse(
        [
            "disk /dev/disk3s5 971350180 518000000 441350180 54% /System/Volumes/Data",
            "file 12582912 1700000000.000000001 77 ./m/my model.gguf",
            f"receipt ./m/.herd/my model.gguf.receipt:{SUM} 12582912 1700000000.000000001 77 asked",
        ]
    )
    stat = Stat(12582912, "1700000000.000000001", "77")

    assert found == Holdings(
        {"m/my model.gguf": stat},
        {"m/my model.gguf": Receipt(SUM, stat, "asked")},
        free=441350180 << 10,
    )


@pytest.mark.parametrize(
    ("journal", "have"),
    [
        ('{"sha256": "0", "size": 9, "have": 7, "ranges": [[0, 7]]}', 7),
        ("{}", 0),
        ('{"have": "7"}', 0),
        ('{"have": -7}', 0),
        ("{torn}", 0),
    ],
)
def test_a_journal_says_what_has_come_of_a_transfer(journal: str, have: int) -> None:
    path = "m/q/my: model.gguf.0123456789ab"
    line = f"pieces ./m/.herd/q/my: model.gguf.0123456789ab.pieces:{journal}"

    assert parse([line]).begun == {f"{path}.part": have}


def test_a_disk_that_is_overfull_has_less_than_nothing() -> None:
    assert parse(["disk map auto_home 100 100 -5 100% /home"]).free == -5 << 10


def test_a_directory_that_is_absent_has_no_files() -> None:
    assert Models.default() == Holdings()


def test_garbage_fails_this_host_only() -> None:
    with pytest.raises(FactProcessError, match=r"not what models\.sh says"):
        parse(["stat: illegal option -- c"])
