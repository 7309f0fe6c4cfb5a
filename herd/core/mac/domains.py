"""Where a stack's jobs can live. launchd has two domains for them (launchctl(1), launchd(8)): that
of a user's session at the screen, and the system's, which is there from the start of the Mac on. On
Linux they are services of the user's own systemd (systemd.unit(5))."""

from dataclasses import dataclass

SYSTEMD, UNITS, UNIT = "systemd", "Units", ".service"


@dataclass(frozen=True)
class Domain:
    """`name` is launchctl's ("gui/501", "system") or "systemd", `directory` where that looks for
    property lists, or units, when the domain begins. `is_roots`: only root may change what is in
    it; anybody may `launchctl print` it."""

    name: str
    directory: str
    is_roots: bool = False

    @property
    def is_systemd(self) -> bool:
        """Whether its jobs are services of systemd, not launchd's."""
        return self.name == SYSTEMD

    @property
    def kind(self) -> str:
        """What its jobs are: "Agents" or "Daemons", or "Units"."""
        return UNITS if self.is_systemd else self.directory.rpartition("/Launch")[2]

    def target(self, label: str) -> str:
        """A job of it, for launchctl; of a service the unit is behind the slash."""
        return f"{self.name}/{label}{UNIT if self.is_systemd else ''}"

    def plist(self, label: str) -> str:
        """The property list of a job of it, or its unit."""
        return f"{self.directory}/{label}{UNIT if self.is_systemd else '.plist'}"


def agents(uid: int, home: str) -> Domain:
    """Where a user's LaunchAgents live, while he is logged in at the screen."""
    return Domain(f"gui/{uid}", f"{home}/Library/LaunchAgents")


def units(home: str) -> Domain:
    """Where a user's services live, from the start of the machine on if he lingers."""
    return Domain(SYSTEMD, f"{home}/.config/systemd/user")


def of_kind(kind: str, uid: int, home: str) -> Domain:
    """Where jobs of a kind live."""
    if kind == UNITS:
        return units(home)
    return DAEMONS if kind == DAEMONS.kind else agents(uid, home)


DAEMONS = Domain("system", "/Library/LaunchDaemons", is_roots=True)
"""Where LaunchDaemons live."""
