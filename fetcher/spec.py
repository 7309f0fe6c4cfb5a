"""What a run is asked to do: one JSON document, on stdin because it holds secrets.

{"connections": 8, "again": false, "origin": "fetched" | "asked", "token": "hf_…" | null,
 "client": null | "/…/hf",                # optional, the Hub's own
 "peers": null | {"me": NAME, "key": KEY, "others": [{"name": NAME, "url": URL}]},
 "models": [{"name": NAME, "directory": "/…",
             "files": [{"path": PATH, "size": BYTES, "sha256": HEX, "url": URL}]}],
 "patience": {"grace": SECONDS, …}}    # optional, each of them; see Patience
"""

import json
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from yarl import URL

from fetcher import names

FETCHED, ASKED = "fetched", "asked"
"""Who wants it: a deploy, or a person, whose files are never removed unasked."""


@dataclass(frozen=True)
class File:
    """A file of a repository at one commit; `size` in bytes, `sha256` in lower-case hex."""

    path: str
    size: int
    sha256: str
    url: str


@dataclass(frozen=True)
class Model:
    """Files that belong together, and the directory where they are to be."""

    name: str
    directory: Path
    files: tuple[File, ...]


@dataclass(frozen=True)
class Fleet:
    """This Mac among others: by name, the URL of each one's proxy; the key opens their files."""

    me: str
    key: str = field(repr=False)
    others: dict[str, str]


@dataclass(frozen=True)
class Patience:
    """Seconds until something is tried again, or given up."""

    poll: float = 1.0  # between two looks at another Mac
    retry: float = 5.0  # the same, when it did not answer
    grace: float = 15.0  # for another Mac to begin what is its turn
    stall: float = 60.0  # without a byte, of a connection or of another Mac's file
    compare: float = 60.0  # from elsewhere, before it is compared to what the Hub would give
    pause: float = 1.0  # before an interrupted piece goes on; longer with each attempt


@dataclass(frozen=True)
class Spec:
    """Everything that one run is to do."""

    connections: int
    again: bool
    origin: str
    token: str | None = field(repr=False)
    fleet: Fleet | None
    models: tuple[Model, ...]
    patience: Patience
    client: str | None = None


def parse(text: str | bytes) -> Spec:
    """Raises ValueError with one line that has all problems, and no secret."""
    reader = Reader()
    spec = reader.spec(load(text))
    if spec is None or reader.problems:
        raise ValueError("; ".join(reader.problems))
    return spec


def load(text: str | bytes) -> Any:
    """The document, as it is. Raises ValueError, without what is in it."""
    try:
        return json.loads(text)
    except ValueError as error:
        # Of a JSONDecodeError only the place; its document has the secrets.
        where = f": {error.msg} at {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"stdin is no JSON document{where}") from None


