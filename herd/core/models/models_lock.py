"""models.lock: what each declared model is, to the byte. `make lock` writes it, deploys read it.

A model is locked by its name and its terms (repository, revision, patterns): hosts may declare
other terms under one name, such as a smaller quantisation for a smaller Mac.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from fetcher import names
from herd.core.models import missing_files
from herd.core.models.splits import some
from herd.core.settings.field_types import Text
from herd.core.settings.schema import Model, directory_of
from herd.core.text.units import gib

FILE = "models.lock"
VERSION: Literal[1] = 1


def _inside(value: str) -> str:
    if wrong := names.fault(value):
        raise ValueError(wrong)
    return value


Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Size = Annotated[int, Field(ge=0, lt=2**63)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Inside = Annotated[Text, AfterValidator(_inside)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, order=True)
class Terms:
    """What of which repository is asked for; the order of patterns means nothing."""

    repo: str
    revision: str
    include: tuple[str, ...]

    @classmethod
    def of(cls, model: Model) -> "Terms":
        """The terms of a declared model."""
        return cls(model.repo, model.revision, tuple(sorted(set(model.include))))

    def instead_of(self, other: "Terms") -> dict[str, str]:
        """By setting, in words, what is asked for here and not there."""
        pairs = {
            "repo": (self.repo, other.repo),
            "revision": (self.revision, other.revision),
            "include": (list(self.include), list(other.include)),
        }
        return {k: f"{k} {a!r}, not {b!r}" for k, (a, b) in pairs.items() if a != b}


class File(_Strict):
    """A file of a repository at the locked commit."""

    path: Inside
    size: Size
    sha256: Sha256


class Locked(_Strict):
    """A model: what was asked for, and what that was when it was locked.

    `first` is the file that llama-server is given; `gguf` are facts of its header.
    """

    name: Text
    repo: Text
    revision: Text
    include: Annotated[list[Text], Field(min_length=1)]
    commit: Commit
    first: Inside
    files: Annotated[list[File], Field(min_length=1)]
    gguf: dict[str, JsonValue]

    @model_validator(mode="after")
    def _has_its_first(self) -> "Locked":
        paths = [file.path for file in self.files]
        if self.first not in paths:
            raise ValueError(f"has no file {self.first!r}, which it names as the first")
        if len(set(paths)) < len(paths):
            raise ValueError("has a file twice")
        for one, other in names.clashes(paths):
            raise ValueError(
                f"has {one!r} and {other!r}, which cannot be beside each other on a Mac"
            )
        return self

    @property
    def terms(self) -> Terms:
        """What was asked for."""
        return Terms(self.repo, self.revision, tuple(sorted(set(self.include))))

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)

    def resolved(self, endpoint: str) -> missing_files.Resolved:
        """Its files, as they are fetched from this endpoint."""
        return missing_files.Resolved(
            name=self.name,
            repo=self.repo,
            commit=self.commit,
            directory=directory_of(self.repo),
            first=self.first,
            files=tuple(missing_files.File(f.path, f.size, f.sha256) for f in self.files),
            endpoint=endpoint,
            gguf=self.gguf,
        )


class Lock(_Strict):
    """All models of a fleet."""

    version: Literal[1] = VERSION
    models: list[Locked] = []

    @model_validator(mode="after")
    def _once(self) -> "Lock":
        for (name, _), times in Counter((m.name, m.terms) for m in self.models).items():
            if times > 1:
                raise ValueError(f"{name!r} is locked twice under the same terms")
        return self

    def find(self, name: str, terms: Terms) -> Locked | None:
        """The model of this name under these terms."""
        return next((m for m in self.models if (m.name, m.terms) == (name, terms)), None)

    def named(self, name: str) -> list[Locked]:
        """The models of this name, under whatever terms."""
        return [model for model in self.models if model.name == name]


def dump(lock: Lock) -> str:
    """The text of a lock, the same for the same models; a line for each thing that may change."""
    ordered = sorted(lock.models, key=lambda model: (model.name, model.terms))
    data = lock.model_copy(update={"models": ordered}).model_dump(mode="json")
    return f"{_pretty(data)}\n"


def _pretty(value: Any, indent: str = "") -> str:
    """JSON as `indent=2` has it, but for lists of numbers and words, which are one line."""
    deeper = f"{indent}  "
    if isinstance(value, Mapping) and value:
        rows = [f"{_pretty(key)}: {_pretty(inner, deeper)}" for key, inner in value.items()]
    elif isinstance(value, list) and any(isinstance(inner, (list, Mapping)) for inner in value):
        rows = [_pretty(inner, deeper) for inner in value]
    else:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    start, end = "{}" if isinstance(value, Mapping) else "[]"
    return f"{start}\n{deeper}" + f",\n{deeper}".join(rows) + f"\n{indent}{end}"


def parse(text: str) -> Lock:
    """The lock of a text. Raises ValueError with what is wrong with it, in words."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        if "<<<<<<< " in text:
            raise ValueError("holds a merge conflict") from None
        raise ValueError(f"is no JSON: line {error.lineno}: {error.msg}") from None
    if isinstance(data, dict) and data.get("version", VERSION) != VERSION:
        raise ValueError(
            f"has version {data['version']!r} and this toolkit reads {VERSION}: "
            "if a newer one wrote it, update this checkout"
        )
    try:
        return Lock.model_validate(data)
    except ValidationError as error:
        faults = [_fault(data, each) for each in error.errors(include_url=False)]
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ValueError("is not one that we wrote: " + "; ".join(faults[:3]) + more) from None


def _fault(data: Any, error: Mapping[str, Any]) -> str:
    """A validation error of pydantic, in words, with the model's name for its number."""
    at: list[Any] = list(error["loc"])
    if at[:1] == ["models"] and len(at) > 1:
        entry = data["models"][at[1]]
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            at[:2] = [entry["name"]]
    where = f"{'.'.join(map(str, at))}: " if at else ""
    return where + str(error["msg"]).removeprefix("Value error, ")


def described(model: Locked) -> str:
    """A locked model in a few words."""
    count = len(model.files)
    files = f"{count} file{'' if count == 1 else 's'}"
    return f"{model.repo} at {model.commit[:12]}, {files}, {gib(model.size)}"


def change(before: Locked | None, after: Locked) -> str:
    """What locking a model again has changed, in words."""
    if before is None:
        return f"added: {described(after)}"
    words = list(after.terms.instead_of(before.terms).values())
    if before.commit != after.commit:
        words.append(f"commit {before.commit[:12]} -> {after.commit[:12]}")
    was = {file.path: file for file in before.files}
    now = {file.path: file for file in after.files}
    if fresh := [path for path, file in now.items() if was.get(path) != file]:
        words.append(f"{len(fresh)} of {len(now)} files are other ones")
    if gone := sorted(was.keys() - now.keys()):
        words.append(f"without {some(gone)}")
    if before.gguf != after.gguf:
        words.append("its GGUF facts")
    return f"changed: {', '.join(words)}" if words else "as it was"
