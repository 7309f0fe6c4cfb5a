"""Model files: whole ones are adopted, others fetched, leftovers removed; no token shows."""

from collections.abc import Sequence

import pytest

from herd.core.transfers import Resolved
from herd.operations import models
from tests.core.samples import resolved
from tests.operations.harness import Run, leaks, run

DIRECTORY = "/Users/me/my stack/models"
MODEL = resolved([("m 1.gguf", 10), ("m 2.gguf", 20)])
PARTS = [MODEL.part(file) for file in MODEL.files]
URLS = [MODEL.url(file) for file in MODEL.files]
TOKEN = "hf_0123456789"


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def fetched(sizes: dict[str, int], wanted: Sequence[Resolved] = (MODEL,)) -> Run:
    lines = [f"{size:8} {DIRECTORY}/{path}" for path, size in sizes.items()]
    return run(models.fetched, models=list(wanted), directory=DIRECTORY, answers={"sizes": lines})


def fetch(*numbers: int) -> str:
    words = [
        f"'{MODEL.files[n].path}' '{PARTS[n]}' {MODEL.files[n].size} {URLS[n]}" for n in numbers
    ]
    return f"fetch tiny '{DIRECTORY}/tiny-GGUF' {' '.join(words)}"


def test_nothing_is_sent_when_all_files_are_there_whoever_fetched_them() -> None:
    found = fetched({"tiny-GGUF/m 1.gguf": 10, "tiny-GGUF/m 2.gguf": 20, "tiny-GGUF/README.md": 5})

    assert found.untouched
    assert found.asked == [f"sizes '{DIRECTORY}'"]


def test_a_fresh_host_fetches_all_files_of_a_model_in_one_command() -> None:
    found = fetched({})

    assert found.sent == [fetch(0, 1)]
    assert found.printed == found.sent


def test_only_what_is_not_whole_is_fetched() -> None:
    assert fetched({"tiny-GGUF/m 1.gguf": 10, "tiny-GGUF/m 2.gguf": 19}).sent == [fetch(1)]


def test_leftovers_go_after_everything_is_fetched() -> None:
    cache = "tiny-GGUF/.cache/huggingface/download/x.incomplete"
    found = fetched({"tiny-GGUF/m 1.gguf.0123.part": 3, cache: 9})

    assert found.sent == [
        fetch(0, 1),
        f"rm -f '{DIRECTORY}/{cache}' '{DIRECTORY}/tiny-GGUF/m 1.gguf.0123.part'",
    ]


def test_leftovers_alone_are_removed() -> None:
    sizes = {"tiny-GGUF/m 1.gguf": 10, "tiny-GGUF/m 2.gguf": 20, f"tiny-GGUF/{PARTS[0]}": 3}

    assert fetched(sizes).sent == [f"rm -f '{DIRECTORY}/tiny-GGUF/{PARTS[0]}'"]


def test_models_that_share_a_directory_spare_each_others_transfers() -> None:
    other = resolved([("m 3.gguf", 30)], name="other")
    sizes = {"tiny-GGUF/m 1.gguf": 10, f"tiny-GGUF/{PARTS[1]}": 5, "tiny-GGUF/m 3.gguf": 30}

    assert fetched(sizes, [MODEL, other]).sent == [fetch(1)]


def test_each_model_is_fetched_by_a_command_of_its_own() -> None:
    other = resolved([("x.gguf", 30)], name="other", directory="other-GGUF")

    assert [command.split()[1] for command in fetched({}, [MODEL, other]).sent] == ["tiny", "other"]


def test_a_transfer_that_fails_fails_the_host_and_removes_nothing() -> None:
    found = run(
        models.fetched,
        models=[MODEL],
        directory=DIRECTORY,
        answers={"sizes": f"3 {DIRECTORY}/tiny-GGUF/m 1.gguf.0123.part"},
        fails=["fetch"],
    )

    assert found.failed
    assert found.sent == [fetch(0, 1)]


def test_the_token_goes_to_stdin_and_shows_nowhere() -> None:
    found = fetched({})

    assert found.stdin == [f'header = "Authorization: Bearer {TOKEN}"\n']
    assert leaks(found, TOKEN) == []


def test_without_a_token_stdin_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("herd.operations.models.token", lambda: None)

    assert fetched({}).stdin == ["\n"]
