"""What this Mac's llama.cpp said of the memory that models take, and whether it can be asked."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pyinfra.api import FactProcessError, QuoteString, StringCommand

from herd.core.mac.llama_server_flags import Flags
from herd.facts.fact import Fact
from herd.facts.script import script


@dataclass(frozen=True)
class Fits:
    """The program that tells, () where there is none; and notes of what it said, by their marks."""

    program: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


class FitParams(Fact[Fits]):
    """The llama-fit-params of a directory of programs, or what stands for it in one for all."""

    default = Fits

    def command(self, programs: str, directory: str) -> StringCommand:
        return script("fit-params", programs, directory)

    def process(self, output: Iterable[str]) -> Fits:
        program: list[str] = []
        notes: dict[str, str] = {}
        for line in output:
            kind, _, rest = line.partition(" ")
            if kind == "program":
                program.append(rest)
            elif kind == "note" and (match := re.fullmatch(r"([0-9a-f]{16}) (.*)", rest)):
                notes[match[1]] = notes.get(match[1], "") + f"{match[2]}\n"
            else:
                raise FactProcessError(f"not what fit-params.sh says: {line!r}")
        return Fits(tuple(program), notes)


class FitFlags(Fact[Flags]):
    """What that program takes, by its own --help."""

    def command(self, program: list[str]) -> StringCommand:
        return StringCommand(*map(QuoteString, program), "--help")

    def process(self, output: Iterable[str]) -> Flags:
        return Flags.parse("\n".join(output))
