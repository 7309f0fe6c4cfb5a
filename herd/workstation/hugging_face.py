"""Asks Hugging Face, from the workstation, what a repository holds.

The endpoint and the token are the workstation's own: HF_ENDPOINT, and HF_TOKEN or `hf auth login`.
Its library, which takes as long to import as pyinfra's, is imported where it is used: most runs ask
nothing of the Hub.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import JsonValue

from fetcher import rate_limit
from herd.core.models import gguf, model_facts, projector_buffers, selection
from herd.core.models.gguf import Header
from herd.core.models.gguf_cursor import GgufError
from herd.core.models.models_lock import File, LockedPart
from herd.core.models.selection import Found
from herd.core.models.splits import sets

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

T = TypeVar("T")

# Seconds that the Hub may have us wait in all; it counts requests in windows of five minutes.
_MOST_LEFT_ALONE = 1800.0

# Git keeps what is smaller than this itself, without a checksum that we could use.
_SMALL = 64 << 20
# Headers that are asked for at a time; a repository may have fifty quantisations.
_AT_A_TIME = 8


def endpoint() -> str:
    """The Hub to ask and to fetch from."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def token() -> str | None:
    """The workstation's token; it goes to a Mac on a command's stdin only."""
    from huggingface_hub import get_token

    return get_token()


class _Expired(Exception):
    """The address in the store, to which the Hub led, does not hold any more."""


@dataclass(frozen=True)
class Remote:
    """A file on the Hub, of which parts can be read."""

    repo: str
    commit: str
    path: str

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on: fewer at the end of the file, none behind it.

        Raises ValueError, in words, when the Hub does not send them.
        """
        try:
            return _patiently(lambda: self._part(offset, size))
        except Exception as error:
            raise ValueError(_trouble(self.repo, self.commit, error)) from None

    def _part(self, offset: int, size: int) -> bytes:
        from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

        url = f"{endpoint()}/{self.repo}/resolve/{self.commit}/{quote(self.path)}"
        span = {"Range": f"bytes={offset}-{offset + size - 1}"}
        # The client drops the token when it is redirected to another host.
        headers = build_hf_headers(token=token() or False, headers=span)
        found = b""
        with get_session().stream("GET", url, headers=headers, timeout=30) as answer:
            if answer.status_code == 416:
                return b""
            home = urlsplit(url).netloc
            if answer.status_code in (401, 403, 404, 410) and answer.url.netloc.decode() != home:
                # The store behind the redirect knows no tokens: a fresh address is what it wants.
                raise _Expired(f"its store answers {answer.status_code} for {self.path}")
            if answer.status_code >= 400:
                answer.read()
                hf_raise_for_status(answer)
            # Who does not know ranges would send it all, from the start.
            if answer.status_code != 206 and offset:
                raise ValueError(f"it cannot send a part of {self.path}")
            for chunk in answer.iter_bytes():
                found += chunk
                if len(found) >= size:
                    break
        return found[:size]


@dataclass(frozen=True)
class Repository:
    """The files of a repository at a commit, by their paths."""

    repo: str
    revision: str
    commit: str
    files: Mapping[str, RepoSibling] = field(repr=False)

    def look(self, paths: Iterable[str]) -> list[Found]:
        """Each GGUF file, or set of splits, among these, with the start of its header."""
        found = sets(paths)
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            headers = list(pool.map(self._header, found))
        return [
            Found(first, {path: _size(self.files[path]) for path in files}, header)
            for (first, files), header in zip(found.items(), headers, strict=True)
        ]

    def _header(self, path: str) -> Header | str:
        """Or why it cannot be read. Raises ValueError when the Hub does not send it."""
        if path not in self.files:
            return "is not there"
        try:
            return gguf.peek(Remote(self.repo, self.commit, path))
        except GgufError as error:
            return str(error)

    def facts(self, found: Found) -> dict[str, JsonValue]:
        """What memory arithmetic needs of the header of a model, of which all is read.

        Raises ValueError, in words, when that cannot be read, or splits do not belong together.
        """
        try:
            header = self.header(found)
            selection.refuse_splits(replace(found, header=header))
            return model_facts.facts_of(header).dump()
        except ValueError as error:
            raise ValueError(f"{self.repo}: {found.first} {error}") from None

    def header(self, found: Found) -> Header:
        """All keys of a model's header. Raises ValueError, in words."""
        return gguf.read(Remote(self.repo, self.commit, found.first))

    def tensors(self, found: Found) -> tuple[Header, dict[str, tuple[int, ...]]]:
        """All keys of a header, and the shapes of its tensors, by their names; of the first split.

        Raises ValueError, in words.
        """
        header = self.header(found)
        if not header.complete:
            return header, {}
        return header, gguf.shapes(Remote(self.repo, self.commit, found.first), header)

    def file(self, path: str) -> File:
        """A file with its checksum."""
        return _file(self.repo, self.commit, self.files[path])

    def part(self, role: str, source: str, found: Found, note: str) -> LockedPart:
        """What goes along with a model; of what is a model itself, with all facts."""
        facts: dict[str, JsonValue] = {}
        if isinstance(found.header, Header):
            is_model = found.kind in selection.KINDS["draft"]
            facts = self.facts(found) if is_model else _told(found.header)
        return LockedPart(
            role=role,
            source=source,
            kind=found.kind or "",
            note=note,
            repo=self.repo,
            revision=self.revision,
            commit=self.commit,
            first=found.first,
            files=[self.file(path) for path in sorted(found.files)],
            gguf=facts,
        )


