"""The two domains of launchd where a stack's jobs can live (launchctl(1), launchd(8)): that of a
user's session at the screen, and the system's, which is there from the start of the Mac on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Domain:
    """`name` is launchctl's ("gui/501", "system"), `directory` where launchd looks for property
    lists when the domain begins. `is_roots`: only root may change what is in it; anybody may
    `launchctl print` it."""

    name: str
    directory: str
    is_roots: bool = False

    @property
    def kind(self) -> str:
        """What its jobs are: "Agents" or "Daemons"."""
        return self.directory.rpartition("/Launch")[2]

    def target(self, label: str) -> str:
        """A job of it, for launchctl."""
        return f"{self.name}/{label}"

    def plist(self, label: str) -> str:
        """The property list of a job of it."""
        return f"{self.directory}/{label}.plist"


def agents(uid: int, home: str) -> Domain:
    """Where a user's LaunchAgents live, while he is logged in at the screen."""
    return Domain(f"gui/{uid}", f"{home}/Library/LaunchAgents")


def of_kind(kind: str, uid: int, home: str) -> Domain:
    """Where jobs of a kind live."""
    return DAEMONS if kind == DAEMONS.kind else agents(uid, home)


DAEMONS = Domain("system", "/Library/LaunchDaemons", is_roots=True)
"""Where LaunchDaemons live."""
