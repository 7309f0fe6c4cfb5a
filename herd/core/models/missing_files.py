"""Which files of a model are to be fetched or verified, and what else is beside them.

A receipt says that a file had a checksum, by size, time and inode; the fetcher writes it once
the file is verified, so that no later run need hash it. A copied directory has other inodes.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

from herd.core.models import splits
from herd.core.models.file_kinds import Kind

FETCHED, ASKED, ADOPTED = "fetched", "asked", "adopted"
"""Who put a file there: a deploy; `make fetch`, for a person; or somebody, before us."""

# What a transfer leaves when it is cut off, with the .pid of those before the fetcher.
_TRANSFER = re.compile(r"^(?P<path>.+)\.[0-9a-f]{12}\.part(\.pid)?$")


@dataclass(frozen=True)
class File:
    """A file of a repository: its path there, its size in bytes, its checksum ("" is unknown)."""

    path: str
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Stat:
    """What tells a file from any other, and from itself after a change."""

    size: int
    mtime: str = ""
    inode: str = ""


@dataclass(frozen=True)
class Receipt:
    """That this file had this checksum, and who put it there."""

    sha256: str
    stat: Stat
    origin: str


@dataclass(frozen=True)
class Holdings:
    """What is below the directory of all models, by paths relative to it; `free` is in bytes.

    `begun` has the bytes of each unfinished transfer: its file is as long as it will be one day.
    """

    files: Mapping[str, Stat] = field(default_factory=dict)
    receipts: Mapping[str, Receipt] = field(default_factory=dict)
    begun: Mapping[str, int] = field(default_factory=dict)
    free: int | None = None

    def verified(self, path: str) -> Receipt | None:
        """The receipt of a file, if it is of this very file."""
        receipt = self.receipts.get(path)
        return receipt if receipt and receipt.stat == self.files.get(path) else None

    def size(self, path: str) -> int:
        """Bytes of a file, 0 if it is not there."""
        return self.files[path].size if path in self.files else 0


@dataclass(frozen=True)
class Part:
    """What goes along with a model's weights: its role is the setting that asks for it ("mmproj",
    "draft", "lora", "control_vector", "chat_template_file"; "file" of extra_args), `source` what
    that says, `kind` what its file is (file_kinds.Kind, "" of what is no GGUF file).

    Paths are below the directory of all models: `first` is what llama-server is given, `files` has
    the bytes of all. `gguf` are the facts of its header, without any for what is no GGUF file;
    `note` says why it was chosen.
    """

    role: str
    source: str
    kind: str
    first: str
    files: Mapping[str, int] = field(repr=False)
    gguf: Mapping[str, Any] = field(default_factory=dict, repr=False)
    note: str = ""

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(self.files.values())


@dataclass(frozen=True)
class Resolved:
    """What a model's repository holds at one commit, of what the model and its parts want of it.

    `gguf` are the facts of its header that models.lock has; an undeclared model has none.
    `parts` are what goes along; those of other repositories, or commits, have files `elsewhere`.
    """

    name: str
    repo: str
    commit: str
    directory: str
    first: str
    files: tuple[File, ...]
    endpoint: str
    gguf: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    parts: tuple[Part, ...] = field(default=(), compare=False)
    elsewhere: tuple["Resolved", ...] = ()

    @property
    def weights(self) -> dict[str, int]:
        """Bytes of its own weights, by path: the first file and its splits."""
        return splits.siblings(self.first, {file.path: file.size for file in self.files})

    @property
    def in_memory(self) -> dict[str, int]:
        """The same of all that llama-server loads, by paths below the directory of all models."""
        own = {f"{self.directory}/{path}": size for path, size in self.weights.items()}
        return own | {
            path: size for part in self.parts if part.kind for path, size in part.files.items()
        }

    @property
    def drafter(self) -> Part | None:
        """What drafts beside it: a model, or a head."""
        return next((p for p in self.parts if p.role == "draft" and p.gguf), None)

    @property
    def draft(self) -> Part | None:
        """The same where it is a model, of which llama.cpp can tell by itself what it takes."""
        part = self.drafter
        return part if part and part.kind == Kind.MODEL else None

    @property
    def size(self) -> int:
        """Bytes of all that belongs to it."""
        return sum(file.size for each in (self, *self.elsewhere) for file in each.files)

    def part(self, file: File) -> str:
        """Where the bytes of an unfinished transfer are: their content is in the name."""
        return f"{file.path}.{(file.sha256 or self.commit)[:12]}.part"

    def url(self, file: File) -> str:
        """Where the Hub serves this file at this commit."""
        return f"{self.endpoint}/{self.repo}/resolve/{self.commit}/{quote(file.path)}"

    @property
    def version(self) -> str:
        """Names the content of all files, which another commit need not change."""
        lines = "".join(
            f"{file.sha256 or each.commit} {file.path}\n"
            for each in (self, *self.elsewhere)
            for file in each.files
        )
        return hashlib.sha256(lines.encode()).hexdigest()[:12]

    def path(self, file: File) -> str:
        """Where the file is to be, below the directory of all models."""
        return f"{self.directory}/{file.path}"

    @cached_property
    def paths(self) -> frozenset[str]:
        """Of all files."""
        return frozenset(self.path(file) for file in self.files)

    def pending(self, there: Holdings) -> list[File]:
        """Files that are not there and verified."""
        return [file for file in self.files if not self._is_right(file, there)]

    def _is_right(self, file: File, there: Holdings) -> bool:
        receipt = there.verified(self.path(file))
        return receipt is not None and file.sha256 in ("", receipt.sha256)

    def remaining(self, there: Holdings) -> dict[str, int]:
        """Bytes still to be fetched, by path; what is only to be hashed is taken for right."""
        left = {}
        for file in self.pending(there):
            path = self.path(file)
            is_other_version = there.verified(path) is not None
            if there.size(path) != file.size or is_other_version or path not in there.files:
                part = f"{self.directory}/{self.part(file)}"
                # A verified one waits for the others of its version.
                have = file.size if there.verified(part) else there.begun.get(part, 0)
                left[path] = max(0, file.size - have)
        return left

    def leftovers(self, there: Holdings) -> list[str]:
        """What dead transfers of these files left.

        Ours end in .part, or are what `hf` fetched for us; by hand it keeps its own under
        .cache/huggingface/download, and never looks at an old one again.
        """
        wanted = {file.path for file in self.files}
        current = {self.part(file) for file in self.pending(there)}
        found = []
        for path in there.files:
            directory, _, below = path.partition("/")
            if directory != self.directory:
                continue
            match = _TRANSFER.match(below)
            ours = match is not None and match["path"] in wanted and below not in current
            theirs = below.startswith(".cache/huggingface/download/")
            staged = below.startswith(".cache/huggingface/herd-")  # fetcher/hub_client.py
            if ours or staged or (theirs and below.endswith(".incomplete")):
                found.append(path)
        return sorted(found)


def repositories(models: Iterable[Resolved]) -> list[Resolved]:
    """Every repository's files at one commit: of models, and of what goes along with them."""
    return [each for model in models for each in (model, *model.elsewhere)]


