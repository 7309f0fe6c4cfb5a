"""Which files are fetched or verified, what earlier transfers left, and what may go."""

import dataclasses

import pytest

from herd.core.models.missing_files import (
    File,
    Holdings,
    Receipt,
    Stat,
    Undeclared,
    undeclared,
    vouchers,
)
from tests.core.samples import resolved

SUMS = ("a" * 64, "b" * 64)
MODEL = dataclasses.replace(
    resolved(),
    files=(
        File("q/m-00001-of-00002.gguf", 10, SUMS[0]),
        File("q/m-00002-of-00002.gguf", 20, SUMS[1]),
    ),
)
FIRST, SECOND = MODEL.files
AT = "tiny-GGUF/"
MIB = 1 << 20


def there(sizes: dict[str, int], **receipts: tuple[str, str]) -> Holdings:
    """Files by size, each with an inode of its own; receipts by "first" and "second"."""
    files = {path: Stat(size, "1.5", str(n)) for n, (path, size) in enumerate(sizes.items())}
    names = {"first": f"{AT}{FIRST.path}", "second": f"{AT}{SECOND.path}", "old": "old/m.gguf"}
    vouched = {names[k]: Receipt(v[0], files[names[k]], v[1]) for k, v in receipts.items()}
    return Holdings(files, vouched)


SIZES = {f"{AT}{FIRST.path}": 10, f"{AT}{SECOND.path}": 20}
WHOLE = there(SIZES, first=(SUMS[0], "fetched"), second=(SUMS[1], "adopted"))


def test_nothing_there_means_everything_is_pending() -> None:
    assert MODEL.pending(Holdings()) == [FIRST, SECOND]
    assert MODEL.remaining(Holdings()) == {f"{AT}{FIRST.path}": 10, f"{AT}{SECOND.path}": 20}


def test_verified_files_are_neither_fetched_nor_hashed_again() -> None:
    assert MODEL.pending(WHOLE) == []
    assert MODEL.remaining(WHOLE) == {}


def test_files_without_a_receipt_are_to_be_hashed_and_need_no_room() -> None:
    assert MODEL.pending(there(SIZES)) == [FIRST, SECOND]
    assert MODEL.remaining(there(SIZES)) == {}


@pytest.mark.parametrize(
    "change",
    [{"size": 11}, {"mtime": "2.5"}, {"inode": "77"}],
    ids=lambda change: next(iter(change)),
)
def test_a_receipt_of_another_file_vouches_for_nothing(change: dict[str, str]) -> None:
    """Changed since, replaced since, or the original of a copy."""
    path = f"{AT}{FIRST.path}"
    files = {**WHOLE.files, path: dataclasses.replace(WHOLE.files[path], **change)}  # type: ignore[arg-type]

    assert MODEL.pending(Holdings(files, WHOLE.receipts)) == [FIRST]


def test_another_version_of_the_same_size_is_fetched() -> None:
    held = there(SIZES, first=("c" * 64, "fetched"), second=(SUMS[1], "fetched"))

    assert MODEL.pending(held) == [FIRST]
    assert MODEL.remaining(held) == {f"{AT}{FIRST.path}": 10}


def test_a_file_of_another_size_is_fetched() -> None:
    held = there({**SIZES, f"{AT}{SECOND.path}": 19}, first=(SUMS[0], "fetched"))

    assert MODEL.pending(held) == [SECOND]
    assert MODEL.remaining(held) == {f"{AT}{SECOND.path}": 20}


def test_bytes_of_an_unfinished_transfer_are_not_fetched_again() -> None:
    """Its file is as long as it will be; what has come of it is in its journal."""
    part = f"{AT}{MODEL.part(SECOND)}"
    other = f"{AT}{SECOND.path}.{'c' * 12}.part"
    held = dataclasses.replace(there({part: 20, other: 20}), begun={part: 9, other: 15})

    assert MODEL.remaining(held)[f"{AT}{SECOND.path}"] == 11


def test_a_verified_file_that_waits_for_its_version_needs_no_room() -> None:
    part = f"{AT}{MODEL.part(SECOND)}"
    held = there({part: 20})
    vouched = {part: Receipt(SUMS[1], held.files[part], "fetched")}

    assert MODEL.remaining(dataclasses.replace(held, receipts=vouched)) == {
        f"{AT}{FIRST.path}": 10,
        f"{AT}{SECOND.path}": 0,
    }


def test_bytes_without_a_journal_do_not_count() -> None:
    held = there({f"{AT}{MODEL.part(SECOND)}": 20})

    assert MODEL.remaining(held)[f"{AT}{SECOND.path}"] == 20


def test_a_whole_file_in_another_models_directory_does_not_count() -> None:
    held = Holdings({path.replace(AT, "other/"): stat for path, stat in WHOLE.files.items()})

    assert MODEL.pending(held) == [FIRST, SECOND]


def test_a_part_names_the_content_so_that_bytes_never_mix() -> None:
    assert MODEL.part(FIRST) == f"q/m-00001-of-00002.gguf.{'a' * 12}.part"
    assert MODEL.part(FIRST) == dataclasses.replace(MODEL, commit="f" * 40).part(FIRST)
    assert resolved([("x", 1)]).part(File("x", 1)) == "x.c0ffeec0ffee.part"


