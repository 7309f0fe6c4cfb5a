"""brew of Homebrew 6.0 (Homebrew/brew 6.0.18): `==>` lines on stdout, warnings on stderr."""

from __future__ import annotations

import os
import sys
import time

from lab.commands import brew_query, brew_taps
from lab.commands.base import as_root, fail
from lab.homebrew import BrewError, Formula, Homebrew
from lab.mac import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# These may run as root; nothing else may.
FOR_ROOT = ("--prefix", "services", "list", "tap")
BOTTLES = {14: "arm64_sonoma", 15: "arm64_sequoia", 26: "arm64_tahoe", 27: "arm64_golden_gate"}
AUTO_UPDATING = ("install", "outdated", "upgrade")


def brew(mac: Machine, args: list[str]) -> int:
    """The command line."""
    if not os.environ.get("HOME"):
        return fail("Error: $HOME must be set to run brew.")
    if not args:
        return fail("Example usage:\n  brew search TEXT|/REGEX/")
    verb, rest = args[0], args[1:]
    if as_root() and (verb not in FOR_ROOT or (verb == "tap" and rest)):
        return fail(
            "Error: Running Homebrew as root is extremely dangerous and no longer supported.\n"
            "As Homebrew does not drop privileges on installation you would be giving all\n"
            "build scripts full access to your system."
        )
    homebrew = Homebrew(mac)
    command = VERBS.get(verb)
    if command is None or (homebrew.version < (6,) and verb in ("trust", "untrust")):
        return fail(f"Error: Unknown command: brew {verb}")
    if verb in mac.facts["brew_hang"]:
        time.sleep(10**6)
    if verb in mac.facts["brew_fail"]:
        return fail(f"Error: {mac.facts['brew_fail'][verb]}")
    _auto_update(homebrew, verb, rest)
    flags = [word for word in rest if word.startswith("-")]
    names = [word for word in rest if not word.startswith("-")]
    try:
        return command(homebrew, names, flags)
    except BrewError as error:
        return fail(f"Error: {error}")


def _auto_update(homebrew: Homebrew, verb: str, rest: list[str]) -> None:
    """At most once a day, and every five minutes for names of third-party taps."""
    if os.environ.get("HOMEBREW_NO_AUTO_UPDATE"):
        return
    if verb not in AUTO_UPDATING and not (verb == "tap" and rest):
        return
    stamp = homebrew.prefix / "var/homebrew/updated"
    third_party = any(word.count("/") == 2 for word in rest)
    age = time.time() - stamp.stat().st_mtime if stamp.exists() else float("inf")
    if age < (300 if third_party else 86400):
        return
    stamp.touch()
    sys.stderr.write(
        "==> Auto-updating Homebrew...\n"
        "Adjust how often this is run with `$HOMEBREW_AUTO_UPDATE_SECS` or disable with\n"
        "`$HOMEBREW_NO_AUTO_UPDATE=1`. Hide these hints with `$HOMEBREW_NO_ENV_HINTS=1` (see"
        " `man brew`).\n"
    )


# -- changing it