class Reader:
    """Reads values by kind, and keeps what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def spec(self, data: Any) -> Spec | None:
        data = self.object(data, "the document")
        connections = self.number(data, "connections", "", at_least=1)
        again = data.get("again", False)
        if not isinstance(again, bool):
            self.wrong("again", "is to be true or false")
        origin = data.get("origin")
        if origin not in (FETCHED, ASKED):
            self.wrong("origin", f"is to be {FETCHED!r} or {ASKED!r}")
        token = self.token(data)
        models = [
            self._model(each, f"models[{n}]") for n, each in enumerate(self.list(data, "models"))
        ]
        fleet = None if data.get("peers") is None else self._fleet(data["peers"])
        patience = self._patience(data.get("patience", {}))
        client = data.get("client")
        if client is not None and not (isinstance(client, str) and client.startswith("/")):
            self.wrong("client", "is to be an absolute path or null")
        self._meet(models)
        if self.problems:
            return None
        return Spec(connections, again, str(origin), token, fleet, tuple(models), patience, client)

    def token(self, data: dict[str, Any]) -> str | None:
        token = data.get("token")
        if token is not None and not _is_header(token):
            self.wrong("token", "is to be printable text or null")
        return token

    def _model(self, data: Any, where: str) -> Model:
        data = self.object(data, where)
        name = self.text(data, "name", where)
        directory = self.text(data, "directory", where)
        if not directory.startswith("/"):
            self.wrong(f"{where}.directory", "is to be an absolute path")
        files = [
            self.file(each, f"{where}.files[{n}]")
            for n, each in enumerate(self.list(data, "files", f"{where}."))
        ]
        return Model(name, Path(directory), tuple(files))

    def file(self, data: Any, where: str) -> File:
        data = self.object(data, where)
        path = self.text(data, "path", where)
        if wrong := names.fault(path):
            self.wrong(f"{where}.path", f"is to lead to a file below the directory: it {wrong}")
        sha256 = self.text(data, "sha256", where)
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            self.wrong(f"{where}.sha256", "is to be 64 digits of lower-case hex")
        size = self.number(data, "size", f"{where}.", at_least=0)
        return File(path, size, sha256, self._url(data, where))

    def _fleet(self, data: Any) -> Fleet:
        data = self.object(data, "peers")
        me, key = self.text(data, "me", "peers"), data.get("key")
        if not key or not _is_header(key):
            self.wrong("peers.key", "is to be printable text")
        others = {}
        for number, each in enumerate(self.list(data, "others", "peers.")):
            where = f"peers.others[{number}]"
            each = self.object(each, where)
            others[self.text(each, "name", where)] = self._url(each, where).rstrip("/")
        # A list for all Macs may well have this one in it.
        others.pop(me, None)
        return Fleet(me, str(key), others)

    def _patience(self, data: Any) -> Patience:
        data = self.object(data, "patience")
        known = {each.name for each in fields(Patience)}
        for name, value in data.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if name not in known or not is_number or not value > 0:
                self.wrong("patience", f"has {', '.join(sorted(known))}, each above 0")
        return Patience(**data) if not self.problems else Patience()

    def _meet(self, models: list[Model]) -> None:
        """Two models may share a file, but not its name alone."""
        seen: dict[Path, str] = {}
        for model in models:
            for file in model.files:
                path = model.directory / file.path
                if seen.setdefault(path, file.sha256) != file.sha256:
                    self.wrong(f"{path}", "is wanted with two contents")
        for one, other in names.clashes(map(str, seen)):
            self.wrong(other, f"cannot be beside {one}")

    def object(self, data: Any, where: str) -> dict[str, Any]:
        if isinstance(data, dict):
            return data
        self.wrong(where, "is to be an object")
        return {}

    def list(self, data: dict[str, Any], key: str, where: str = "") -> list[Any]:
        if isinstance(found := data.get(key), list):
            return found
        self.wrong(f"{where}{key}", "is to be a list")
        return []

    def number(self, data: dict[str, Any], key: str, where: str, *, at_least: int) -> int:
        found = data.get(key)
        if isinstance(found, int) and not isinstance(found, bool) and found >= at_least:
            return found
        self.wrong(f"{where}{key}", f"is to be a whole number, at least {at_least}")
        return at_least

    def text(self, data: dict[str, Any], key: str, where: str) -> str:
        found = data.get(key)
        if isinstance(found, str) and found and "\0" not in found:
            return found
        self.wrong(f"{where}.{key}", "is to be text, and not empty")
        return "-"

    def _url(self, data: dict[str, Any], where: str) -> str:
        found = self.text(data, "url", where)
        if found != "-" and not _is_http(found):
            self.wrong(f"{where}.url", "is to be a URL of http or https, without a user in it")
        return found

    def wrong(self, where: str, what: str) -> None:
        problem = f"{where} {what}"
        if problem not in self.problems:
            self.problems.append(problem)


def _is_http(url: str) -> bool:
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", url):
        return False
    try:
        return bool(URL(url, encoded=True).host)
    except ValueError:
        return False


def _is_header(value: Any) -> bool:
    """Whether it can be sent in a header without a second line."""
    return isinstance(value, str) and value.isascii() and value.isprintable()
