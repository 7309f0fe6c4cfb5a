"""Pinned releases of llama.cpp and llama-swap on a Mac: which is to run, which may go.

Each is in a directory of its own, and a link, `current`, says which one runs. A rollback holds a
program at another release than the pinned one, for as long as just this one is pinned.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from herd.core.settings.release import version_of
from herd.core.settings.schema import Settings

SOFTWARE = {"llama-server": "llama.cpp", "llama-swap": "llama-swap"}
"""What may be pinned, by the program that we run of it."""

KEPT = 2
"""Older releases of each that stay."""


@dataclass(frozen=True)
class Held:
    """`release` runs in place of `pinned`: both are names of directories."""

    release: str
    pinned: str


@dataclass(frozen=True)
class There:
    """By software: `whole` are the releases that are there, newest first, `junk` what was left of
    others; `current` is which one runs, `before` which ran before the last switch, `kept` what the
    definitions name that could be put back."""

    whole: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    junk: tuple[str, ...] = ()
    current: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, Held] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()


def pinned(settings: Settings) -> dict[str, str]:
    """The directory of each pinned release, by software."""
    return {name: release.directory for name, release in settings.releases.items()}


def wanted(pins: Mapping[str, str], there: There, *, forward: bool = False) -> dict[str, str]:
    """Which release is to run: the pinned one, unless a rollback holds another in its place and
    nobody wants to go `forward`."""
    return {name: _held(name, pin, there, forward) or pin for name, pin in pins.items()}


def _held(name: str, pin: str, there: There, forward: bool) -> str | None:
    held = there.held.get(name)
    is_whole = held and held.release in there.whole.get(name, ())
    return held.release if held and is_whole and held.pinned == pin and not forward else None


def holds(pins: Mapping[str, str], there: There, *, forward: bool = False) -> dict[str, Held]:
    """The marks of rollbacks that are still in force."""
    return {
        name: there.held[name] for name, pin in pins.items() if _held(name, pin, there, forward)
    }


class NothingBefore(Exception):
    """There is no release to go back to; the text says why, for a person."""


def rolled_back(pins: Mapping[str, str], there: There) -> dict[str, Held]:
    """What a rollback holds, by software; as it is when that has been done already.

    Raises NothingBefore.
    """
    if not pins:
        raise NothingBefore(
            "llama.cpp and llama-swap are Homebrew's, which installs its newest version only and "
            "deletes the one before: there is nothing to go back to. Pinned releases can be rolled "
            "back in seconds: llama_cpp_release, llama_swap_release."
        )
    if held := holds(pins, there):
        return held
    back = {
        name: Held(release, pins[name])
        for name, release in there.before.items()
        if name in pins and release != there.current.get(name)
    }
    if not back:
        running = ", ".join(
            f"{name} {version_of(there.current.get(name, pins[name]))}" for name in pins
        )
        raise NothingBefore(
            f"No other release ran here before {running}; for an older one pin that, and deploy."
        )
    if gone := [name for name, h in back.items() if h.release not in there.whole.get(name, ())]:
        named = ", ".join(f"{name} {version_of(back[name].release)}" for name in gone)
        raise NothingBefore(f"{named} is not there any more; pin it, and deploy.")
    return back


def removable(pins: Mapping[str, str], there: There) -> Iterator[str]:
    """Paths below the directory of all releases that nothing needs any more: what is neither
    pinned, nor runs, nor may be put back, beyond KEPT older ones of each; and what a run left that
    was cut off."""
    yield from there.junk
    for name, whole in there.whole.items():
        used = {pins.get(name), there.current.get(name), there.before.get(name)}
        used |= {held.release for at, held in there.held.items() if at == name}
        used |= {path.partition("/")[2] for path in there.kept if path.startswith(f"{name}/")}
        idle = [release for release in whole if release not in used]
        older = len([release for release in whole if release in used]) - 1
        yield from (f"{name}/{release}" for release in idle[max(0, KEPT - max(0, older)) :])
