"""Model files: verified ones are kept whoever put them there, others fetched, leftovers removed."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from herd.core.transfers import File, Resolved
from herd.operations import models
from tests.core.samples import resolved
from tests.operations.harness import Run, leaks, run

DIRECTORY = "/Users/me/my stack/models"
SUMS = ("a" * 64, "b" * 64)
MODEL = dataclasses.replace(
    resolved(), files=(File("m 1.gguf", 10, SUMS[0]), File("m 2.gguf", 20, SUMS[1]))
)
PARTS = [MODEL.part(file) for file in MODEL.files]
URLS = [MODEL.url(file) for file in MODEL.files]
TOKEN = "hf_0123456789"
VERIFIED = {"tiny-GGUF/m 1.gguf": SUMS[0], "tiny-GGUF/m 2.gguf": SUMS[1]}
WHOLE = {"tiny-GGUF/m 1.gguf": 10, "tiny-GGUF/m 2.gguf": 20}


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def answer(
    sizes: dict[str, int], verified: dict[str, str] | None = None, origin: str = "fetched"
) -> list[str]:
    """What models.sh says of these files."""
    lines = ["disk /dev/disk3s5 1000000 500000 500000 50% /System/Volumes/Data"]
    lines += [f"file {size} 1.5 {n} ./{path}" for n, (path, size) in enumerate(sizes.items())]
    for n, (path, size) in enumerate(sizes.items()):
        if sha256 := (verified or {}).get(path):
            top, _, below = path.partition("/")
            what = f"{sha256} {size} 1.5 {n} {origin}"
            lines.append(f"receipt ./{top}/.herd/{below}.receipt:{what}")
    return lines


def fetched(
    sizes: dict[str, int],
    verified: dict[str, str] | None = None,
    wanted: Sequence[Resolved] = (MODEL,),
    **options: Any,
) -> Run:
    return run(
        models.fetched,
        models=list(wanted),
        directory=DIRECTORY,
        homebrew="/opt/homebrew",
        connections=8,
        answers={"models": answer(sizes, verified)},
        **options,
    )


def fetch(*numbers: int) -> str:
    words = [
        f"'{MODEL.files[n].path}' '{PARTS[n]}' {MODEL.files[n].size} {SUMS[n]} {URLS[n]}"
        for n in numbers
    ]
    where = f"tiny '{DIRECTORY}/tiny-GGUF' /opt/homebrew fetched new 8"
    return f"fetch {where} {' '.join(words)}"


def test_nothing_is_sent_when_all_files_are_verified() -> None:
    found = fetched({**WHOLE, "tiny-GGUF/README.md": 5}, VERIFIED)

    assert found.untouched


def test_what_one_step_saw_in_place_the_next_does_not_ask_for() -> None:
    """The harness prepares, and executes then: as with preflight before it, that is two steps."""
    assert fetched(WHOLE, VERIFIED).asked == []
    assert fetched(WHOLE).asked == [f"models '{DIRECTORY}'"]


def test_a_fresh_host_fetches_all_files_of_a_model_in_one_command() -> None:
    found = fetched({})

    assert found.sent == [fetch(0, 1)]
    assert found.printed == found.sent


def test_files_without_a_receipt_are_hashed_by_the_same_command() -> None:
    assert fetched(WHOLE).sent == [fetch(0, 1)]


def test_only_what_is_not_verified_is_looked_at() -> None:
    some = {"tiny-GGUF/m 1.gguf": SUMS[0]}

    assert fetched({**WHOLE, "tiny-GGUF/m 2.gguf": 19}, some).sent == [fetch(1)]


def test_leftovers_go_after_everything_is_fetched() -> None:
    cache = "tiny-GGUF/.cache/huggingface/download/x.incomplete"
    part = "tiny-GGUF/m 1.gguf.0123456789ab.part"
    found = fetched({part: 3, cache: 9})

    assert found.sent == [fetch(0, 1), f"rm -f '{DIRECTORY}/{cache}' '{DIRECTORY}/{part}'"]


def test_leftovers_alone_are_removed() -> None:
    sizes = {**WHOLE, f"tiny-GGUF/{PARTS[0]}": 3}

    assert fetched(sizes, VERIFIED).sent == [f"rm -f '{DIRECTORY}/tiny-GGUF/{PARTS[0]}'"]


def test_models_that_share_a_directory_spare_each_others_transfers() -> None:
    other = dataclasses.replace(MODEL, name="other", files=(File("m 3.gguf", 30, "c" * 64),))
    sizes = {**WHOLE, "tiny-GGUF/m 3.gguf": 30, f"tiny-GGUF/{PARTS[1]}": 5}
    del sizes["tiny-GGUF/m 2.gguf"]
    verified = {**VERIFIED, "tiny-GGUF/m 3.gguf": "c" * 64}

    assert fetched(sizes, verified, [MODEL, other]).sent == [fetch(1)]


def test_each_model_is_fetched_by_a_command_of_its_own() -> None:
    other = dataclasses.replace(MODEL, name="other", directory="other-GGUF")

    sent = fetched({}, wanted=[MODEL, other]).sent
    assert [command.split()[1] for command in sent] == ["tiny", "other"]


def test_a_transfer_that_fails_fails_the_host_and_removes_nothing() -> None:
    found = fetched({"tiny-GGUF/m 1.gguf.0123456789ab.part": 3}, fails=["fetch"])

    assert found.failed
    assert found.sent == [fetch(0, 1)]


def test_the_token_goes_to_stdin_and_shows_nowhere() -> None:
    found = fetched({})

    assert found.stdin == [f'header = "Authorization: Bearer {TOKEN}"\n']
    assert leaks(found, TOKEN) == []


def test_without_a_token_stdin_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("herd.operations.models.token", lambda: None)

    assert fetched({}).stdin == ["\n"]


# -- Models that are not declared


def only(prune: bool, origin: str = "fetched") -> Run:
    sizes = {**WHOLE, "old GGUF/q/x.gguf": 7, "old GGUF/README.md": 7}
    verified = {**VERIFIED, "old GGUF/q/x.gguf": "c" * 64}
    return run(
        models.only,
        models=[MODEL],
        directory=DIRECTORY,
        prune=prune,
        answers={"models": answer(sizes, verified, origin)},
    )


def test_a_model_that_is_not_declared_stays_unless_told_otherwise() -> None:
    found = only(prune=False)

    assert found.untouched
    assert found.asked == []


def test_told_so_what_a_deploy_fetched_goes_with_its_receipt() -> None:
    old = f"{DIRECTORY}/old GGUF"

    assert only(prune=True).sent == [
        f"rm -f '{old}/q/x.gguf' '{old}/.herd/q/x.gguf.receipt'"
        f" && find '{old}' -type d -empty -delete"
    ]


@pytest.mark.parametrize("origin", ["asked", "adopted"])
def test_what_no_deploy_fetched_stays_whatever_is_told(origin: str) -> None:
    assert only(prune=True, origin=origin).untouched
