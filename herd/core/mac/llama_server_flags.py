"""The command line of llama-server, in flags that the installed one knows."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from herd.core.settings.llama_server_options import LlamaServerOptions
from herd.core.settings.schema import Model


@dataclass(frozen=True)
class Flags:
    """What a llama-server's own `--help` says that it takes.

    Versions are no guide: their texts changed form, and distributors build their own.
    """

    known: frozenset[str]
    flash_attention_takes_value: bool
    valued: frozenset[str] = frozenset()  # of the known, those with a value after them
    paired: frozenset[str] = frozenset()  # of the valued, those with two
    removed: Mapping[str, str] = field(
        default_factory=dict, hash=False
    )  # with what to use instead, if told

    def values(self, flag: str) -> int:
        """How many words follow a flag."""
        return (flag in self.valued) + (flag in self.paired)

    @classmethod
    def parse(cls, help_text: str) -> "Flags":
        """Read `llama-server --help`, whose entries begin a line: `-c,    --ctx-size N   …`."""
        known: set[str] = set()
        valued: set[str] = set()
        paired: set[str] = set()
        removed: dict[str, str] = {}
        for entry in re.split(r"^(?=\S)|\n\n", help_text, flags=re.MULTILINE):
            if not re.match(r"--?[A-Za-z]", entry):
                continue
            first, *more = entry.splitlines()
            # The flags end where two spaces follow something that is no comma.
            head, *told = re.split(r"(?<=[^,\s])\s{2,}", first, maxsplit=1)
            flags = re.findall(r"(?<![\w-])--?[A-Za-z][\w.-]*", head)
            words = " ".join([*told, *(line.strip() for line in more)]).partition("(env: ")[0]
            if (gone := re.match(r"(?:the )?argument has been removed\W*(.*)", words)) is not None:
                removed.update(dict.fromkeys(flags, gone[1].strip().rstrip(".")))
                continue
            known.update(flags)
            if not head.split()[-1].startswith("-"):
                valued.update(flags)
            if re.search(r" [A-Z]+ [A-Z]+$", head):
                paired.update(flags)
        # `[on|off|auto]` now, `FA` for a while, nothing in builds where it was a switch.
        takes = "--flash-attn" in valued
        return cls(*(frozenset(known), takes, frozenset(valued), frozenset(paired)), removed)


# What is assumed before llama.cpp is installed, as in a dry run on a fresh Mac: llama.cpp 0.4.1
# (2026-09) and later, where PR #28334 removed --mlock.
CURRENT = Flags(
    frozenset({"--load-mode", "--flash-attn", "--cors-origins", "--spec-type"}),
    flash_attention_takes_value=True,
)


def mlock_arguments(flags: Flags) -> list[str] | None:
    """How to keep a model's pages in memory; None when this llama-server cannot."""
    if "--load-mode" in flags.known:
        return ["--load-mode", "mmap+mlock"]
    return ["--mlock"] if "--mlock" in flags.known else None


def arguments(
    model: Model, path: str, flags: Flags, further: Iterable[list[str]] = ()
) -> list[list[str]]:
    """The arguments of one model, in groups that belong on a line each.

    `path` is the absolute path of its first split, `further` lines are for what goes along with
    it (part_flags.py). Host and port are llama-swap's matter.
    """
    lines = [
        ["--alias", model.name],
        ["--model", path],
        *further,
        ["--ctx-size", str(model.total_ctx_size)],
        ["--parallel", str(model.parallel)],
        ["--cache-type-k", model.cache_type_k],
        ["--cache-type-v", model.cache_type_v],
    ]
    if flags.flash_attention_takes_value:
        lines.append(["--flash-attn", model.flash_attention])
    elif model.flash_attention == "on":
        lines.append(["--flash-attn"])
    if model.mlock:
        lines.append(mlock_arguments(flags) or [])
    if "--cors-origins" in flags.known:
        # Else it lets pages of any origin read what it answers. Its own pages are all that may.
        lines.append(["--cors-origins", "http://127.0.0.1:${PORT}"])
    lines += _options(model, flags)
    lines += _pairs(model.extra_args)
    return [line for line in lines if line]


def _options(model: LlamaServerOptions, flags: Flags) -> Iterator[list[str]]:
    """What settings say that each are one flag, by the name that this build has for it."""
    for _, flag, value in model.given:
        name = next((each for each in flag.names if each in flags.known), flag.names[0])
        match value:
            case bool():
                yield [name] if value else [flag.off] if flag.off else []
            case dict():
                yield [name, json.dumps(value, ensure_ascii=False)]
            case _:
                yield [name, str(value)]


def _pairs(extra: Iterable[str]) -> list[list[str]]:
    """Extra arguments with each flag's values on its line."""
    lines: list[list[str]] = []
    for argument in extra:
        if not lines or re.match(r"--?[A-Za-z]", argument):
            lines.append([])
        lines[-1].append(argument)
    return lines
