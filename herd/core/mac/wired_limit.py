"""How much memory the GPU may wire: iogpu.wired_limit_mb, which a restart of the Mac resets.

A property list that runs sysctl at each start keeps it (/etc/sysctl.conf is not read). Metal reads
it when it opens the device, so a llama-server that runs already does not see another one.
"""

from collections.abc import Iterator
from typing import Any

from herd.core.mac.launchd import with_digest
from herd.core.mac.root_command import Command, Pattern, literally
from herd.core.models.wired_memory import most
from herd.core.settings.problems import Problem
from herd.core.settings.schema import Settings
from herd.core.text.units import MIB, gib

SYSCTL = "/usr/sbin/sysctl"
OID = "iogpu.wired_limit_mb"
# One of a Mac, whichever of its stacks asks for it.
LABEL = "llama-herd.gpu-wired-limit"


def parse(said: str) -> int:
    """The answer of `sysctl -n`. Raises ValueError when it is none."""
    if not said.isascii() or not said.isdecimal() or len(said) > 10:
        raise ValueError(f"sysctl does not say what {OID} is")
    return int(said)


def bytes_of(settings: Settings) -> int | None:
    """What a deploy makes it."""
    limit = settings.mac_gpu_wired_limit_mb
    return None if limit is None else limit * MIB


def job(limit: int) -> dict[str, Any]:
    """The job that sets it at each start of the Mac, and when it is loaded."""
    return with_digest(
        {
            "Label": LABEL,
            "ProgramArguments": [SYSCTL, f"{OID}={limit}"],
            "EnvironmentVariables": {},
            "RunAtLoad": True,
            "ThrottleInterval": 1,
        },
        {},
    )


def root() -> Iterator[Command]:
    """What only root may do of it, beside its job: put back what was."""
    yield (SYSCTL, Pattern(f"{literally(OID)}[=][0-9]+"))


def problems(settings: Settings, memory: int) -> Iterator[Problem]:
    """A limit that leaves macOS too little."""
    limit = settings.mac_gpu_wired_limit_mb
    if limit is not None and limit > most(memory):
        yield Problem(
            "mac_gpu_wired_limit_mb",
            f"{limit} MiB of {gib(memory)} leave macOS {gib(memory - limit * MIB)}, too little to "
            "be stable.",
            f"set it to {most(memory)} at most for this host.",
            kind="mac",
        )
