"""What Homebrew has, and what it trusts: texts from documentation (Homebrew 6.0.18, its source)."""

import json

import pytest
from pyinfra.api import FactProcessError

from herd.facts.brew import Brew, Outdated, Packages, parse

TRUST = {
    "taps": ["hashicorp/tap"],
    "formulae": ["mostlygeek/llama-swap/llama-swap"],
    "casks": [],
    "commands": [],
}
ANSWER = [
    "Homebrew 6.0.18",
    "--- formulae",
    "ggml 0.23.0",
    "llama.cpp 0.4.1 0.5.0",
    "openssl@3 3.6.0",
    "python@3.13 3.13.9_1",
    "--- trust",
    *json.dumps(TRUST, indent=2).splitlines(),
]


def found(lines: list[str]) -> Packages:
    packages = parse(lines)
    assert packages is not None
    return packages


def test_formulae_versions_and_trust_are_read() -> None:
    assert found(ANSWER) == Packages(
        version=(6, 0, 18),
        formulae={
            "ggml": "0.23.0",
            "llama.cpp": "0.5.0",
            "openssl@3": "3.6.0",
            "python@3.13": "3.13.9_1",
        },
        trusted=frozenset({"hashicorp/tap", "mostlygeek/llama-swap/llama-swap"}),
    )


def test_a_formula_is_trusted_by_itself_or_with_its_tap() -> None:
    packages = found(ANSWER)

    assert packages.trusts("mostlygeek/llama-swap/llama-swap")
    assert packages.trusts("hashicorp/tap/terraform")
    assert not packages.trusts("mostlygeek/llama-swap/other")
    assert not packages.trusts("somebody/else/llama-swap")


def test_a_homebrew_before_6_trusts_everything() -> None:
    """It has no `trust`: its complaint goes to stderr, and nothing to stdout."""
    packages = found(["Homebrew 5.1.2", "--- formulae", "hf 1.0", "--- trust"])

    assert packages.version == (5, 1, 2)
    assert packages.trusted is None
    assert packages.trusts("anybody/at/all")


def test_a_homebrew_that_trusts_nothing_is_not_an_old_one() -> None:
    packages = found([*ANSWER[:7], '{"taps": [], "formulae": [], "casks": [], "commands": []}'])

    assert packages.trusted == frozenset()
    assert not packages.trusts("mostlygeek/llama-swap/llama-swap")


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("Homebrew 6.0.18-32-gabcdef0", (6, 0, 18)),
        ("Homebrew >=4.3.0 (shallow or no git repository)", (4, 3, 0)),
        ("Homebrew", ()),
    ],
)
def test_versions_come_in_several_forms(line: str, version: tuple[int, ...]) -> None:
    assert found([line, "--- formulae", "--- trust"]).version == version


def test_a_homebrew_without_formulae_is_not_a_missing_homebrew() -> None:
    assert found(["Homebrew 6.0.18", "--- formulae", "--- trust"]).formulae == {}


def test_no_homebrew_is_none() -> None:
    """The script says nothing then, so pyinfra gives the default."""
    assert Brew.default() is None
    assert parse([]) is None
    assert parse(["some greeting"]) is None


@pytest.mark.parametrize("text", ["Trusted taps:", "[]", '{"taps": 5}', '{"taps": null}', "{"])
def test_garbage_for_trust_fails_this_host_only(text: str) -> None:
    with pytest.raises(FactProcessError, match="brew trust"):
        parse([*ANSWER[:7], text])


# -- Outdated


def outdated(names: list[str], *entries: str) -> list[str]:
    fact = Outdated()
    fact.command("/opt/homebrew", 300, names)
    formulae = [{"name": name, "installed_versions": ["1"]} for name in entries]
    return fact.process(json.dumps({"formulae": formulae, "casks": []}, indent=2).splitlines())


def test_outdated_formulae_are_named_as_they_were_asked_for() -> None:
    names = ["llama.cpp", "mostlygeek/llama-swap/llama-swap", "hf", "python@3.13"]

    assert outdated(names, "python@3.13", "mostlygeek/llama-swap/llama-swap") == [
        *("mostlygeek/llama-swap/llama-swap", "python@3.13"),
    ]
    assert outdated(names, "llama-swap", "ggml") == ["mostlygeek/llama-swap/llama-swap"]
    assert outdated(names) == []


def test_without_homebrew_nothing_is_outdated() -> None:
    assert Outdated.default() == []


@pytest.mark.parametrize("text", ["Already up-to-date.", "[]", "{}", '{"formulae": [5]}', '"x"'])
def test_garbage_for_outdated_fails_this_host_only(text: str) -> None:
    fact = Outdated()
    fact.command("/opt/homebrew", 300, ["hf"])
    with pytest.raises(FactProcessError, match="brew outdated"):
        fact.process([text])
