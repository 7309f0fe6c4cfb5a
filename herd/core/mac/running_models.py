"""Models that run otherwise than they are declared: llama-swap goes on with the configuration that
it has read, and a reload that it refused, or that nobody asked for, shows nowhere else. Pure."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from herd.core.text.quoting import elided

_PORT = "${PORT}"


@dataclass(frozen=True)
class Running:
    """What llama-swap says of a model that it runs: its command line, and its URL."""

    cmd: str
    proxy: str = ""


def differences(config: str, running: Mapping[str, Running]) -> Iterator[str]:
    """What is otherwise, a sentence for each model, given the text of the config.yaml that is
    wanted. Order and spacing of a command line are its own: words are compared."""
    declared = (yaml.safe_load(config) or {}).get("models") or {}
    for name, each in sorted(running.items()):
        if name not in declared:
            yield f"{name} runs, and is not declared"
            continue
        port = each.proxy.rpartition(":")[2].strip("/")
        wanted = _words(str(declared[name].get("cmd", "")).replace(_PORT, port))
        found = _words(each.cmd.replace(_PORT, port))
        if found and found != wanted:
            gone = " ".join(word for word in found if word not in wanted)
            new = " ".join(word for word in wanted if word not in found)
            yield (
                f"{name} runs by another command line than is declared: "
                f"{elided(gone, 80) or 'nothing'} instead of {elided(new, 80) or 'nothing'}"
            )


def _words(cmd: str) -> list[str]:
    """As llama-swap splits it, without lines that are comments."""
    lines = [line for line in cmd.splitlines() if not line.lstrip().startswith("#")]
    try:
        return shlex.split("\n".join(lines))
    except ValueError:
        return cmd.split()
