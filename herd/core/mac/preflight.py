"""What a stack asks of a Mac, and which of it a Mac lacks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from herd.core.mac import packages, volumes
from herd.core.mac.boot import Boot, late_volumes, without_session
from herd.core.mac.mac import Folder, Identity
from herd.core.mac.packages import Programs
from herd.core.mac.root_command import Command
from herd.core.models import memory_fit
from herd.core.models.memory_estimate import Served
from herd.core.models.memory_sum import Limits, Sum
from herd.core.settings.problems import Problem
from herd.core.settings.schema import Fit
from herd.core.text.quoting import elided, shell_quote
from herd.core.text.units import gib

MIN_MACOS = 14
NOT_ASKED = Boot()


@dataclass(frozen=True)
class Fetch:
    """A model's files: name, and bytes by path below the directory of all models."""

    model: str
    files: Mapping[str, int]


@dataclass(frozen=True)
class Room:
    """Bytes still to be fetched, and free on the volume that will hold them."""

    missing: int
    free: int


@dataclass(frozen=True)
class Needs:
    """Reserves are in bytes: of memory beside a model's weights, of disk beside all files.

    `packages_missing` is unknown before Homebrew is asked, so Homebrew itself is all that is
    looked at. `console`: somebody must be logged in there, as LaunchAgents live in that session.
    `together` has each set of models that may be loaded at a time, of those whose header is known;
    `fit` is what becomes of those that do not fit. `formulae` are the short names of Homebrew's;
    with `upgrade` what is there is replaced anyway. `removable` are directories that launchd's jobs
    must be able to read, and may not. `root` is what only root may do, which the SSH user must be
    able to without a password. `unasked` are models of which this Mac's llama.cpp will be asked
    before they are fetched: only what no answer can change is a problem of theirs now. A
    `pinned_server` is tried before anything leads to it. `wired_limit` is what the deploy lets the
    GPU wire, in bytes. `daemon`: it is to serve before anybody logs in.
    """

    models: Sequence[Fetch]
    memory_reserve: int
    disk_reserve: int
    console: bool
    together: Sequence[Sequence[Served]] = ()
    fit: Fit = "refuse"
    formulae: Sequence[str] = ()
    homebrew_prefix: str = ""
    upgrade: bool = False
    removable: Sequence[str] = ()
    root: Sequence[Command] = ()
    unasked: frozenset[str] = frozenset()
    pinned_server: bool = False
    wired_limit: int | None = None
    daemon: bool = False


WARNING = "warning"
"""The kind of a problem that does not stand in the way, but is to be known."""


@dataclass(frozen=True)
class Homebrew:
    """What Homebrew has: versions by short name, and what its bin has of them."""

    installed: Mapping[str, str]
    programs: Programs


def problems(
    mac: Identity,
    needs: Needs,
    room: Room,
    foreign: Mapping[str, str],
    homebrew: Homebrew | None = None,
    start: Boot = NOT_ASKED,
) -> list[Problem]:
    """Everything that stands in the way, and what is to be known (of the kind WARNING).

    `foreign`: who holds which of the stack's ports without belonging to it. `homebrew` is None
    where there is none yet; `start` is asked where it matters.
    """
    found: list[Problem] = []

    def add(where: str, what: str, fix: str) -> None:
        found.append(Problem(where, what, fix))

    if mac.system != "Darwin" or mac.arch != "arm64":
        add(
            "machine",
            f"It is {mac.system} on {mac.arch}.",
            "use an Apple Silicon Mac (a terminal under Rosetta says x86_64, too).",
        )
    elif mac.macos[:1] < (MIN_MACOS,):
        add(
            "macOS",
            f"It runs macOS {'.'.join(map(str, mac.macos)) or 'of an unknown version'}.",
            f"upgrade to macOS {MIN_MACOS} or later.",
        )
    if mac.uid == 0:
        add(
            "user", "SSH logs in as root, which Homebrew refuses.", "set ssh_user to an admin user."
        )
    away = list(volumes.problems(mac.places, mac.home))
    found += away
    if not mac.writable and not away:
        add("stack_root", f"{mac.user} may not write there.", "choose a directory of the SSH user.")
    for folder in mac.folders:
        if not folder.is_safe(mac.uid):
            add(
                f"directory {folder.path}",
                f"Others may exchange what is in it: it belongs to {folder.owner} (mode "
                f"{folder.mode.lstrip('0') or '0'}).",
                f"{_chmod(folder, mac)} on the Mac, or choose another stack_root.",
            )
    found += _tools(mac)
    if homebrew:
        found += packages.problems(
            needs.formulae,
            homebrew.installed,
            homebrew.programs,
            prefix=needs.homebrew_prefix,
            uid=mac.uid,
            upgrade=needs.upgrade,
        )
    if mac.server_fault and not needs.upgrade and not needs.pinned_server:
        add(
            "llama-server",
            f"The installed one cannot run: {mac.server_fault}.",
            "run `brew reinstall ggml llama.cpp` on the Mac, or upgrade both.",
        )
    if needs.console and not mac.console:
        found.append(without_session(start, mac.user))
    if needs.daemon and not away:
        found += late_volumes(start, mac.places)
    found += _room(mac, needs, room)
    for port, holder in foreign.items():
        add(f"port {port}", f"It is held by {holder}.", "stop that, or choose another port.")
    return found


