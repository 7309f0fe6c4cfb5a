"""Homebrew's formulae: installed when missing, trusted when of a tap, and otherwise left alone."""

from herd.operations import brew
from tests.operations.harness import Run, run

NAMES = ["llama.cpp", "mostlygeek/llama-swap/llama-swap", "hf", "uv", "python@3.13"]
INSTALLED = ["llama.cpp 0.5.0", "llama-swap 250", "hf 2.4", "uv 0.9", "python@3.13 3.13.9 3.13.10"]
TRUST = '{"taps": [], "formulae": ["mostlygeek/llama-swap/llama-swap"]}'
NO_TRUST = '{"taps": [], "formulae": []}'


def state(installed: list[str], trust: str = TRUST, version: str = "6.0.18") -> list[str]:
    return [f"Homebrew {version}", "--- formulae", *installed, "--- trust", trust]


def formulae(answer: list[str]) -> Run:
    return run(
        brew.formulae,
        names=NAMES,
        prefix="/opt/homebrew",
        noted="/s/installed-packages",
        answers={"packages": answer},
    )


def brews(found: Run) -> list[str]:
    """What Homebrew is told, without our own notes of it."""
    return [words for words in found.sent if not words.startswith("note-")]


def test_nothing_is_sent_when_everything_is_there() -> None:
    found = formulae(state(INSTALLED))

    assert found.untouched
    assert found.asked == ["packages /opt/homebrew"]


def test_a_versioned_formula_is_found_by_its_whole_name() -> None:
    """pyinfra's own brew.packages installs python@3.13 again on each run."""
    assert formulae(state([*INSTALLED[:4], "python@3.13 3.13.9"])).untouched
    assert brews(formulae(state([*INSTALLED[:4], "python@3.12 3.12.9"]))) == [
        "brew /opt/homebrew 300 install python@3.13"
    ]


def test_only_what_is_missing_is_installed_at_once_and_by_full_name() -> None:
    found = formulae(state(["llama.cpp 0.5.0", "hf 2.4"]))

    assert brews(found) == [
        "brew /opt/homebrew 300 install mostlygeek/llama-swap/llama-swap uv python@3.13"
    ]
    assert found.changed
    assert found.planned


def test_a_person_sees_what_homebrew_says() -> None:
    found = formulae(state([]))

    assert found.printed == brews(found)


def test_what_is_installed_is_noted_before_and_what_came_along_after() -> None:
    """A run that is killed in between has noted what nobody else can have installed."""
    found = formulae(state(["llama.cpp 0.5.0", "openssl@3 3.6.0", "hf 2.4", "uv 0.9"]))

    missing = "mostlygeek/llama-swap/llama-swap python@3.13"
    assert found.sent == [
        f"note-packages /s/installed-packages {missing}",
        f"brew /opt/homebrew 300 install {missing}",
        "note-dependencies /s/installed-packages /opt/homebrew/Cellar llama.cpp openssl@3 hf uv",
    ]


def test_an_outdated_formula_stays() -> None:
    assert formulae(state(["llama.cpp 0.0.1", *INSTALLED[1:]])).untouched


def test_a_tap_is_trusted_before_its_formula_is_installed() -> None:
    found = formulae(state([], trust=NO_TRUST))

    assert brews(found) == [
        "brew /opt/homebrew 300 trust --formula mostlygeek/llama-swap/llama-swap",
        "brew /opt/homebrew 300 install " + " ".join(NAMES),
    ]


def test_an_installed_formula_that_nobody_trusts_is_trusted_so_that_it_can_be_upgraded() -> None:
    found = formulae(state(INSTALLED, trust=NO_TRUST))

    assert found.sent == ["brew /opt/homebrew 300 trust --formula mostlygeek/llama-swap/llama-swap"]


def test_a_trusted_tap_is_enough() -> None:
    assert formulae(state(INSTALLED, '{"taps": ["mostlygeek/llama-swap"]}')).untouched


def test_a_homebrew_before_6_is_not_asked_to_trust() -> None:
    found = formulae(state([], trust="", version="5.1.2"))

    assert brews(found) == ["brew /opt/homebrew 300 install " + " ".join(NAMES)]


def test_on_a_bare_mac_everything_is_to_be_trusted_and_installed() -> None:
    """As in a dry run, before Homebrew itself is there."""
    found = formulae([])

    assert len(brews(found)) == 2


def test_a_failing_install_fails_the_host() -> None:
    found = run(
        brew.formulae,
        names=NAMES,
        prefix="/opt/homebrew",
        noted="/s/installed-packages",
        answers={"packages": state([])},
        fails=["brew /opt/homebrew 300 install"],
    )

    assert found.failed
    assert not found.changed


def test_garbage_from_homebrew_fails_the_host_and_installs_nothing() -> None:
    found = formulae(state([], trust="Trusted taps:"))

    assert found.failed
    assert not found.sent
    assert not found.changed


# -- Homebrew itself


def test_homebrew_is_installed_only_when_it_is_missing() -> None:
    arguments = {"prefix": "/opt/homebrew", "installer": "https://x.example/install.sh"}
    there = run(brew.homebrew, **arguments, answers={"state": "file 755 0  -"})
    missing = run(brew.homebrew, **arguments, answers={"state": "absent"})

    assert there.untouched
    assert there.asked == ["state /opt/homebrew/bin/brew"]
    assert missing.sent == ["install-homebrew /opt/homebrew https://x.example/install.sh"]
    assert missing.printed == missing.sent


# -- Upgrades


def current(outdated: str) -> Run:
    return run(brew.current, names=NAMES, prefix="/opt/homebrew", answers={"outdated": outdated})


def test_what_is_outdated_is_upgraded_and_nothing_else() -> None:
    found = current('{"formulae": [{"name": "hf"}, {"name": "llama-swap"}, {"name": "ggml"}]}')

    assert found.asked == ["outdated /opt/homebrew 300 " + " ".join(NAMES)]
    assert found.sent == ["brew /opt/homebrew 300 upgrade mostlygeek/llama-swap/llama-swap hf"]


def test_nothing_is_upgraded_when_everything_is_current() -> None:
    assert current('{"formulae": []}').untouched
