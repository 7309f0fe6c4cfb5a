"""brew tap, untap, trust and untrust (docs/Tap-Trust.md; required by default since 6.0.0)."""

from __future__ import annotations

import sys

from lab.commands.base import fail
from lab.homebrew import OFFICIAL_TAPS, TRUST_KEYS, BrewError, Formula, Homebrew


def add(homebrew: Homebrew, name: str, url: str = "") -> None:
    """Clone a tap, in Homebrew's and git's words."""
    path = homebrew.tap_path(name)
    sys.stderr.write(f"==> Tapping {name}\nCloning into '{path}'...\n")
    (path / "Formula").mkdir(parents=True)
    (path / "remote").write_text(url or default_url(name))
    sys.stderr.write("Tapped 1 formula (14 files, 10.5KB).\n")


def default_url(name: str) -> str:
    user, _, repo = name.partition("/")
    return f"https://github.com/{user}/homebrew-{repo}"


def tap(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    if not names:
        for name in homebrew.taps():
            print(name)
        return 0
    name = names[0]
    if name.count("/") != 1:
        raise BrewError(f"Invalid tap name: '{name}'")
    if name in homebrew.mac.facts["brew_fail"]:
        raise BrewError(homebrew.mac.facts["brew_fail"][name])
    if name.lower() not in homebrew.taps():
        add(homebrew, name, *names[1:2])
    elif len(names) > 1:
        old = (homebrew.tap_path(name) / "remote").read_text()
        if old != names[1]:
            raise BrewError(f"Tap {name.lower()} remote mismatch.\n{old} != {names[1]}")
    return 0


def untap(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    import contextlib
    import shutil

    for name in names:
        lower = name.lower()
        if lower not in homebrew.taps():
            raise BrewError(
                f"No available tap {lower}.\nRun brew tap-new {lower} to create a new {lower} tap!"
            )
        sys.stderr.write(f"Untapping {lower}...\nUntapped 1 formula (14 files, 10.5KB).\n")
        shutil.rmtree(homebrew.tap_path(lower))
        with contextlib.suppress(OSError):  # that has others (tap.rb, rmdir_if_possible)
            homebrew.tap_path(lower).parent.rmdir()
    return 0


def trust(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    if not names:
        return _show(homebrew, flags)
    for name in names:
        kind, key = _kind(name, flags)
        lower = name.lower()
        if lower in OFFICIAL_TAPS:
            print(f"Official tap {lower} is always trusted.")
        elif homebrew.trust(key, lower, wanted=True):
            print(f"Trusted {kind}: {lower}")
        else:
            print(f"Already trusted {kind}: {lower}")
    return 0


def untrust(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    for name in names:
        kind, key = _kind(name, flags)
        lower = name.lower()
        changed = homebrew.trust(key, lower, wanted=False)
        print(f"{'Untrusted' if changed else 'Not trusted'} {kind}: {lower}")
    return 0


def _kind(name: str, flags: list[str]) -> tuple[str, str]:
    """tap or formula: as the option says, else by the number of slashes."""
    formula = "--formula" in flags or ("--tap" not in flags and name.count("/") == 2)
    return ("formula", "trustedformulae") if formula else ("tap", "trustedtaps")


def _show(homebrew: Homebrew, flags: list[str]) -> int:
    import json

    trusted = homebrew.trusted()
    json_flags = [flag for flag in flags if flag.startswith("--json")]
    if json_flags:
        if json_flags[0] not in ("--json=v1", "--json"):
            return fail("Error: invalid option: --json only supports v1")
        print(json.dumps({name: trusted[key] for key, name in TRUST_KEYS.items()}, indent=2))
        return 0
    if not any(trusted.values()):
        print("No trusted taps, formulae, casks or commands.")
        return 0
    print("All official taps and commands are trusted.")
    for key, name in TRUST_KEYS.items():
        if trusted[key]:
            print(f"Trusted {name}:")
            for entry in trusted[key]:
                print(f"  {entry}")
    return 0


def tapped(homebrew: Homebrew, formula: Formula) -> bool:
    return formula.tap == "homebrew/core" or formula.tap in homebrew.taps()


def load(homebrew: Homebrew, formula: Formula) -> None:
    """Formula code of an untrusted tap is not even read."""
    if not homebrew.is_trusted(formula):
        name, tap = formula.full_name, formula.tap
        raise BrewError(
            f"Refusing to load formula {name} from untrusted tap {tap}.\n"
            f"Run `brew trust --formula {name}` or `brew trust {tap}` to trust it."
        )


def skip(formula: Formula) -> None:
    sys.stderr.write(
        f"Warning: Skipping {formula.tap} because it is not trusted."
        f" Run `brew trust {formula.tap}` to trust it.\n"
    )
