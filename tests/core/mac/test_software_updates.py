"""Updates that restart a server are known by keys that need not be there."""

import pytest

from herd.core.mac import software_updates
from herd.core.mac.software_updates import KEYS, Updates
from tests.core.samples import settings

NONE = """\
2026-11-28 10:00:00.000 defaults[4242:4242]
Domain /Library/Preferences/com.apple.SoftwareUpdate does not exist
"""
# As defaults(1) prints a domain: bools as 1 and 0, what is nested further in.
SOME = """\
{
    AutomaticCheckEnabled = 1;
    AutomaticDownload = 0;
    AutomaticallyInstallMacOSUpdates = 1;
    ConfigDataInstall = 1;
    LastFullSuccessfulDate = "2026-11-27 08:12:11 +0000";
    RecommendedUpdates =     (
                {
            "Display Name" = "macOS Golden Gate 27.1";
            SplatEnabled = 0;
        }
    );
    SplatEnabled = 0;
}
"""


def parse(own: str = NONE, managed: str = NONE) -> Updates:
    return software_updates.parse(own.splitlines(), managed.splitlines())


def test_a_domains_own_keys_are_read() -> None:
    found = parse(SOME)

    assert found.own == {
        "AutomaticDownload": "false",
        "AutomaticallyInstallMacOSUpdates": "true",
        "SplatEnabled": "false",
    }
    assert found.managed == {}


@pytest.mark.parametrize("macos", [(15, 7), (26, 0), (26, 1), (27, 0)])
def test_an_absent_key_is_on(macos: tuple[int, ...]) -> None:
    known = KEYS if macos >= (26, 1) else KEYS[:3]

    assert parse().on(macos) == list(known)
    assert "may restart it" in (software_updates.restarts(parse(), macos) or "")
    assert parse(SOME).on(macos) == ["AutomaticallyInstallMacOSUpdates", "CriticalUpdateInstall"]


def test_all_off_restarts_nothing() -> None:
    off = "\n".join(["{", *(f"    {key} = 0;" for key in KEYS), "}"])

    assert software_updates.restarts(parse(off), (27, 0)) is None
    # Whatever is set: a profile counts.
    profile = "{\n    SplatEnabled = 1;\n}"
    assert parse(off, profile).on((27, 0)) == ["SplatEnabled"]


@pytest.mark.parametrize("said", ["", "sudo: a password is required", "zsh: no such file"])
def test_what_is_no_answer(said: str) -> None:
    with pytest.raises(ValueError, match="does not say"):
        parse(said)


def test_what_is_wanted_off_and_on() -> None:
    found = parse(SOME)

    assert software_updates.wanted(settings(), found, (27,)) == {}
    off = software_updates.wanted(settings(mac_automatic_updates=False), found, (27, 0))
    assert off == {f"updates: {key}": "false" for key in KEYS}
    on = software_updates.wanted(settings(mac_automatic_updates=True), found, (15, 7))
    assert on == {
        "updates: AutomaticDownload": "true",
        "updates: AutomaticallyInstallMacOSUpdates": "true",
        "updates: CriticalUpdateInstall": "absent",
    }


def test_a_profile_that_says_otherwise_is_a_problem() -> None:
    found = parse(managed="{\n    AutomaticDownload = 1;\n    SplatEnabled = 0;\n}")

    (problem,) = software_updates.problems(settings(mac_automatic_updates=False), found)
    assert "AutomaticDownload the other way" in problem.what
    assert not list(software_updates.problems(settings(), found))


def test_commands() -> None:
    defaults, domain = "/usr/bin/defaults", "/Library/Preferences/com.apple.SoftwareUpdate"

    assert software_updates.commands("updates: SplatEnabled", "false") == [
        [defaults, "write", domain, "SplatEnabled", "-bool", "false"]
    ]
    assert software_updates.commands("updates: SplatEnabled", "absent") == [
        [defaults, "delete", domain, "SplatEnabled"]
    ]
