"""What a person types after `make` is text: it arrives as it was typed, and nothing in it runs.

With the make that is here; `OLD_MAKE` names another one, as macOS' 3.81.
"""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs import typed

MAKES = [name for name in ("make", os.environ.get("OLD_MAKE")) if name]
# Every variable that the Makefile sets or hands on, whosever it is.
SET = re.findall(r"^(?:override )?(\w+) *[:?]?=", typed.MAKEFILE, re.MULTILINE)
TYPED = re.findall(r"^override TYPED := (.*)$", typed.MAKEFILE, re.MULTILINE)[0].split()
# A target for each variable that a person types, and the words that the value becomes there.
USES: dict[str, tuple[str, Callable[[str], list[str]]]] = {
    "INVENTORY": ("status", lambda text: [f"--inventory={text}"]),
    "LIMIT": ("status", lambda text: ["--inventory=inventory.py", f"--limit={text}"]),
    "MODEL": ("lock", lambda text: ["--inventory=inventory.py", "--", text]),
    "NAME": ("key", lambda text: ["--inventory=inventory.py", "--", text]),
    "PROMPT": ("chat", lambda text: ["--inventory=inventory.py", "--", text]),
    "REPO": ("fetch", lambda text: ["--inventory=inventory.py", "--", text]),
    "INCLUDE": (
        "fetch REPO=o/r",
        lambda text: ["--inventory=inventory.py", f"--include={text}", "--", "o/r"],
    ),
    "MEMORY": ("fit", lambda text: ["--inventory=inventory.py", f"--memory={text}"]),
    "MACOS": ("fit", lambda text: ["--inventory=inventory.py", f"--macos={text}"]),
    "BASE": ("render-diff", lambda text: ["--inventory=inventory.py", "--", text]),
    "DIR": ("init", lambda text: ["--", text]),
    "MACS": ("lab", lambda text: [f"--macs={text}"]),
}
HOSTILE = [
    "It costs $5, $(shell touch ran)",
    "-' ; \" ; `touch ran` $$(touch ran)\n# 100 % \\",
    "${shell touch ran}",
    "$$(touch ran)",
    "$(touch ran) `touch ran`",
    "; touch ran #",
    "' ; touch ran ; '",
    '" ; touch ran ; "',
    "a && touch ran || touch ran",
    "one\ntouch ran\ntwo",
    "\\; touch ran \\",
    "ends in \\",
    "ends in $",
    "$@ $< $(NAME) $(PROMPT) $${HOME} $HOME",
    "# no comment",
    "100 % of %h %%",
    "-n",
    "--help",
    "--",
    "{}",
    "$(eval SHELL := touch ran)",
    "$(error no)",
    "$(unfinished",
    "a,b) (c",
    "*",
    "~",
    "ü 🐑\t.",
    "a=b := c ?= d += e",
]
Make = Callable[..., list[list[str]]]


