"""What Homebrew's bin has in place of what is wanted, and who may install what is missing."""

import pytest

from herd.core.mac.mac import Folder
from herd.core.mac.packages import Link, Programs, problems, program_of

FORMULAE = ["llama.cpp", "llama-swap", "python@3.13"]
INSTALLED = {"llama.cpp": "0.9.0", "llama-swap": "250", "python@3.13": "3.13.9", "tabby": "0.32"}
LINKS = {
    "llama-server": Link("../Cellar/llama.cpp/0.9.0/bin/llama-server"),
    "llama-swap": Link("/opt/homebrew/Cellar/llama-swap/250/bin/llama-swap"),
    "python3.13": Link("../Cellar/python@3.13/3.13.9/bin/python3.13"),
}
TABBY = Link("../Cellar/tabby/0.32/bin/llama-server")
MINE = Folder("/opt/homebrew/Cellar", "0755", 501, 80, "me")
OTHERS = Folder("/opt/homebrew/bin", "0755", 502, 80, "ben")
SHARED = Folder("/opt/homebrew/bin", "0775", 502, 80, "ben")


def wrong(
    links: dict[str, Link] = LINKS, installed: dict[str, str] = INSTALLED, *folders: Folder
) -> list[str]:
    there = Programs(links, frozenset({20, 80}), folders)
    found = list(problems(FORMULAE, installed, there, prefix="/opt/homebrew", uid=501))
    return [f"{each.where}: {each.what} Fix: {each.fix}" for each in found]


def without(mapping: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in mapping.items() if key != name}


def test_programs_are_known_by_their_formulae() -> None:
    names = ["llama-server", "llama-swap", "python3.13"]
    assert [program_of(name) for name in FORMULAE] == names
    assert wrong() == []


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (None, "llama.cpp 0.9.0 is installed and not linked."),
        (TABBY, "not linked: /opt/homebrew/bin/llama-server is that of tabby, which takes other"),
        (Link("../Cellar/llama.cpp/0.8/bin/llama-server", whole=False), "is installed and not"),
        (Link("/usr/local/gone", whole=False), "llama.cpp 0.9.0 is installed and not linked."),
    ],
)
def test_a_keg_that_is_not_linked_is_named_with_its_command(link: Link | None, words: str) -> None:
    links = {name: found for name, found in LINKS.items() if name != "llama-server"}
    (found,) = wrong(links | ({"llama-server": link} if link else {}))

    assert words in found
    assert "run `brew link --overwrite llama.cpp` on the Mac." in found


@pytest.mark.parametrize("link", [Link(""), Link("/usr/local/src/llama-server")])
def test_somebodys_own_build_in_its_place_is_meant_to_be_there(link: Link) -> None:
    assert wrong(LINKS | {"llama-server": link}) == []


def test_a_formula_under_its_old_name_is_no_stranger() -> None:
    there = Programs({"hf": Link("../Cellar/huggingface-cli/0.34/bin/hf")})
    for installed in ({}, {"hf": "1.0"}):
        assert not list(problems(["hf"], installed, there, prefix="/opt/homebrew", uid=501))


def test_another_formulas_program_is_in_the_way_of_what_is_missing() -> None:
    (found,) = wrong(LINKS | {"llama-server": TABBY}, without(INSTALLED, "llama.cpp"))
    assert "/opt/homebrew/bin/llama-server is that of tabby, and in its way." in found
    assert "run `brew unlink tabby` on the Mac, then deploy again." in found

    (found,) = wrong(LINKS | {"llama-swap": Link("")}, without(INSTALLED, "llama-swap"))
    assert "is in its way, which is no program of Homebrew's." in found
    assert "move /opt/homebrew/bin/llama-swap away" in found


def test_what_is_missing_is_installed() -> None:
    assert wrong({}, {}) == []
    assert wrong({}, {}, MINE, SHARED) == []


def test_who_may_not_install_is_told_whose_homebrew_it_is_when_something_is_missing() -> None:
    assert wrong(LINKS, INSTALLED, MINE, OTHERS) == []

    (found,) = wrong(LINKS, without(INSTALLED, "llama.cpp"), MINE, OTHERS)

    assert found.startswith("Homebrew: /opt/homebrew/bin belongs to ben, so this user cannot")
    assert "what is missing: llama.cpp." in found
    assert "have ben run `brew install llama.cpp`, set ssh_user to ben, or " in found


def test_nor_may_one_upgrade_it() -> None:
    there = Programs(LINKS, frozenset({20, 80}), (OTHERS,))
    asked = {"prefix": "/opt/homebrew", "uid": 501}
    (found,) = problems(FORMULAE, INSTALLED, there, **asked, upgrade=True)  # type: ignore[arg-type]

    assert "belongs to ben" in found.what