def _told(header: Header) -> dict[str, JsonValue]:
    """Of what is no model: what it is, in which numbers, and what a projector hears and sees, how
    large."""
    keys = ("general.type", "general.architecture", "adapter.type", *projector_buffers.KEYS)
    found: dict[str, JsonValue] = {key: header.keys[key] for key in keys if key in header.keys}
    senses = ("clip.has_vision_encoder", "clip.has_audio_encoder")
    found |= {key: bool(header.keys[key]) for key in senses if key in header.keys}
    return found | ({"quantisation": header.quantisation} if header.quantisation else {})


def _size(file: RepoSibling) -> int:
    return file.lfs.size if file.lfs is not None else file.size or 0


def look_into(repo: str, revision: str) -> Repository:
    """Raises ValueError, in words, when there is none, or no access."""
    answer = _repository(repo, revision)
    if isinstance(answer, str):
        raise ValueError(answer)
    return Repository(repo, revision, *answer)


@cache
def _repository(repo: str, revision: str) -> tuple[str, Mapping[str, RepoSibling]] | str:
    """The commit of a revision, and its files; or, in words, why there is none.

    Asked once in a run, also when it fails: a Hub that is ill may take its time each time.
    """
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=token() or False)
    try:
        info = _patiently(
            lambda: api.model_info(repo, revision=revision, files_metadata=True, timeout=30)
        )
    except Exception as error:
        return _trouble(repo, revision, error)
    if info.sha is None:
        return f"{endpoint()} names no commit of {repo}"
    return info.sha, {file.rfilename: file for file in info.siblings or []}


def _patiently(ask: Callable[[], T]) -> T:
    """What `ask` returns; again after a while when the Hub is busy, ill or out of reach, and after
    as long as it says when it was asked too often."""
    from huggingface_hub.errors import HfHubHTTPError

    pauses, left_alone = iter((0.5, 1, 2)), 0.0
    while True:
        pause: float | None = None
        try:
            return ask()
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status < 500 and status != 429:
                raise
            told = rate_limit.pause(error.response.headers.items())
            if status in (429, 503) and 0 < told <= _MOST_LEFT_ALONE - left_alone:
                pause, left_alone = told, left_alone + told
                print(_busy(status, told), file=sys.stderr, flush=True)
            elif (pause := next(pauses, None)) is None:
                raise
        except ValueError:
            raise
        except Exception:  # of whichever HTTP client huggingface_hub uses
            if (pause := next(pauses, None)) is None:
                raise
        time.sleep(pause)


def _busy(status: int, pause: float) -> str:
    mend = "HF_TOKEN, which this shell has not, lets you ask more often"
    whose = f"; {mend}" if token() is None else " of the account of HF_TOKEN"
    limit = f"its limit{whose}" if status == 429 else "it is busy"
    return f"{endpoint()} wants to be asked again in {pause:.0f} s: {limit}"


def _trouble(repo: str, revision: str, error: Exception) -> str:
    """What an exception says about a repository, of huggingface_hub or its HTTP client."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    match error:
        case GatedRepoError():
            terms = f"{repo} is gated: accept its terms at {endpoint()}/{repo}"
            if token() is None:
                return f"{terms}, and set HF_TOKEN, which this shell has not"
            return f"{terms} with the account of HF_TOKEN, which has no access"
        case RepositoryNotFoundError():
            return f"{repo} is not on {endpoint()}, or wants a token (HF_TOKEN)"
        case RevisionNotFoundError():
            return f"{repo} has no revision {revision!r}"
        case HfHubHTTPError() if error.response.status_code == 429:
            mend = "set HF_TOKEN, which this shell has not" if token() is None else "wait a while"
            return f"{endpoint()} was asked too often for {repo} (429): {mend}"
        case HfHubHTTPError() if error.response.status_code in (401, 403):
            status = error.response.status_code
            return (
                f"{endpoint()} answers {status} for {repo}: HF_TOKEN is wrong, or may not read it"
            )
        case HfHubHTTPError() if error.response.status_code == 400:
            return f"{endpoint()} does not give files of {repo} over plain HTTP (400)"
    return f"{endpoint()} does not answer for {repo}: {error}"


def _file(repo: str, commit: str, file: RepoSibling) -> File:
    """A file with its checksum, which the Hub knows of those in LFS, as every GGUF file is."""
    path = file.rfilename
    if file.lfs is not None:
        return File(path=path, size=file.lfs.size, sha256=file.lfs.sha256)
    size = file.size or 0
    if size > _SMALL:
        raise ValueError(f"{endpoint()} names no checksum of {repo}/{path}")
    content = Remote(repo, commit, path).read(0, size) if size else b""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    if len(content) != size or blob.hexdigest() != file.blob_id:
        raise ValueError(f"{repo}/{path} is not what {endpoint()} says it is")
    return File(path=path, size=size, sha256=hashlib.sha256(content).hexdigest())
