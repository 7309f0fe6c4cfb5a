"""models.lock made from the lab's Hub, by the real client."""

import hashlib
import time
from pathlib import Path
from typing import Any

import pytest

from herd.core.models import models_lock
from herd.core.models.model_facts import Facts
from herd.core.settings.problems import SettingsError
from herd.workstation import hugging_face, lock_models
from tests.core.models.test_gguf import GPT_OSS_120B, gpt_oss_120b, written
from tests.core.samples import settings
from tests.workstation.conftest import MIB, Fleet

TOKEN = "hf_EXAMPLEnotAsecretButNeverShown"


Q4 = {"repo": "me/two-GGUF", "include": ["Q4/*"]}
Q8 = {"repo": "me/two-GGUF", "include": ["Q8/*"]}
THREE = {"repo": "me/three-GGUF"}


def test_quantisations_folders_and_small_files_with_their_checksums(fleet: Fleet) -> None:
    small = {"repo": "me/two-GGUF", "include": ["Q8/*", "README.md", "empty.txt"]}

    found = fleet.lock(mac1={"q4": Q4, "q8": small, "three": THREE})

    assert list(found) == ["q4", "q8", "three"]
    assert found["q4"].first == "Q4/m-00001-of-00003.gguf"
    assert [file.path for file in found["q8"].files[-2:]] == ["README.md", "empty.txt"]
    assert len(found["three"].files) == 3
    for locked in found.values():
        for number, file in enumerate(locked.files):
            content = fleet.file(locked, number).read_bytes()
            assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert fleet.said[0].startswith("q4: added: me/two-GGUF at ")
    assert fleet.said[-1] == f"{fleet.path} is written; it belongs in git"


def test_no_weights_are_read_for_it(fleet: Fleet) -> None:
    fleet.lock(mac1={"q4": Q4})

    assert fleet.stats["bytes"] < MIB


def test_the_same_again_touches_nothing(fleet: Fleet) -> None:
    fleet.lock(mac1={"q4": Q4, "three": THREE})
    before = fleet.path.stat()

    fleet.lock(mac1={"three": THREE}, mac2={"q4": Q4})

    assert fleet.said == ["q4: as it was", "three: as it was", f"{fleet.path} is as it was"]
    assert fleet.path.stat() == before
    assert [path.name for path in fleet.path.parent.glob("*lock*")] == ["models.lock"]


def test_one_model_is_locked_anew_and_the_others_stay(fleet: Fleet) -> None:
    both = {"q4": Q4, "three": THREE}
    before = fleet.lock(mac1=both)
    for folder in ("two-GGUF/Q4", "three-GGUF"):
        path = fleet.root / "me" / folder / "m-00003-of-00003.gguf"
        path.write_bytes(path.read_bytes() + b"more")

    after = fleet.lock("three", mac1=both)

    assert after["q4"] == before["q4"]
    commits = f"{before['three'].commit[:12]} -> {after['three'].commit[:12]}"
    assert fleet.said[0] == f"three: changed: commit {commits}, 1 of 3 files are other ones"


def test_what_no_host_declares_leaves_the_lock_but_not_when_another_is_named(fleet: Fleet) -> None:
    fleet.lock(mac1={"q4": Q4, "three": THREE})

    assert list(fleet.lock("q4", mac1={"q4": Q4})) == ["q4", "three"]
    assert list(fleet.lock(mac1={"q4": Q4})) == ["q4"]
    assert fleet.said[1].startswith("three: removed, no host declares it: me/three-GGUF at ")


def test_other_terms_replace_the_old_ones(fleet: Fleet) -> None:
    fleet.lock(mac1={"m": Q4})

    assert fleet.lock(mac1={"m": Q8})["m"].include == ["Q8/*"]
    assert fleet.said[0].startswith("m: changed: include ['Q8/*'], not ['Q4/*'], 3 of 3 files")
    assert len(lock_models.read(fleet.path).models) == 1


def test_one_name_under_other_terms_on_another_host_is_locked_beside_it(fleet: Fleet) -> None:
    fleet.lock(mac1={"m": Q4}, mac2={"m": Q8})
    held = lock_models.read(fleet.path)
    smaller = settings(models={"gpt-oss-120b": None, "m": Q4}).models["m"]

    assert [model.include for model in held.named("m")] == [["Q4/*"], ["Q8/*"]]
    assert held.find("m", models_lock.Terms.of(smaller)) == held.models[0]
    fleet.lock("m", mac1={"m": Q4})
    assert [model.include for model in lock_models.read(fleet.path).named("m")] == [["Q4/*"]]


