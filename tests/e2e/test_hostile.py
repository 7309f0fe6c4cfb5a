"""Hostile text in settings comes through the whole chain exactly, or is refused with the reason."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import processes
from lab.reciter import write_model
from tests.e2e.fleet import SENTENCE, Fleet, plain

ROOT = """~/it's a "herd" & <more> for $HOME; `id` $(id) #1 50% \\n ünïcødé 🦙"""
MODEL = """it's "the" $MODEL & <b> #2 \\ ünï 🦙"""
ALIASES = ["gpt 4", "it's", 'say "hi"', "$HOME", "`id`", "a & b <c>", "#5", "ja: nein", "ö/ö", "%s"]
# What a shell, YAML, XML and llama-swap's own splitting of words would each like to change.
TEMPLATE = """'single' "double" $HOME $(id) `id` & <b> # \\ \\\\ {{ 1 }} %d ; | > * ? ~ ünï 🦙"""
FOLDER = "Q4's & $x #1 [ünï] 100%"
REPO = "lab/hostile-GGUF"
HOSTILE = {
    MODEL: {
        "repo": REPO,
        # In a pattern, [ has to be written as [[].
        "include": [FOLDER.replace("[", "[[]") + "/*.gguf"],
        "ctx_size": 256,
        "aliases": ALIASES,
        "extra_args": ["--chat-template", TEMPLATE, "--temp", "0.5"],
        "preload": True,
    },
    "recite": None,
}
SETTINGS = {"stack_root": ROOT, "models": HOSTILE}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A Mac with hostile settings, deployed to once."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1")
    write_model(fleet.lab.hub_root / REPO / FOLDER, "it's $1 & 2")
    write_model(fleet.lab.hub_root / REPO / "other", "other")
    run = fleet.deploy(mac1=SETTINGS)
    assert run.code == 0, run.err
    yield fleet
    fleet.stop()


def command_lines(fleet: Fleet, name: str) -> list[list[str]]:
    """The exact words of every process of a Mac."""
    pids = processes.of_mac(str(fleet[name].root))
    return [Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1] for pid in pids]


@pytest.mark.parametrize("name", [MODEL, *ALIASES])
def test_a_hostile_name_is_served(fleet: Fleet, name: str) -> None:
    assert fleet.says(model=name) == SENTENCE


def test_hostile_names_are_listed_exactly(fleet: Fleet) -> None:
    listed = [model.id for model in fleet.client().models.list()]

    assert listed == sorted([MODEL, *ALIASES])


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="only Linux shows exact words")
def test_the_server_gets_its_arguments_exactly(fleet: Fleet) -> None:
    (words,) = [w for w in command_lines(fleet, "mac1") if "--ctx-size" in w]

    home = str(fleet["mac1"].home)
    assert words[words.index("--chat-template") + 1] == TEMPLATE
    assert words[words.index("--alias") + 1] == MODEL
    first = f"{home}/{ROOT[2:]}/models/hostile-GGUF/{FOLDER}/it's $1 & 2-00001-of-00003.gguf"
    assert words[words.index("--model") + 1] == first


def test_only_what_the_pattern_matches_is_there(fleet: Fleet) -> None:
    models = fleet["mac1"].home / ROOT[2:] / "models"

    found = [file.relative_to(models) for file in models.rglob("*") if file.is_file()]
    files = sorted(file for file in found if ".herd" not in file.parts)

    folder = Path("hostile-GGUF", FOLDER)
    assert files == [folder / f"it's $1 & 2-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]


def test_nothing_of_a_hostile_root_lands_elsewhere(fleet: Fleet) -> None:
    """A path that some shell had split or expanded would have left its pieces."""
    home = fleet["mac1"].home
    known = {ROOT[2:], "Library", ".homebrew", ".cache", ".local", ".config"}

    assert {path.name for path in home.iterdir()} <= known
    assert "id" not in {path.name for path in home.rglob("*")}


@pytest.mark.soak
def test_a_root_far_from_home(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet("mac1")
    volume = fleet["mac1"].root / "Volumes/Big Disk/llm"
    volume.parent.mkdir(parents=True)
    fleet.settles(mac1={"stack_root": str(volume)})

    assert fleet.says() == SENTENCE
    assert (volume / "llama-swap.log").exists()
    assert not (fleet["mac1"].home / "llama-swap").exists()


def test_a_second_run_changes_nothing(fleet: Fleet) -> None:
    run = fleet.deploy(mac1=SETTINGS)

    assert run.code == 0, run.err
    assert run.changed("mac1") == set()


MACRO = "holds `${`, which llama-swap reads as a macro and offers no escape for"
NEWLINE = "holds the character U+000A, which is not printable"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "alias with a macro": ({"models": {"recite": {"aliases": ["a ${x}"]}}}, MACRO),
    "alias with a newline": ({"models": {"recite": {"aliases": ["a\nb"]}}}, NEWLINE),
    "argument with a macro": ({"models": {"recite": {"extra_args": ["--x", "${PORT}"]}}}, MACRO),
    "argument with a newline": ({"models": {"recite": {"extra_args": ["# no\n#"]}}}, NEWLINE),
    "model with a macro": ({"models": {"${env.HOME}": {"repo": REPO}}}, MACRO),
    "model with a newline": ({"models": {"a\n": {"repo": REPO}}}, NEWLINE),
    "pattern with a newline": ({"models": {"recite": {"include": ["*\n"]}}}, NEWLINE),
    "root with a macro": ({"stack_root": "~/${HOME}"}, MACRO),
    "root with a newline": ({"stack_root": "~/a\nb"}, NEWLINE),
    "root with a null": ({"stack_root": "~/a\0b"}, "holds the character U+0000"),
    "root with a colon": ({"stack_root": "~/a:b"}, "holds `:`, which ends a directory in PATH"),
    "root that climbs": ({"stack_root": "~/../other"}, "has . or .. in it"),
}


def test_what_cannot_be_carried_is_refused_with_the_reason(fleet: Fleet) -> None:
    """In one run, with a host for each case."""
    scope: dict[str, Any] = {}
    exec(fleet.lab.inventory.read_text(), scope)
    given = scope["macs"][0][1]
    hosts = []
    for number, (data, _) in enumerate(REFUSED.values()):
        models: Any = {**given["models"], **data.get("models", {})}
        models["recite"] = {**given["models"]["recite"], **models["recite"]}
        host = {**given, **data, "models": models, "ssh_port": 1000 + number}
        hosts.append((f"case-{number}", host))
    inventory = fleet.lab.directory / "refused.py"
    inventory.write_text(f"macs = {hosts!r}\n")

    run = fleet.pyinfra("-y", str(inventory), "deploy.py")

    text = plain(run.out + run.err)
    assert run.code == 1
    assert "Traceback" not in text
    assert f"{len(REFUSED)} problems in the settings" in text
    blocks = text.split("\n\n")
    for number, (_, reason) in enumerate(REFUSED.values()):
        assert any(f"case-{number}:" in block and reason in block for block in blocks), number