def without_root(said: str, why: str = "These settings ask for what is root's.") -> Problem:
    """Nobody has let the SSH user do what only root may; sudo has `said` so."""
    fix = (
        "take `Defaults requiretty` out of sudoers on the Mac, as no deploy has a terminal."
        if "must have a tty" in said
        else "put the rule that `make sudoers` prints in place on the Mac (it says how); it is "
        "another one when such settings change."
    )
    what = f"{why} That takes commands that only root may run, and sudo says: {elided(said, 160)}."
    return Problem("sudo", what, fix)


def _chmod(folder: Folder, mac: Identity) -> str:
    path = shell_quote(folder.path)
    if folder.uid not in (0, mac.uid):
        return f"run `sudo chown {shell_quote(mac.user)} {path}`"
    return f"run `{'sudo ' if folder.uid == 0 else ''}chmod go-w {path}`"


def _tools(mac: Identity) -> list[Problem]:
    if not mac.brew and not mac.sudo:
        return [
            Problem(
                "Homebrew",
                "It is missing, and cannot be installed unattended: sudo asks for a password.",
                "install it once on the Mac as brew.sh says (the .pkg there needs no terminal).",
            )
        ]
    # Homebrew's installer brings the tools along, where it may use sudo.
    if not mac.command_line_tools and (mac.brew or mac.sudo is None):
        return [
            Problem(
                "Command Line Tools",
                "They are missing, and Homebrew needs them.",
                "run `xcode-select --install` on the Mac, and follow its window.",
            )
        ]
    return []


def _room(mac: Identity, needs: Needs, room: Room) -> list[Problem]:
    found = memory_problems(mac, needs)
    if room.missing and room.missing + needs.disk_reserve > room.free:
        found.append(
            Problem(
                "disk",
                f"{gib(room.missing)} are still to be fetched and {gib(needs.disk_reserve)} stay "
                f"in reserve, but {gib(room.free)} are free.",
                "free some space (models_prune = True removes models that are not declared), or "
                "set stack_root to a larger volume.",
            )
        )
    return found


def limits(mac: Identity, needs: Needs) -> Limits:
    """What models may take there."""
    return Limits.of(
        mac.memory,
        mac.macos,
        wired_limit=mac.wired_limit,
        gpu_memory=mac.gpu_memory,
        declared=needs.wired_limit,
        reserve=needs.memory_reserve,
    )


def memory_problems(mac: Identity, needs: Needs) -> list[Problem]:
    """What does not fit: a warning where that is asked for, or where it is only estimated."""
    return [] if needs.fit == "off" else list(_memory(mac, needs))


def _memory(mac: Identity, needs: Needs) -> Iterator[Problem]:
    found = []
    if mac.system == "Darwin":
        has = limits(mac, needs)
        found += memory_fit.problems(_decided(needs, has), has)
    summed = {served.name for models in needs.together for served in models}
    for model in needs.models:
        weights = sum(model.files.values())
        # Of a model without a known header, weights are all that is known.
        if model.model not in summed and weights + needs.memory_reserve > mac.memory:
            found.append(
                Problem(
                    f"memory for {model.model}",
                    f"{gib(weights)} of weights and {gib(needs.memory_reserve)} in reserve do not "
                    f"fit into {gib(mac.memory)}.",
                    "choose a smaller quantisation or another model for this host.",
                    memory_fit.FIT,
                )
            )
    for problem in found:
        soft = needs.fit == "warn" or problem.kind == memory_fit.ESTIMATE
        yield replace(problem, kind=WARNING) if soft else problem


def _decided(needs: Needs, has: Limits) -> Iterator[Sequence[Served]]:
    """The sets of which nobody will be asked, or whose weights are too much already."""
    for models in needs.together:
        asked_later = {served.name for served in models} & needs.unasked
        if not asked_later or not Sum(tuple(models), has).weights_fit:
            yield models
