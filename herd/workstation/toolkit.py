"""The toolkit itself: where its files are, the defaults that it brings, which version it is.

ROOT is a checkout, or what a plain install has of one: the same files in the same places. A herd's
own files are elsewhere, or not (herd/workstation/herd_directory.py).
"""

import json
import os
import re
import runpy
import subprocess
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

ROOT = Path(__file__).parents[2]
NAME = "llama-herd"
DEFAULTS = "the toolkit's group_data/all.py"
PIN = "requirements.txt"
"""Beside an inventory: which version of the toolkit a herd is for, as pip reads it."""

_PINNED = re.compile(rf"^\s*{NAME}\b[^#\n]*?(?:==|\S@)\s*([\w.+-]+)\s*(?:[#;].*)?$", re.MULTILINE)


@cache
def defaults() -> Mapping[str, Any]:
    """Every setting with its default, over which a herd's own group_data lies."""
    found = runpy.run_path(str(ROOT / "group_data/all.py"))
    return {name: value for name, value in found.items() if not name.startswith("__")}


@cache
def version() -> str:
    """As in "0.1.0"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def git(directory: Path, *words: str) -> bytes:
    """What git says in a directory; nothing when it fails, or is not there.

    Whatever hook of another repository this runs in.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *words], cwd=directory, env=own, capture_output=True, check=False
        )
    except OSError:
        return b""
    return b"" if done.returncode else done.stdout


def is_checkout() -> bool:
    """Whether the toolkit is a git repository of its own, and not a part of another one."""
    return (ROOT / ".git").exists()


def requirement() -> str:
    """This version of the toolkit, as a line for pip: from where it came here, if that is known."""
    address, revision = _address(), _revision()
    if address and revision:
        return f"{NAME}[verify] @ git+{address}@{revision}"
    if "archive_info" in _installed():
        return f"{NAME}[verify] @ {_installed()['url']}"
    return f"{NAME}[verify]=={version()}"


def pinned(directory: Path) -> str:
    """The version, tag or commit of the toolkit that a herd's PIN names; "" when it has none."""
    try:
        found = _PINNED.search((directory / PIN).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
    return found[1] if found else ""


def mismatch(directory: Path) -> str:
    """In words, that a herd is for another version of the toolkit; "" when it is for this one."""
    pin = pinned(directory)
    if not pin or _is_at(pin):
        return ""
    return f"{directory / PIN} names {NAME} {pin}, and this is {_revision() or version()}"


def revision() -> str:
    """Which one this is: of a checkout its commit, "+" for changes beside it; of what was installed
    the tag, the commit or the version."""
    return (state_of(ROOT) if is_checkout() else "") or _revision() or version()


def state_of(directory: Path) -> str:
    """The commit that is checked out around a directory, in twelve digits, with "+" when files that
    git knows differ from it; "" when there is none."""
    found = git(directory, "rev-parse", "--short=12", "HEAD").decode().strip()
    changed = found and git(directory, "status", "--porcelain", "--untracked-files=no")
    return f"{found}+" if changed else found


def _is_at(pin: str) -> bool:
    if source := _source():
        here = git(source, "rev-parse", "HEAD")
        return not here or here == git(source, "rev-parse", f"{pin}^{{commit}}")
    return pin in (version(), f"v{version()}", *_installed().get("vcs_info", {}).values())


def _source() -> Path | None:
    """The git repository on this machine that this is, or is a copy of. What pip has by a commit is
    of that one, whatever is checked out in a repository that it came from."""
    if is_checkout():
        return ROOT
    if "vcs_info" in _installed():
        return None
    url = urlsplit(str(_installed().get("url", "")))
    path = Path(unquote(url.path))
    return path if url.scheme == "file" and (path / ".git").exists() else None


def _revision() -> str:
    """The tag that is checked out or was installed, else the commit, "" when there is no git."""
    if source := _source():
        tag = git(source, "describe", "--tags", "--exact-match", "HEAD")
        return (tag or git(source, "rev-parse", "HEAD")).decode().strip()
    came = _installed().get("vcs_info", {})
    asked = str(came.get("requested_revision", ""))
    return asked if asked == f"v{version()}" else str(came.get("commit_id", ""))


def _address() -> str:
    """As pip takes it, without a password; of what was cloned from nowhere, its own. "" of none."""
    url = str(_installed().get("url", ""))
    if source := _source():
        origin = git(source, "remote", "get-url", "origin").decode().strip()
        url = origin or source.resolve().as_uri()
    if Path(url).is_absolute():
        url = Path(url).as_uri()
    if found := re.fullmatch(r"([\w.-]+@[\w.-]+):(?!//)/?(.+)", url):  # as scp has it
        url = f"ssh://{found[1]}/{found[2]}"
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    elif parts.password:
        url = parts._replace(netloc=f"{parts.username}@{parts.hostname}").geturl()
    elif parts.scheme == "file":  # pip of Python 3.11 takes none without a host
        url = parts._replace(netloc="localhost", path=quote(unquote(parts.path))).geturl()
    return url if parts.scheme else ""


@cache
def _installed() -> dict[str, Any]:
    """How pip installed it (PEP 610's direct_url.json), {} when from an index, or not at all."""
    try:
        found = json.loads(metadata.distribution(NAME).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return {}
    return dict(found)