def test_a_version_is_of_the_content_not_of_the_commit() -> None:
    other = dataclasses.replace(MODEL, files=(FIRST, dataclasses.replace(SECOND, sha256=SUMS[0])))

    assert MODEL.version == dataclasses.replace(MODEL, commit="f" * 40).version
    assert MODEL.version != other.version


def test_an_address_is_of_the_commit_and_quotes_what_must_be() -> None:
    model = resolved([("my q/100% #1?.gguf", 1)])

    assert model.url(model.files[0]) == (
        f"https://hub.example/me/tiny-GGUF/resolve/{MODEL.commit}/my%20q/100%25%20%231%3F.gguf"
    )
    assert MODEL.url(File("é🦙.gguf", 1)).isascii()


# -- Leftovers


def test_a_part_of_other_content_is_a_leftover_and_the_present_one_is_not() -> None:
    old = f"{AT}{FIRST.path}.0123456789ab.part"
    held = there({f"{AT}{MODEL.part(FIRST)}": 4, old: 4, f"{old}.pid": 4})

    assert MODEL.leftovers(held) == [old, f"{old}.pid"]


def test_once_a_file_is_verified_its_part_is_a_leftover() -> None:
    part = f"{AT}{MODEL.part(FIRST)}"
    held = there({**SIZES, part: 4}, first=(SUMS[0], "fetched"))

    assert MODEL.leftovers(held) == [part]


def test_what_vouches_for_a_file_is_beside_it() -> None:
    """As the fetcher names it."""
    assert vouchers("m-GGUF/q/m 1.gguf") == ["m-GGUF/.herd/q/m 1.gguf.receipt"]
    assert vouchers("m-GGUF/m.gguf.0123456789ab.part") == [
        "m-GGUF/.herd/m.gguf.0123456789ab.part.receipt",
        "m-GGUF/.herd/m.gguf.0123456789ab.pieces",
    ]


def test_what_hf_left_unfinished_is_a_leftover_and_what_it_remembers_is_not() -> None:
    cache = f"{AT}.cache/huggingface/download/"
    ours = f"{AT}.cache/huggingface/herd-0123456789ab/.cache/huggingface/download/q.incomplete"
    held = there(
        {
            f"{cache}q/abc.0123.incomplete": 5,
            f"{cache}q/m-00001-of-00002.gguf.metadata": 5,
            f"{cache}q/m-00001-of-00002.gguf.lock": 0,
            f"{AT}mine.incomplete": 5,
            ours: 5,
        }
    )

    assert MODEL.leftovers(held) == [f"{cache}q/abc.0123.incomplete", ours]


def test_what_belongs_to_others_is_no_leftover() -> None:
    held = there(
        {
            "other/q/m-00001-of-00002.gguf.0123456789ab.part": 1,
            f"{AT}another.gguf.0123456789ab.part": 1,
            f"{AT}{FIRST.path}.notes.part": 1,
            f"{AT}README.md": 1,
            f"{AT}{FIRST.path}": 3,
            f"{AT}{FIRST.path}.bak": 3,
            "loose.part": 1,
        }
    )

    assert MODEL.leftovers(held) == []


# -- What no model wants


def test_declared_files_and_their_transfers_are_not_listed() -> None:
    part = f"{AT}{MODEL.part(FIRST)}"
    held = there({**SIZES, part: MIB}, first=(SUMS[0], "fetched"))

    assert undeclared([MODEL], held) == []


@pytest.mark.parametrize("origin", ["fetched", "asked", "adopted"])
def test_only_what_a_deploy_fetched_is_ours(origin: str) -> None:
    held = there({"old/m.gguf": 500 * MIB, "old/README.md": 9}, old=("c" * 64, origin))
    (found,) = undeclared([MODEL], held)

    if origin == "fetched":
        assert found == Undeclared("old", ("old/m.gguf",), 500 * MIB, 9)
    else:
        assert found == Undeclared("old", (), 0, 500 * MIB + 9)


def test_a_file_that_changed_since_is_not_ours() -> None:
    held = there({"old/m.gguf": 500 * MIB}, old=("c" * 64, "fetched"))
    files = {"old/m.gguf": dataclasses.replace(held.files["old/m.gguf"], inode="77")}

    assert undeclared([], Holdings(files, held.receipts))[0].ours == ()


def test_transfers_are_ours_where_we_have_been() -> None:
    part = f"m2.gguf.{'a' * 12}.part"
    held = there(
        {"old/m.gguf": 5, f"old/{part}": 7, f"other/{part}": 200 * MIB}, old=("c" * 64, "fetched")
    )

    assert undeclared([MODEL], held) == [
        Undeclared("old", ("old/m.gguf", f"old/{part}"), 12, 0),
        Undeclared("other", (), 0, 200 * MIB),
    ]


def test_small_files_of_others_are_not_worth_a_word() -> None:
    assert undeclared([MODEL], there({"notes/README.md": MIB, f"{AT}README.md": 5})) == []


def test_other_quantisations_in_a_declared_directory_are_listed() -> None:
    held = there({**SIZES, f"{AT}q8/m.gguf": 200 * MIB})

    assert undeclared([MODEL], held) == [Undeclared("tiny-GGUF", (), 0, 200 * MIB)]