@pytest.fixture(params=MAKES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Runs a target among recorders; what was called."""
    typed.workshop(tmp_path)

    def run(*words: str, **environment: str) -> list[list[str]]:
        (tmp_path / "calls").unlink(missing_ok=True)
        subprocess.run(
            [request.param, *words],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not (tmp_path / "ran").exists(), words
        return typed.recorded(tmp_path)

    return run


def test_every_variable_is_known_here() -> None:
    assert {*USES, "ARGS", "PYTHON"} == set(TYPED)
    ours = {"BIN", "HERD", "ON", "WORDS", "LOCK", "LOCKED", "PIP", "TYPED", "LITERAL"}
    ours |= {"UNKNOWN", "WHOLE"}
    assert ours | set(TYPED) >= set(SET)
    used = set(re.findall(r"\$\$(\w+)", typed.MAKEFILE))
    assert used <= set(TYPED)


@pytest.mark.parametrize("name", USES)
def test_a_value_arrives_as_it_was_typed(make: Make, name: str) -> None:
    target, words = USES[name]
    for text in HOSTILE if name == "PROMPT" else HOSTILE[:5]:
        (call,) = make(*target.split(), f"{name}={text}")
        assert call[4:] == words(text)


@pytest.mark.parametrize("name", USES)
def test_a_value_of_the_environment_arrives_as_it_is(make: Make, name: str) -> None:
    target, words = USES[name]
    for text in HOSTILE[:2]:
        (call,) = make(*target.split(), **{name: text})
        assert call[4:] == words(text)


@pytest.mark.parametrize("name", sorted({*SET, *TYPED, "PROMT", "MAKEFILE_LIST", "name", "1"}))
def test_no_value_runs_wherever_it_is_used(make: Make, name: str) -> None:
    """Nor in a target that has no use for it, nor one that makes the environment anew."""
    text = "$(shell touch ran)`touch ran`; touch ran ; $(touch ran)"
    for words in (["help"], ["lab"], ["--always-make", "plan"]):
        make(*words, f"{name}={text}")


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """What make says to words with which it calls nothing."""
    typed.workshop(tmp_path)

    def run(*words: str) -> str:
        done = subprocess.run(["make", *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode != 0
        assert typed.recorded(tmp_path) == []
        return done.stderr

    return run


def test_a_name_that_nobody_reads_is_told(refused: Callable[..., str]) -> None:
    """Or `make stop LIMT=mac1` would stop every Mac."""
    assert "nothing here reads LIMT; there are PYTHON" in refused("stop", "LIMT=mac1")
    assert "nothing here reads FOO WHOLE;" in refused("WHOLE=", "uninstall", "FOO=$(touch ran)")


def test_what_is_about_all_takes_no_limit(refused: Callable[..., str]) -> None:
    for target in ("render", "check-configs", "lock", "key"):
        assert f"make {target} does not choose hosts" in refused(target, "LIMIT=mac1", "NAME=me")


def test_of_each_verb_it_is_known_whether_it_takes_a_limit() -> None:
    recipes = re.findall(r"^([a-z -]+):.*\n\t(.*--inventory.*|.*HERD\).*)$", typed.MAKEFILE, re.M)
    whole = re.findall(r"^override WHOLE := (.*)$", typed.MAKEFILE, re.M)[0].split()

    assert len(recipes) > 15
    assert {
        name for names, recipe in recipes if "$(ON)" not in recipe for name in names.split()
    } == {*whole}
    assert [names for names, recipe in recipes if "{}" not in recipe] == []


WORDS = {
    "": [],
    "proxy --lines 5": ["proxy", "--lines", "5"],
    "'my model' \"a b\" c\\ d": ["my model", "a b", "c d"],
    "--models 'gpt-*' *": ["--models", "gpt-*", "*"],
    "$HOME $(touch ran) `touch ran` ${HOME}": (
        ["$HOME", "$(touch", "ran)", "`touch", "ran`", "${HOME}"]
    ),
    "$(shell touch ran)": ["$(shell", "touch", "ran)"],
    "a; touch ran | b > ran &": ["a;", "touch", "ran", "|", "b", ">", "ran", "&"],
    "--json {} ~": ["--json", "{}", "~"],
    "one\ntouch ran": ["one", "touch", "ran"],
    "'' x": ["", "x"],
    "# 5": ["#", "5"],
}


@pytest.mark.parametrize(("text", "words"), WORDS.items())
def test_the_words_of_args_are_parted_and_no_more(make: Make, text: str, words: list[str]) -> None:
    assert make("status", f"ARGS={text}") == [
        ["python", "-m", "herd", "status", "--inventory=inventory.py", *words]
    ]
    assert make("plan", f"ARGS={text}", "LIMIT={}") == [
        ["pyinfra", "--dry", "--limit={}", *words, "--", "inventory.py", "deploy.py"]
    ]


def test_words_that_are_not_ended_are_told(tmp_path: Path) -> None:
    typed.workshop(tmp_path)
    done = subprocess.run(
        ["make", "status", "ARGS=it's"], cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode != 0
    assert "ARGS has no closing quotation: it's\n" in done.stderr
    assert typed.recorded(tmp_path) == []


def test_empty_is_as_if_it_were_not_given(make: Make) -> None:
    (call,) = make("chat", "PROMPT=", "LIMIT=", "ARGS=")

    assert call[3:] == ["chat", "--inventory=inventory.py"]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-verify.lock"])
def test_the_tests_environment_has_all_of_the_others(lock: str) -> None:
    """As its stamp says theirs are made, too."""

    def pinned(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (typed.ROOT / name).read_text(), re.MULTILINE))

    assert len(pinned(lock)) > 20
    assert pinned(lock) <= pinned("requirements-dev.lock")
