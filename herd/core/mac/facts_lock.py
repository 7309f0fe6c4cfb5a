"""What Macs said of themselves, kept in facts.lock beside the inventory.

A rendering connects to nothing, so what a deploy asks a Mac is remembered here; of a Mac that
nobody asked, the file's own `defaults` hold, else ours.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from herd.core.mac.llama_server_flags import Flags
from herd.core.models.memory_sum import Limits

FILE = "facts.lock"
ASKED, DECLARED, ASSUMED = "asked", "declared", "assumed"
"""How we know: the Mac was asked, facts.lock has `defaults`, or neither."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LlamaServer(_Strict):
    """The flags of a llama-server, as its --help has them."""

    switches: list[str]
    valued: list[str]
    paired: list[str] = []
    removed: dict[str, str] = {}

    @classmethod
    def of(cls, flags: Flags) -> "LlamaServer":
        """The same, sorted."""
        return cls(
            switches=sorted(flags.known - flags.valued),
            valued=sorted(flags.valued),
            paired=sorted(flags.paired),
            removed=dict(sorted(flags.removed.items())),
        )

    @property
    def flags(self) -> Flags:
        """The same, as command lines are made of it."""
        valued, paired = frozenset(self.valued), frozenset(self.paired)
        known = valued | set(self.switches)
        return Flags(known, "--flash-attn" in valued, valued, paired, self.removed)

    @property
    def name(self) -> str:
        """Names the content, so that Macs with the same one share it."""
        text = json.dumps([self.switches, self.valued, self.paired, self.removed])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(value: str) -> str:
    if {".", ".."} & set(value.split("/")):
        raise ValueError("has . or .. in it")
    return value


Path = Annotated[str, Field(pattern=r"^/[^/]"), AfterValidator(_plain)]


class Mac(_Strict):
    """What one Mac said; None is not known. Sizes are in bytes, `formulae` are versions by name,
    `llama_server` names one of the file's."""

    home: Path | None = None
    user: str | None = None
    uid: Annotated[int, Field(ge=0)] | None = None
    system: Literal["Linux"] | None = None
    homebrew_prefix: Path | None = None
    macos: list[int] | None = None
    chip: str | None = None
    memory: Annotated[int, Field(gt=0)] | None = None
    wired_limit: Annotated[int, Field(ge=0)] | None = None
    gpu_memory: Annotated[int, Field(gt=0)] | None = None
    llama_server: str | None = None
    formulae: dict[str, str] | None = None


class Facts(_Strict):
    """All Macs of a fleet."""

    version: Literal[1] = 1
    defaults: Mac = Mac()
    hosts: dict[str, Mac] = {}
    llama_servers: dict[str, LlamaServer] = {}

    @model_validator(mode="after")
    def _names_what_it_has(self) -> "Facts":
        for name, mac in {"defaults": self.defaults, **self.hosts}.items():
            if mac.llama_server and mac.llama_server not in self.llama_servers:
                raise ValueError(
                    f"{name} names llama_server {mac.llama_server!r}, which is not there"
                )
        return self

    def of(self, host: str, user: str | None) -> "Known":
        """Of a host, and of the user who logs in there, what is known; the rest is assumed."""
        asked, declared = self.hosts.get(host), self.defaults
        said = asked.model_dump(exclude_none=True) if asked else {}
        mac = Mac(**{**declared.model_dump(exclude_none=True), **said})
        server = self.llama_servers.get(mac.llama_server or "")
        return Known(
            source=ASKED if asked else DECLARED if declared != Mac() else ASSUMED,
            home=mac.home or f"{'/home' if mac.system else '/Users'}/{user or 'me'}",
            user=mac.user or user or "",
            uid=mac.uid or 501,  # of the first user whom macOS makes
            homebrew_prefix=mac.homebrew_prefix,
            flags=server.flags if server else None,
            formulae=mac.formulae or {},
            macos=tuple(mac.macos or ()),
            memory=mac.memory,
            wired_limit=mac.wired_limit,
            gpu_memory=mac.gpu_memory,
            system=mac.system or "Darwin",
        )


@dataclass(frozen=True)
class Known:
    """One Mac, as a rendering needs it; `flags` and `memory` are None when nobody knows."""

    source: str
    home: str
    user: str
    uid: int
    homebrew_prefix: str | None
    flags: Flags | None
    formulae: Mapping[str, str]
    macos: tuple[int, ...]
    memory: int | None
    wired_limit: int | None
    gpu_memory: int | None
    system: str = "Darwin"

    def limits(self, reserve: int, declared: int | None) -> Limits | None:
        """What models may take there, with `reserve` bytes for others, and what a deploy lets the
        GPU wire; None when nobody knows."""
        if self.memory is None:
            return None
        return Limits.of(
            self.memory,
            self.macos,
            wired_limit=self.wired_limit,
            gpu_memory=self.gpu_memory,
            declared=declared,
            reserve=reserve,
        )


def dump(facts: Facts) -> str:
    """The text of a file, the same for the same facts: sorted, and without what nothing names."""
    named = {mac.llama_server for mac in (facts.defaults, *facts.hosts.values())}
    data = facts.model_dump(mode="json", exclude_none=True)
    data["llama_servers"] = {k: v for k, v in data["llama_servers"].items() if k in named}
    for key in ("defaults", "llama_servers"):
        data = data if data[key] else {k: v for k, v in data.items() if k != key}
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def parse(text: str) -> Facts:
    """The facts of a text. Raises ValueError with what is wrong with it, in words."""
    try:
        return Facts.model_validate(json.loads(text))
    except json.JSONDecodeError as error:
        if "<<<<<<< " in text:
            raise ValueError("holds a merge conflict") from None
        raise ValueError(f"is no JSON: line {error.lineno}: {error.msg}") from None
    except ValidationError as error:
        faults = [_fault(each["loc"], str(each["msg"])) for each in error.errors(include_url=False)]
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise ValueError("; ".join(faults[:3]) + more) from None


def _fault(at: Iterable[int | str], message: str) -> str:
    where = ".".join(map(str, at))
    return f"{where}: {message}" if where else message.removeprefix("Value error, ")
