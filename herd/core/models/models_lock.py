"""models.lock: what each declared model is, to the byte. `make lock` writes it, deploys read it.

A model is locked by its name and its terms (repository, revision, patterns, parts): hosts may
declare other terms under one name, such as a smaller quantisation for a smaller Mac.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from fetcher import names
from herd.core.models import missing_files
from herd.core.models.missing_files import Part, Resolved
from herd.core.models.splits import is_gguf, siblings, some
from herd.core.settings import part_sources
from herd.core.settings.field_types import Text
from herd.core.settings.schema import Model, directory_of
from herd.core.text.units import gib

FILE = "models.lock"
VERSION: Literal[2] = 2


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
    """What of which repository is asked for; the order of patterns means nothing.

    `parts` are pairs of a role and what is asked for it, "" where that is nothing.
    """

    repo: str
    revision: str
    include: tuple[str, ...]
    parts: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, model: Model) -> "Terms":
        """The terms of a declared model."""
        return cls.made(model.repo, model.revision, model.include, model.parts)

    @classmethod
    def made(
        cls, repo: str, revision: str, include: Iterable[str], parts: Mapping[str, Iterable[str]]
    ) -> "Terms":
        """Of what settings say."""
        pairs = {(role, source) for role, sources in parts.items() for source in sources or [""]}
        return cls(repo, revision, tuple(sorted(set(include))), tuple(sorted(pairs)))

    def instead_of(self, other: "Terms") -> dict[str, str]:
        """By setting, in words, what is asked for here and not there."""
        pairs = {
            "repo": (self.repo, other.repo),
            "revision": (self.revision, other.revision),
            "include": (list(self.include), list(other.include)),
        }
        found = {k: f"{k} {a!r}, not {b!r}" for k, (a, b) in pairs.items() if a != b}
        for role in dict(self.parts) | dict(other.parts):
            here, there = ([s for r, s in terms.parts if r == role] for terms in (self, other))
            if here != there:
                name = "extra_args" if role == part_sources.FILE else role
                found[name] = f"{name} {_asked(role, here)}, not {_asked(role, there)}"
        return found


def _asked(role: str, sources: list[str]) -> str:
    if not sources:
        return "'auto'" if role == "mmproj" else "none"
    return "none" if sources == [""] else ", ".join(map(repr, sources))


class File(_Strict):
    """A file of a repository at the locked commit."""

    path: Inside
    size: Size
    sha256: Sha256


class _WithFirst(_Strict):
    repo: Text
    revision: Text
    commit: Commit
    first: Inside
    files: Annotated[list[File], Field(min_length=1)]
    gguf: dict[str, JsonValue]

    @model_validator(mode="after")
    def _has_its_first(self) -> Self:
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
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files)


class LockedPart(_WithFirst):
    """What goes along with a model: its role (the setting that asks for it), what was asked, and
    the files that this was, of whatever repository. `kind` is what they are (file_kinds.Kind),
    `note` says why these."""

    role: Text
    source: Text
    kind: str = ""
    note: str = ""


class Locked(_WithFirst):
    """A model: what was asked for, and what that was when it was locked.

    `first` is the file that llama-server is given; `gguf` are facts of its header. `asked` has by
    role what is asked for beside the files of `include`, `parts` what that was.
    """

    name: Text
    include: Annotated[list[Text], Field(min_length=1)]
    asked: dict[Text, list[Text]] = {}
    parts: list[LockedPart] = []

    @property
    def terms(self) -> Terms:
        """What was asked for."""
        return Terms.made(self.repo, self.revision, self.include, self.asked)

    def resolved(self, endpoint: str) -> Resolved:
        """Its files, as they are fetched from this endpoint."""
        sets: dict[tuple[str, str], dict[str, File]] = {(self.repo, self.commit): {}}
        for each in (self, *self.parts):
            found = sets.setdefault((each.repo, each.commit), {})
            found |= {file.path: file for file in each.files}

        def of(repo: str, commit: str, files: Iterable[File], **fields: Any) -> Resolved:
            return Resolved(
                name=self.name,
                repo=repo,
                commit=commit,
                directory=directory_of(repo),
                files=tuple(missing_files.File(f.path, f.size, f.sha256) for f in files),
                endpoint=endpoint,
                **fields,
            )

        own = sets.pop((self.repo, self.commit))
        return of(
            *(self.repo, self.commit, own.values()),
            first=self.first,
            gguf=self.gguf,
            parts=tuple(_part(part) for part in self.parts),
            elsewhere=tuple(
                of(*key, found.values(), first=next(iter(found))) for key, found in sets.items()
            ),
        )


def _part(part: LockedPart) -> Part:
    directory = directory_of(part.repo)
    return Part(
        role=part.role,
        source=part.source,
        kind=part.kind,
        first=f"{directory}/{part.first}",
        files={f"{directory}/{file.path}": file.size for file in part.files},
        gguf=part.gguf,
        note=part.note,
    )


class Lock(_Strict):
    """All models of a fleet."""

    version: Literal[2] = VERSION
    models: list[Locked] = []
    _is_old: bool = PrivateAttr(default=False)

    @property
    def lacks(self) -> str:
        """What one of version 1 cannot tell, in a sentence; "" of one of today."""
        if not self._is_old:
            return ""
        return (
            f"{FILE} is of version 1: whether a projector goes along, and what each model does, is "
            "known after `make lock`."
        )

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
    data["models"] = [
        _in_order(model | {"parts": [_in_order(part) for part in model["parts"]]})
        for model in data["models"]
    ]
    return f"{_pretty(data)}\n"


_ORDER = (
    *("name", "role", "source", "kind", "note", "repo", "revision", "include", "asked"),
    *("commit", "first", "files", "gguf", "parts"),
)


def _in_order(entry: Mapping[str, Any]) -> dict[str, Any]:
    """As a person reads it: what was asked for, what that is; without what there is none of."""
    optional = ("kind", "note", "asked", "parts")
    return {
        key: entry[key] for key in _ORDER if key in entry and (entry[key] or key not in optional)
    }


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
    is_old = isinstance(data, dict) and data.get("version") == 1
    if is_old:
        data = _of_version_1(data)
    if isinstance(data, dict) and data.get("version", VERSION) != VERSION:
        raise ValueError(
            f"has version {data['version']!r} and this toolkit reads {VERSION}: "
            "if a newer one wrote it, update this one"
        )
    try:
        found = Lock.model_validate(data)
        found._is_old = is_old
        return found
    except ValidationError as error:
        faults = [_fault(data, each) for each in error.errors(include_url=False)]
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ValueError("is not one that we wrote: " + "; ".join(faults[:3]) + more) from None


def _of_version_1(data: dict[str, Any]) -> dict[str, Any]:
    """It knew no parts: every file counted as weights. One that had only those is as good as new.

    Raises ValueError for others: nobody knows what is what in them.
    """
    models = data.get("models")
    for model in models if isinstance(models, list) else []:
        try:
            paths = {str(file["path"]): 0 for file in model["files"] if is_gguf(file["path"])}
            extra = sorted(paths.keys() - siblings(model["first"], paths).keys())
        except (TypeError, KeyError, AttributeError):
            continue  # what is wrong with it is said in a moment
        if extra:
            raise ValueError(
                f"is of before projectors were told from weights, and {model.get('name')!r} has "
                f"{some(extra)} beside its model"
            )
    return {**data, "version": VERSION}


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
    found = f"{model.repo} at {model.commit[:12]}, {files}, {gib(model.size)}"
    return "; ".join([found, *map(described_part, model.parts)])


def described_part(part: LockedPart) -> str:
    """A part in a few words, with why it is this one."""
    kind = part.gguf.get("quantisation")
    told = ", ".join(str(word) for word in (kind, gib(part.size), part.note) if word)
    return f"{part.role} {part.first} ({told})"


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
    was_part = {(part.role, part.source): part for part in before.parts}
    for part in after.parts:
        if was_part.pop((part.role, part.source), None) != part:
            words.append(described_part(part))
    words += [f"without {part.role} {part.first}" for part in was_part.values()]
    return f"changed: {', '.join(words)}" if words else "as it was"
