"""What `fetcher.pyz fit` is asked to do: one JSON document on stdin, as `spec` has it.

{"token": "hf_…" | null, "program": ["/opt/homebrew/bin/llama-fit-params"],
 "notes": "/…/fit", "keep": [MARK], "models": "/…/models",
 "asks": [{"name": NAME, "mark": MARK, "first": PATH, "words": ["--ctx-size", "8192", …],
           "files": [{"path": PATH, "size": BYTES, "sha256": HEX, "url": URL}]}],
 "pause": SECONDS}    # optional, before what was interrupted is asked again
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fetcher.spec import File, Reader, load


@dataclass(frozen=True)
class Ask:
    """What is asked of one model: its first file, all of its files by paths below the directory of
    all models, and further arguments. The answer is kept as the note `mark`."""

    name: str
    mark: str
    first: str
    words: tuple[str, ...]
    files: tuple[File, ...]


@dataclass(frozen=True)
class FitSpec:
    """Everything that one run is to ask; of the notes, those of `keep` stay."""

    token: str | None = field(repr=False)
    program: tuple[str, ...]
    notes: Path
    keep: frozenset[str]
    models: Path
    asks: tuple[Ask, ...]
    pause: float


def parse(text: str | bytes) -> FitSpec:
    """Raises ValueError with one line that has all problems, and no secret."""
    reader = _FitReader()
    spec = reader.fit_spec(load(text))
    if reader.problems:
        raise ValueError("; ".join(reader.problems))
    return spec


class _FitReader(Reader):
    def fit_spec(self, data: Any) -> FitSpec:
        data = self.object(data, "the document")
        pause = data.get("pause", 1.0)
        if isinstance(pause, bool) or not isinstance(pause, int | float) or not pause > 0:
            self.wrong("pause", "is to be above 0")
            pause = 1.0
        return FitSpec(
            token=self.token(data),
            program=self._words(data, "program", ""),
            notes=Path(self._absolute(data, "notes")),
            keep=frozenset(self._mark(mark, "keep") for mark in self.list(data, "keep")),
            models=Path(self._absolute(data, "models")),
            asks=tuple(
                self._ask(each, f"asks[{n}]") for n, each in enumerate(self.list(data, "asks"))
            ),
            pause=pause,
        )

    def _ask(self, data: Any, where: str) -> Ask:
        data = self.object(data, where)
        files = [
            self.file(each, f"{where}.files[{n}]")
            for n, each in enumerate(self.list(data, "files", f"{where}."))
        ]
        first = self.text(data, "first", where)
        if first not in [file.path for file in files]:
            self.wrong(f"{where}.first", "is to be one of its files")
        return Ask(
            name=self.text(data, "name", where),
            mark=self._mark(data.get("mark"), f"{where}.mark"),
            first=first,
            words=self._words(data, "words", f"{where}."),
            files=tuple(files),
        )

    def _words(self, data: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
        words = self.list(data, key, where)
        if not all(isinstance(word, str) and "\0" not in word for word in words):
            self.wrong(f"{where}{key}", "is to be a list of words")
            return ()
        return tuple(words)

    def _absolute(self, data: dict[str, Any], key: str) -> str:
        found = data.get(key)
        if isinstance(found, str) and found.startswith("/") and "\0" not in found:
            return found
        self.wrong(key, "is to be an absolute path")
        return "/"

    def _mark(self, mark: Any, where: str) -> str:
        if not isinstance(mark, str) or not re.fullmatch("[0-9a-f]{16}", mark):
            self.wrong(where, "is to be 16 digits of lower-case hex")
            return "-"
        return mark
