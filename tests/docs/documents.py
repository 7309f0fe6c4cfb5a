"""The documents: their code blocks with their marks, and the commands in their text."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.core.samples import ROOT

RUN, OUTPUT = "sh", "text output"
MARKS = {
    RUN: "run by a test, in order, in a fresh copy of the project",
    "sh mac": "needs a Mac, or a person at the keyboard",
    "sh setup": "makes the environment that the test has already, or runs the tests themselves",
    "sh stays": "goes on until Ctrl+C",
    OUTPUT: "printed by the blocks that are run, but for numbers and names of hosts",
    "text": "anything else that is no command",
    "python": "",
    "json": "",
    "js": "",
    "toml": "",
    "yaml": "",
}
FENCE = re.compile(r"^( *)```(.*)\n((?:.*\n)*?)\1```$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins (counted from 1), how it is marked, and what is in it."""

    document: str
    line: int
    mark: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def is_command(self) -> bool:
        return self.mark.split(" ")[0] == "sh"


@dataclass(frozen=True)
class Document:
    """A Markdown file of the project, by its path there."""

    name: str
    text: str

    @property
    def blocks(self) -> list[Block]:
        return [
            Block(
                self.name,
                self.text[: found.start()].count("\n") + 1,
                found[2].strip(),
                textwrap.dedent(found[3]),
            )
            for found in FENCE.finditer(self.text)
        ]

    @property
    def prose(self) -> str:
        """What is not in a block; its lines keep their numbers."""
        return FENCE.sub(lambda found: "\n" * found[0].count("\n"), self.text)

    @property
    def script(self) -> str:
        """The blocks to be run, each with a line that says where it stands."""
        return "".join(
            f"echo '@@ {block.place}'\n{block.text}" for block in self.blocks if block.mark == RUN
        )

    def commands(self) -> Iterator[tuple[str, str]]:
        """Each call of make and of a program of .venv: its place, and the line for a shell."""
        for block in self.blocks:
            for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
                if block.is_command and line.startswith(("make ", ".venv/bin/")):
                    yield f"{self.name}:{number}", line
        for number, line in enumerate(self.prose.splitlines(), start=1):
            for found in re.findall(r"`(make [^`]+|\.venv/bin/[^`]+)`", line):
                yield f"{self.name}:{number}", found


def documents() -> list[Document]:
    """All of them."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    names = sorted(path.relative_to(ROOT).as_posix() for path in paths)
    return [Document(name, (ROOT / name).read_text()) for name in names]


def shape(line: str) -> str:
    """A line of output without what differs from run to run: numbers, ids, names of hosts."""
    line = re.sub(r"(127\.0\.0\.1|\w+\.local):\d+", "ADDRESS", line)
    line = re.sub(r"\b(mac\d|\w+\.local)\b", "HOST", line)
    line = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", "ID", line)
    return " ".join(re.sub(r"\d+(\.\d+)*", "N", line).split())


def links(document: Document) -> Iterator[tuple[str, Path, str]]:
    """Each link to a file of the project: as it is written, the file, the heading in it or ""."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.prose):
        if "://" not in target:
            name, _, heading = target.partition("#")
            file = (ROOT / document.name).parent / name if name else ROOT / document.name
            yield target, file, heading