def test_a_name_that_nobody_declares_is_answered_with_those_that_are(fleet: Fleet) -> None:
    with pytest.raises(ValueError, match="no host declares 'q5'; declared are q4, three"):
        fleet.lock("q5", mac1={"q4": Q4, "three": THREE})


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "absent": ({"repo": "me/absent-GGUF"}, "me/absent-GGUF is not on http"),
    "revision": ({**THREE, "revision": "v9"}, "me/three-GGUF has no revision 'v9'"),
    "pattern": (
        {"repo": "me/two-GGUF", "include": ["Q4/*", "*Q5*"]},
        "include='*Q5*' matches nothing; me/two-GGUF has Q4/m-00001-of-00003.gguf (3 splits), "
        "Q8/m-00001-of-00003.gguf (3 splits)",
    ),
    "two models": ({"repo": "me/two-GGUF"}, "include=['*.gguf'] matches 2 models: Q4/m-00001"),
    "no model": ({"repo": "me/two-GGUF", "include": ["README.md"]}, "matches no GGUF file"),
    "splits": ({**THREE, "include": ["*-00002-*"]}, "lacks 2 of 3 splits: m-00001-of-00003.gguf"),
    "no GGUF": (
        {"repo": "me/odd-GGUF", "include": ["not.gguf"]},
        "not.gguf, which is no GGUF file",
    ),
    "path": ({"repo": "me/odd-GGUF", "include": ["a$*"]}, "'a${x}.gguf': holds `${`"),
}


def test_what_cannot_be_locked_is_one_report_and_the_lock_stays(fleet: Fleet) -> None:
    fleet.lock(mac1={"q4": Q4})
    before = fleet.path.read_bytes()
    (fleet.root / "me/odd-GGUF").mkdir()
    (fleet.root / "me/odd-GGUF/not.gguf").write_bytes(b"version https://git-lfs")
    written(fleet.root / "me/odd-GGUF/a${x}.gguf", lambda w: w.add_block_count(1))

    with pytest.raises(SettingsError) as report:
        fleet.lock(
            mac1={name: declared for name, (declared, _) in BAD.items()},
            mac2={"absent": BAD["absent"][0], "q4": Q4},
        )

    text = str(report.value)
    assert f"8 problems with the models; {fleet.path} is as it was." in text
    assert text.count("\n    Fix: ") == 8  # what two Macs have is one
    blocks = text.split("\n\n")
    for name, (_, words) in BAD.items():
        (block,) = [each for each in blocks if f"  mac1: models.{name}\n" in each]
        assert words in block
        assert ("  mac2: models.absent\n" in block) is (name == "absent")
    assert fleet.path.read_bytes() == before


def test_a_gated_repository_wants_a_token_which_goes_nowhere_else(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fleet.root / "me/three-GGUF/.gated").write_text(TOKEN)
    for wrong in ("", "hf_another"):
        monkeypatch.setenv("HF_TOKEN", wrong)
        with pytest.raises(SettingsError, match=r"me/three-GGUF is gated: .*HF_TOKEN, which"):
            fleet.lock(mac1={"three": THREE})
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fleet.control("reset")

    fleet.lock(mac1={"three": THREE})

    told = {seen["stage"]: seen["authorization"] for seen in fleet.stats["log"]}
    assert told == {"api": True, "resolve": True, "body": False}
    assert TOKEN not in fleet.path.read_text() + "".join(fleet.said)


def test_a_hub_that_is_ill_for_a_moment_is_asked_again(fleet: Fleet) -> None:
    trouble = [
        {"on": "api", "status": 500, "times": 1},
        {"on": "resolve", "status": 429, "times": 1},
        {"on": "body", "drop_after": 2, "times": 1},
    ]
    fleet.control("faults", trouble)

    assert list(fleet.lock(mac1={"three": THREE})) == ["three"]


