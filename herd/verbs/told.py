"""What is said of one host: rows for people, values for programs."""

import shutil
import sys
import textwrap
from typing import Any

from herd.core.text.harmless import harmless
from herd.workstation.typed_commands import as_typed

_NAME = 12
"""Columns of a row's name, with a blank behind it; a longer one has a blank, too."""


class Told:
    """A title, rows below it, and what `--json` has of them."""

    def __init__(self, title: str) -> None:
        self._lines = [harmless(title)]
        self.values: dict[str, Any] = {}

    def row(self, name: str, text: str) -> None:
        """For a person; whatever a Mac says of itself in it moves no cursor."""
        self._lines.append(f"  {name:<{_NAME - 1}} {harmless(as_typed(text))}")

    def add(self, **values: Any) -> None:
        """For a program."""
        self.values.update(values)

    @property
    def text(self) -> str:
        """All rows, in a terminal as wide as that."""
        if not sys.stdout.isatty():
            return "\n".join(self._lines)
        width = max(40, shutil.get_terminal_size((100, 24)).columns)
        return "\n".join(line for row in self._lines for line in _fitted(row, width))


def _fitted(row: str, width: int) -> list[str]:
    """Whole words of it in each line, below where its text begins."""
    indent = " " * (2 + _NAME)
    return textwrap.wrap(
        row, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
