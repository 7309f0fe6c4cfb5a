"""Homebrew and its formulae: installed when missing, trusted when from a tap, never upgraded here.

pyinfra's own brew.packages never finds names with an @ or a tap in them, and installs them again
on each run (facts: `python@3.13`, `user/tap/name`), so it does not converge for us.
"""

from collections.abc import Iterator, Sequence

from pyinfra import host

from herd.facts.brew import Brew, Outdated, Packages
from herd.facts.files import State
from herd.facts.gathered import Question
from herd.facts.script import script
from herd.operations.commands import Commands, operation, shown

PATIENCE = 300
"""Seconds to wait while another Homebrew has its lock, as one that an interrupted run left."""


def _homebrew_asks(*, prefix: str, installer: str) -> Iterator[Question]:
    yield Question(State, paths=[f"{prefix}/bin/brew"])


@operation(asks=_homebrew_asks)
def homebrew(*, prefix: str, installer: str) -> Commands:
    """
    Install Homebrew itself when it is missing.

    + prefix: where it is, or is to be
    + installer: URL of its install script
    """
    (brew,) = host.get_fact(State, paths=[f"{prefix}/bin/brew"])
    if brew.kind != "absent":
        host.noop("Homebrew is installed")
        return
    yield shown("install-homebrew", prefix, installer)


def _formulae_asks(names: Sequence[str], *, prefix: str, noted: str) -> Iterator[Question]:
    yield Question(Brew, homebrew_prefix=prefix)


@operation(asks=_formulae_asks)
def formulae(names: Sequence[str], *, prefix: str, noted: str) -> Commands:
    """
    Have formulae installed, in any version.

    + names: as for `brew install`; those of a tap by full name ("user/tap/name")
    + prefix: Homebrew's
    + noted: absolute path of the file where those that this installs are noted
    """
    state = host.get_fact(Brew, homebrew_prefix=prefix) or Packages((), {}, frozenset())
    missing = [name for name in names if name.rpartition("/")[2] not in state.formulae]
    untrusted = [name for name in names if "/" in name and not state.trusts(name)]
    if not missing and not untrusted:
        host.noop("all formulae are installed")
        return
    for name in untrusted:
        # Since Homebrew 6, formulae of a tap that nobody trusts are refused. In a dry run before
        # Homebrew is there, its version is unknown; a fresh one is 6 or later.
        yield shown("brew", prefix, PATIENCE, "trust", "--formula", name)
    if missing:
        # Before: what is noted and not there is nobody's, but not the other way round.
        yield script("note-packages", noted, *missing)
        yield shown("brew", prefix, PATIENCE, "install", *missing)
        yield script("note-dependencies", noted, f"{prefix}/Cellar", *state.formulae)


@operation()
def current(names: Sequence[str], *, prefix: str) -> Commands:
    """
    Upgrade formulae that Homebrew has a newer version of.

    + names: as for `formulae`
    + prefix: Homebrew's
    """
    outdated = host.get_fact(Outdated, homebrew_prefix=prefix, patience=PATIENCE, names=list(names))
    if not outdated:
        host.noop("all formulae are current")
        return
    yield shown("brew", prefix, PATIENCE, "upgrade", *outdated)