@pytest.mark.parametrize("on", ["api", "resolve"])
def test_a_hub_that_was_asked_too_often_is_left_alone_as_long_as_it_says(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, on: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    limit = {"on": on, "status": 429, "times": 1, "ratelimit": '"api";r=0;t=2'}
    fleet.control("faults", limit)
    began = time.monotonic()

    assert list(fleet.lock(mac1={"three": THREE})) == ["three"]
    assert time.monotonic() - began > 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "wants to be asked again in 2 s: its limit; HF_TOKEN, which this shell has not" in line


def test_a_hub_that_goes_on_refusing_is_told_with_its_reason(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr(time, "sleep", lambda _: None)
    fleet.control("faults", {"on": "api", "status": 429})

    with pytest.raises(SettingsError, match=r"was asked too often for me/three-GGUF.*HF_TOKEN"):
        fleet.lock(mac1={"three": THREE})


def test_an_address_in_the_store_that_has_expired_is_asked_for_again(fleet: Fleet) -> None:
    fleet.control("faults", {"on": "body", "status": 403, "times": 2})

    assert list(fleet.lock(mac1={"three": THREE})) == ["three"]
    # Twice in vain for the start of the header, then for that, and for all of it.
    assert [seen["stage"] for seen in fleet.stats["log"]].count("resolve") == 4


def test_a_small_file_that_changed_on_the_wire_is_refused(fleet: Fleet) -> None:
    fleet.control("faults", {"path": "*/README.md", "corrupt": 2})

    with pytest.raises(SettingsError, match=r"me/two-GGUF/README.md is not what http\S+ says"):
        fleet.lock(mac1={"q4": {"repo": "me/two-GGUF", "include": ["Q4/*", "README.md"]}})


def test_a_repository_is_asked_for_once(fleet: Fleet) -> None:
    """Not again for each model and host, as each question may take half a minute."""
    fleet.control("faults", {"on": "api", "status": 404})

    with pytest.raises(SettingsError):
        fleet.lock(mac1={"q4": Q4, "q8": Q8}, mac2={"q4": Q4})

    assert len(fleet.stats["log"]) == 1


def test_a_broken_lock_is_made_anew_with_all_models_only(fleet: Fleet) -> None:
    fleet.path.write_text("<<<<<<< HEAD\n")

    with pytest.raises(ValueError, match="holds a merge conflict; lock all models anew with"):
        fleet.lock("q4", mac1={"q4": Q4})
    assert list(fleet.lock(mac1={"q4": Q4})) == ["q4"]
    assert fleet.said[0] == f"{fleet.path} holds a merge conflict; it is to be made anew"


def test_a_lock_that_cannot_be_written_is_said_in_words(fleet: Fleet) -> None:
    fleet.path.with_name(".models.lock.new").mkdir()

    with pytest.raises(ValueError, match=r"models.lock cannot be written: Is a directory"):
        fleet.lock(mac1={"q4": Q4})


def test_a_part_of_a_file_ends_with_it(fleet: Fleet) -> None:
    locked = fleet.lock(mac1={"three": THREE})["three"]
    content = fleet.file(locked, 0).read_bytes()
    remote = hugging_face.Remote(locked.repo, locked.commit, locked.first)

    assert remote.read(4, 8) == content[4:12]
    assert remote.read(len(content) - 3, 10) == content[-3:]
    assert remote.read(len(content), 10) == b""


def test_the_lock_is_beside_the_inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab").mkdir()
    for name in ("inventory.py", "lab/inventory.py"):
        (tmp_path / name).write_text("")

    assert str(lock_models.beside("inventory.py")) == "models.lock"
    assert str(lock_models.beside("lab/inventory.py")) == "lab/models.lock"
    assert str(lock_models.beside("@local")) == str(lock_models.beside("a,b")) == "models.lock"


def test_the_command_can_be_pasted() -> None:
    assert lock_models.command("inventory.py") == "make lock"
    assert lock_models.command("my lab/x.py", "it's") == (
        """make lock MODEL='it'"'"'s' INVENTORY='my lab/x.py'"""
    )


def test_what_memory_arithmetic_needs_is_locked_and_nothing_else_is_read(fleet: Fleet) -> None:
    fleet.control("reset")
    found = fleet.lock(host={"m": THREE})["m"]

    assert found.gguf["architecture"] == "llama"
    assert found.gguf["block_count"] == found.gguf["head_count_kv"] == 1
    assert found.gguf["vocab_size"] == 269
    assert fleet.stats["bytes"] < 1 << 16 < found.size


@pytest.mark.soak
def test_a_header_is_read_to_its_end_and_no_further(fleet: Fleet) -> None:
    """Some writers put keys behind the tokenizer."""
    (fleet.root / "me/odd-GGUF").mkdir(exist_ok=True)
    written(fleet.root / "me/odd-GGUF/big.gguf", gpt_oss_120b)
    fleet.control("reset")
    found = fleet.lock(host={"m": {"repo": "me/odd-GGUF", "include": ["big.gguf"]}})["m"]

    assert Facts.load(found.gguf) == GPT_OSS_120B
    size = (fleet.root / "me/odd-GGUF/big.gguf").stat().st_size
    assert size - (1 << 20) < fleet.stats["bytes"] < size
    assert fleet.stats["requests"] < 30
