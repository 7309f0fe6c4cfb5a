"""Secrets: none in what is world-readable on a Mac, and none in what git tracks.

No finding quotes one.
"""

import hashlib
import plistlib
import re
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from herd.checks.project import Finding, Project, Subject
from herd.checks.sources import Place
from herd.core.mac.job_definitions import ALL_JOBS
from herd.workstation.typed_commands import command

RULES = {
    "secret-modes": "What holds secrets or prompts is for its owner only",
    "secret-shown": "No secret stands in a file that others may read",
    "secret-in-git": "No key or token in clear text is in a file that git tracks",
}
_LISTED = "a list of API keys"
_TOKEN, _PRIVATE, _FOREIGN = "a token of Hugging Face", "a private key", "an API key"
# What it is, what each has in it (hundreds of files have none), and how it is written.
_MARKS = (
    (
        "a key of this toolkit",
        "sk-herd-",
        re.compile(r"\bsk-herd-[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
    ),
    (_TOKEN, "hf_", re.compile(r"\bhf_[A-Za-z]{34}\b")),
    (
        _PRIVATE,
        "PRIVATE KEY-----",
        re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}"),
    ),
    (
        _FOREIGN,
        "sk-",
        re.compile(r"\bsk-(?:proj-|ant-[a-z0-9]+-)?(?=\w*\d)[A-Za-z0-9]{32,}\b"),
    ),
    # Of examples: who writes so means no secret.
    (
        _LISTED,
        "API_KEY",
        re.compile(
            r"(?:HERD_API_KEY|API_KEYS)\s*[:=]\s*[\"']?(?![^\s\"']*(?:not-a-secret|EXAMPLE))"
            r"[A-Za-z0-9][A-Za-z0-9_,-]{11,}"
        ),
    ),
)
# What to do about one that is not of this toolkit, which `make key` replaces.
_REPLACE = {
    _TOKEN: "revoke it at https://huggingface.co/settings/tokens, and give another by HF_TOKEN in "
    "the environment",
    _PRIVATE: "make another, and have its certificate revoked or its public key taken off",
    _FOREIGN: "revoke it where it is from, and make another",
}
# What may be a key: any word, and the runs of usual characters in it.
_WORD = re.compile(r"[^\s\"'`]{12,200}")
_RUN = re.compile(r"[A-Za-z0-9_-]{12,200}")
_LARGEST = 1 << 20
# In the clear only for its owner: Umask 077, as logs can hold what people ask.
_UMASK = 0o077


def check(project: Project) -> Iterator[Finding]:
    """What would be on the Macs, then what is in git."""
    for subject in project.hosts:
        yield from _modes(subject)
        yield from _umasks(subject)
        for file in subject.host.files:
            if not file.secret:
                for line, what in _marks(file.content):
                    message = f"It holds {what}."
                    fix = "keep secrets to config.json, or on this workstation."
                    yield subject.finding("secret-shown", file, line, message, fix)
    yield from _in_git(project)


def _modes(subject: Subject) -> Iterator[Finding]:
    layout = subject.host.layout
    for file in subject.host.files:
        mode = int(file.mode, 8)
        private = file.secret or file.path in (layout.keys, layout.tls_key)
        public = file.path == layout.tls_certificate
        if private and not public and mode & 0o077:
            message = f"Its mode is {file.mode}: others may read it."
            yield subject.finding("secret-modes", file, 1, message, "write it with mode 600.")
        elif mode & 0o022:
            message = f"Its mode is {file.mode}: others may write it, and launchd would refuse it."
            yield subject.finding("secret-modes", file, 1, message, "write it with mode 644.")


def _umasks(subject: Subject) -> Iterator[Finding]:
    """Logs, books and whatever else a job makes."""
    for job in ALL_JOBS:
        file = subject.files.get(subject.host.layout.plist(job))
        try:
            data: Any = plistlib.loads(file.content) if file else {}
        except (ExpatError, ValueError, AttributeError):
            continue  # plist-syntax tells
        if file and isinstance(data, dict) and "StandardOutPath" in data:
            umask = data.get("Umask")
            if type(umask) is not int or umask & _UMASK != _UMASK:
                message = "Its logs, which can hold prompts, would be readable by others."
                fix = "set Umask to 63 (octal 077) in herd/core/mac/job_definitions.py."
                yield subject.finding("secret-modes", file, 1, message, fix)


@cache
def _marks(content: bytes) -> tuple[tuple[int, str], ...]:
    """The lines of what looks like a secret, and what it looks like."""
    text = content.decode(errors="replace")
    return tuple(
        (text.count("\n", 0, match.start()) + 1, what)
        for what, part, pattern in _MARKS
        if part in text
        for match in pattern.finditer(text)
    )


def _in_git(project: Project) -> Iterator[Finding]:
    declared = dict(_hashes(project))
    how = f"replace it: `{command('key', NAME='...', ARGS='--rotate')}`"
    below = Path(project.inventory).parent
    for name in tracked(project.root / below):
        shown = str(below / name)
        if name == "config.json":
            message = "git tracks config.json, which is where plain keys are."
            fix = f"git rm --cached it; take it out of git's history, and {how}."
            yield Finding("secret-in-git", Place(shown), message, fix)
        path = project.root / below / name
        if not path.is_file() or path.is_symlink() or path.stat().st_size > _LARGEST:
            continue
        content = path.read_bytes()
        found = set(_marks(content)) | set(_known(content, declared))
        if path.suffix == ".py":  # code that passes one on, and tests with what is none
            found = {each for each in found if each[1] != _LISTED}
        for line, what in sorted(found):
            fix = f"take it out of git's history, and {_REPLACE.get(what, how)}."
            yield Finding("secret-in-git", Place(shown, line), f"It holds {what}.", fix)


def _hashes(project: Project) -> Iterator[tuple[str, str]]:
    """The SHA-256 of every declared key, and whose it is: any form of key is found by it."""
    for host in project.rendering.hosts:
        for entry in host.settings.api_keys:
            if isinstance(entry, dict) and isinstance(entry.get("sha256"), str):
                yield entry["sha256"].lower(), str(entry.get("name"))


def _known(content: bytes, declared: dict[str, str]) -> Iterator[tuple[int, str]]:
    if not declared or b"\0" in content[:8192]:
        return
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        for word in {each for found in _WORD.findall(line) for each in _readings(found)}:
            if name := declared.get(hashlib.sha256(word.encode()).hexdigest()):
                yield number, f"the key of {name} in clear text"


def _readings(word: str) -> Iterator[str]:
    """Without what a sentence or an assignment puts around a key."""
    yield from (word, word.rstrip(".,;:)]}"), word.partition("=")[2])
    yield from _RUN.findall(word)


def tracked(root: Path) -> Iterable[str]:
    """The files that git tracks in the repository of a directory, relative to it; none where there
    is no repository."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", ":/"], cwd=root, capture_output=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [name for name in done.stdout.decode(errors="surrogateescape").split("\0") if name]
