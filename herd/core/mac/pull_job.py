"""The launchd job by which a Mac of the inventory deploys to itself, again and again."""

from collections.abc import Mapping, Sequence
from typing import Any

from herd.core.mac.launchd import Job, with_digest
from herd.core.text.quoting import xml_quote

NAME = "pull"
"""Of its label."""
LOG = "Library/Logs/llama-herd-pull.log"
"""Below the home directory, and the same of all stacks: one that cannot read its settings writes
there, too."""

_VERB = ("-m", "herd", "pull")


def definition(
    label: str,
    python: str,
    *,
    inventory: str,
    host: str,
    minutes: int,
    environment: Mapping[str, str],
    directory: str,
    log: str,
) -> dict[str, Any]:
    """Its property list (launchd.plist(5)), at each login and every so many minutes; paths are
    absolute."""
    command = [python, *_VERB, f"--inventory={inventory}", _host(host)]
    plain = {
        "Label": label,
        "ProgramArguments": command,
        "WorkingDirectory": directory,
        "EnvironmentVariables": dict(environment),
        "StandardOutPath": log,
        "StandardErrorPath": log,
        "RunAtLoad": True,
        "StartInterval": minutes * 60,
        "Umask": 0o077,
    }
    return with_digest(plain, {})


def texts(host: str | None = None) -> list[str]:
    """What the property list of such a job holds, of one host or of any."""
    words = [*_VERB, *([_host(host)] if host else [])]
    return [f"<string>{xml_quote(word)}</string>" for word in words]


def is_one(job: Job) -> bool:
    """Whether a job that is loaded is such a one, whatever became of its file."""
    return _holds(job.arguments, _VERB)


def _host(name: str) -> str:
    return f"--host={name}"


def _holds(words: Sequence[str], wanted: Sequence[str]) -> bool:
    return any(tuple(words[at : at + len(wanted)]) == wanted for at in range(len(words)))