def vouchers(path: str) -> list[str]:
    """Paths of a file's receipt, and of its journal while it is unfinished."""
    top, _, below = path.partition("/")
    found = [f"{top}/.herd/{below}.receipt"]
    if below.endswith(".part"):
        found.append(f"{top}/.herd/{below.removesuffix('.part')}.pieces")
    return found


@dataclass(frozen=True)
class Undeclared:
    """Files of one directory that no model wants: those a deploy put there, and others' bytes."""

    directory: str
    ours: tuple[str, ...]
    our_bytes: int
    other_bytes: int


def undeclared(models: Iterable[Resolved], there: Holdings) -> list[Undeclared]:
    """What may go, by directory; small files of others (READMEs, caches) are not worth a word.

    Ours is what a receipt of this very file says a deploy fetched, and transfers that were cut
    off in a directory of ours.
    """
    models = repositories(models)
    wanted = frozenset[str]().union(*(model.paths for model in models))
    wanted |= {f"{model.directory}/{model.part(file)}" for model in models for file in model.files}
    known = {path.partition("/")[0] for path in there.receipts}
    ours: dict[str, list[str]] = {}
    sizes: dict[str, list[int]] = {}
    for path, stat in sorted(there.files.items()):
        top, _, below = path.partition("/")
        if path in wanted or not below:
            continue
        receipt = there.verified(path)
        is_transfer = top in known and _TRANSFER.match(path) is not None
        mine = is_transfer or (receipt is not None and receipt.origin == FETCHED)
        if mine:
            ours.setdefault(top, []).append(path)
        sizes.setdefault(top, [0, 0])[0 if mine else 1] += stat.size
    return [
        Undeclared(top, tuple(ours.get(top, ())), mine, others)
        for top, (mine, others) in sizes.items()
        if mine or others >= _WORTH_A_WORD
    ]


_WORTH_A_WORD = 100 << 20


def belongings(there: Holdings) -> list[str]:
    """Every file that the toolkit put there, whichever model it is of: what it fetched, as receipts
    of these very files say, and what cut-off transfers of it left."""
    known = {path.partition("/")[0] for path in [*there.receipts, *there.begun]}
    return sorted(
        path
        for path in there.files
        if ((receipt := there.verified(path)) and receipt.origin in (FETCHED, ASKED))
        or (path.partition("/")[0] in known and _TRANSFER.match(path))
    )