def _install(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    code = 0
    for name in names:
        homebrew.lock(name.rpartition("/")[2])
        code = _install_one(homebrew, name) or code
    return code


def _install_one(homebrew: Homebrew, name: str) -> int:
    formula = homebrew.find(name)
    if formula and name.count("/") == 2:
        # A full name is consent: it taps, and trusts that one formula (docs/Tap-Trust.md).
        if not brew_taps.tapped(homebrew, formula):
            brew_taps.add(homebrew, formula.tap)
        if homebrew.version >= (6,) and not homebrew.is_trusted(formula):
            homebrew.trust("trustedformulae", formula.full_name, wanted=True)
            sys.stderr.write(f"==> Trusted formula {formula.full_name}\n")
    if formula is None or not brew_taps.tapped(homebrew, formula):
        return fail(f'Warning: No available formula or cask with the name "{name}".')
    brew_taps.load(homebrew, formula)
    versions = homebrew.installed().get(formula.name, [])
    if formula.version in versions:
        unlinked = not homebrew.is_linked(formula)
        which = f"{formula.name} {formula.version}"
        if unlinked:
            sys.stderr.write(
                f"Warning: {which} is already installed, it's just not linked.\n"
                f"To link this version, run:\n  brew link {formula.name}\n"
            )
        else:
            sys.stderr.write(
                f"Warning: {which} is already installed and up-to-date.\n"
                f"To reinstall {formula.version}, run:\n  brew reinstall {formula.name}\n"
            )
        return 0
    if versions:
        if homebrew.pinned(formula.name) or os.environ.get("HOMEBREW_NO_INSTALL_UPGRADE"):
            fail(f"Error: {formula.name} {versions[-1]} is already installed")
            return 0
        print(
            f"{formula.name} {versions[-1]} is already installed but outdated"
            " (so it will be upgraded)."
        )
    return _pour(homebrew, formula)


def _pour(homebrew: Homebrew, formula: Formula, *, on_request: bool = True) -> int:
    """Fetch and pour a bottle with what it depends on."""
    facts = homebrew.mac.facts
    if facts["prefix_owner"]:
        # Homebrew's cmd/install, as check_for_unwritable… has it; the wording varies.
        raise BrewError(
            "The following directories are not writable by your user:\n"
            f"{homebrew.prefix}/Cellar\n\nYou should change the ownership of these directories to"
            f" your user.\n  sudo chown -R tester {homebrew.prefix}/Cellar"
        )
    if formula.name in facts["brew_hang"]:
        print(f"==> Fetching {formula.full_name}", flush=True)
        time.sleep(10**6)
    if formula.name in facts["brew_fail"]:
        print(f"==> Fetching {formula.full_name}")
        return fail(f"Error: {facts['brew_fail'][formula.name]}")
    for name in formula.dependencies:
        dependency = homebrew.find(name)
        if dependency and name not in homebrew.installed():
            print(f"==> Installing dependencies for {formula.full_name}: {name}")
            if code := _pour(homebrew, dependency, on_request=False):
                return code
    print(f"==> Fetching {formula.full_name}")
    bottle = BOTTLES.get(homebrew.mac.macos_major, "arm64_tahoe")
    print(f"==> Pouring {formula.name}--{formula.version}.{bottle}.bottle.tar.gz")
    keg = homebrew.pour(formula, on_request=on_request)
    homebrew.remove_old(formula)
    print(f"🍺  {keg}: 12 files, 3MB")
    return 0


def _upgrade(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    installed = homebrew.installed()
    code = 0
    pinned = []
    for name in names or installed:
        formula = homebrew.find(name)
        if formula is None or formula.name not in installed:
            code = fail(f"Error: {name} not installed") if names else 0
            continue
        if not homebrew.is_trusted(formula):
            if names:
                brew_taps.load(homebrew, formula)
            brew_taps.skip(formula)
        elif not homebrew.outdated(formula.name):
            if names:
                sys.stderr.write(f"Warning: {name} {formula.version} already installed\n")
        elif homebrew.pinned(formula.name):
            pinned.append(f"{formula.name} {formula.version}")
        else:
            old = installed[formula.name][-1]
            print(f"==> Upgrading {formula.name}\n  {old} -> {formula.version}")
            code = _pour(homebrew, formula) or code
    if pinned and names:
        count = len(pinned)
        listing = "\n".join(pinned)
        plural = "" if count == 1 else "s"
        return fail(f"Error: Not upgrading {count} pinned package{plural}:\n{listing}")
    return code


def _uninstall(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    going = {name.rpartition("/")[2] for name in names}
    for name in names:
        short = name.rpartition("/")[2]
        if short not in homebrew.installed():
            raise BrewError(f"No such keg: {homebrew.cellar / short}")
        if needing := _dependents(homebrew, short) - going:
            # Homebrew's uninstall.rb and dependents_message.rb.
            verb = "are" if len(needing) > 1 else "is"
            raise BrewError(
                f"Refusing to uninstall {homebrew.cellar / short / homebrew.installed()[short][-1]}"
                f"\nbecause it is required by {', '.join(sorted(needing))}, which {verb} currently"
                " installed.\nYou can override this and force removal with:\n"
                f"  brew uninstall --ignore-dependencies {short}"
            )
        print(f"Uninstalling {homebrew.cellar / short}... (12 files, 3MB)")
        homebrew.uninstall(short)
    return 0


def _dependents(homebrew: Homebrew, name: str) -> set[str]:
    """Installed formulae that need this one."""
    found = (homebrew.find(each) for each in homebrew.installed())
    return {each.name for each in found if each and name in each.dependencies}


def _link(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    """The newest keg."""
    for name in names:
        formula = homebrew.find(name)
        if formula is None or formula.name not in homebrew.installed():
            raise BrewError(f"No such keg: {homebrew.cellar / name}")
        formula.version = homebrew.installed()[formula.name][-1]
        if homebrew.is_linked(formula):
            sys.stderr.write(
                f"Warning: Already linked: {homebrew.cellar / formula.name / formula.version}\n"
            )
            continue
        homebrew.link(formula, overwrite="--overwrite" in flags)
        print(
            f"Linking {homebrew.cellar / formula.name / formula.version}..."
            f" {len(formula.binaries)} symlinks created."
        )
    return 0


def _unlink(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    for name in names:
        count = homebrew.unlink(name)
        print(f"Unlinking {homebrew.cellar / name}... {count} symlinks removed.")
    return 0


def _pin(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    for name in names:
        versions = homebrew.installed().get(name)
        if not versions:
            raise BrewError(f"{name} not installed")
        if homebrew.pinned(name):
            sys.stderr.write(f"Warning: {name} already pinned\n")
        else:
            (homebrew.pins / name).symlink_to(f"../../../Cellar/{name}/{versions[-1]}")
    return 0


def _unpin(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    for name in names:
        if name not in homebrew.installed():
            raise BrewError(f"{name} not installed")
        if not homebrew.pinned(name):
            sys.stderr.write(f"Warning: {name} not pinned\n")
        (homebrew.pins / name).unlink(missing_ok=True)
    return 0


def _update(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    sys.stderr.write("==> Updating Homebrew...\n")
    print("Already up-to-date.")
    return 0


def _services(homebrew: Homebrew, names: list[str], flags: list[str]) -> int:
    """None of these formulae has a service block."""
    if names[:1] in ([], ["list"]):
        print("Name Status User File")
        return 0
    name = names[1] if len(names) > 1 else ""
    raise BrewError(
        f"Formula `{name}` has not implemented #plist, #service or provided a locatable"
        " service file."
    )


VERBS: dict[str, Callable[[Homebrew, list[str], list[str]], int]] = {
    "--version": brew_query.version,
    "-v": brew_query.version,
    "--prefix": brew_query.prefix,
    "list": brew_query.listing,
    "ls": brew_query.listing,
    "outdated": brew_query.outdated,
    "info": brew_query.info,
    "install": _install,
    "upgrade": _upgrade,
    "uninstall": _uninstall,
    "remove": _uninstall,
    "link": _link,
    "unlink": _unlink,
    "pin": _pin,
    "unpin": _unpin,
    "update": _update,
    "services": _services,
    "tap": brew_taps.tap,
    "untap": brew_taps.untap,
    "trust": brew_taps.trust,
    "untrust": brew_taps.untrust,
}
