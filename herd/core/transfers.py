"""Which files of a model are to be fetched, and what earlier transfers left behind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class File:
    """A file of a repository: its path there, its size in bytes, its checksum ("" is unknown)."""

    path: str
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Resolved:
    """What a model's repository holds at one commit, of what the model includes.

    `gguf` are the facts of its header that models.lock has; an undeclared model has none.
    """

    name: str
    repo: str
    commit: str
    directory: str
    first: str
    files: tuple[File, ...]
    endpoint: str
    gguf: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def part(self, file: File) -> str:
        """Where the bytes of an unfinished transfer are: their commit is in the name."""
        return f"{file.path}.{self.commit[:12]}.part"

    def url(self, file: File) -> str:
        """Where the Hub serves this file at this commit."""
        return f"{self.endpoint}/{self.repo}/resolve/{self.commit}/{quote(file.path)}"

    def missing(self, sizes: Mapping[str, int]) -> list[File]:
        """Files that are not there with their size (an empty one has nothing to fetch); `sizes` are
        below all models' directory."""
        return [f for f in self.files if sizes.get(f"{self.directory}/{f.path}", 0) != f.size]

    def leftovers(self, sizes: Mapping[str, int]) -> list[str]:
        """What dead transfers of these files left, relative to all models' directory.

        Ours end in .part (or .part.pid and .part.status); `hf download` keeps its own under
        .cache/huggingface/download, and never looks at an old one again.
        """
        current = {self.part(file) for file in self.missing(sizes)}
        found = []
        for path in sizes:
            directory, _, below = path.partition("/")
            if directory != self.directory:
                continue
            transfer = below.removesuffix(".pid").removesuffix(".status")
            ours = transfer.endswith(".part") and self._is_ours(transfer)
            theirs = below.startswith(".cache/huggingface/download/")
            if (ours and transfer not in current) or (theirs and below.endswith(".incomplete")):
                found.append(path)
        return sorted(found)

    def _is_ours(self, transfer: str) -> bool:
        return any(transfer.startswith(f"{file.path}.") for file in self.files)
