"""Property lists of launchd: keys of launchd.plist(5), their types, paths that will be there."""

import plistlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any
from xml.parsers.expat import ExpatError

from herd.checks.project import Finding, Project, Subject, line_of
from herd.core.files.written_files import Written
from herd.core.mac.archives import bundle
from herd.core.mac.job_definitions import ALL_JOBS

RULES = {
    "plist-syntax": "A property list parses",
    "plist-keys": "A property list has keys that launchd knows, of their types",
    "plist-paths": "Paths in property lists are absolute, and are there after a deploy",
    "plist-session": "Jobs are loaded where the settings say, and none of them runs as root",
}


def _strings(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is str for each in value)


def _table(kind: type) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, dict) and all(type(each) is kind for each in value.values())
    )


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: type(value) is kind


# launchd.plist(5), as far as a job of ours may go.
KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "Label": (_is(str), "a string"),
    "ProgramArguments": (_strings, "a list of strings"),
    "WorkingDirectory": (_is(str), "a string"),
    "EnvironmentVariables": (_table(str), "a dictionary of strings"),
    "StandardOutPath": (_is(str), "a string"),
    "StandardErrorPath": (_is(str), "a string"),
    "RunAtLoad": (_is(bool), "true or false"),
    "KeepAlive": (lambda value: type(value) in (bool, dict), "true, false or a dictionary"),
    "ThrottleInterval": (lambda value: type(value) is int and value > 0, "seconds, from 1"),
    # 0 would be for ever.
    "ExitTimeOut": (lambda value: type(value) is int and value > 0, "seconds, from 1"),
    # Background costs Metal most of its speed, Standard is throttled.
    "ProcessType": (lambda value: value == "Interactive", "Interactive"),
    "SoftResourceLimits": (_table(int), "a dictionary of numbers"),
    "HardResourceLimits": (_table(int), "a dictionary of numbers"),
    "Umask": (lambda value: type(value) is int and 0 <= value <= 0o777, "a decimal number"),
    "UserName": (_is(str), "a string"),
    "LimitLoadToSessionType": (lambda value: type(value) in (str, list), "a session type"),
}
_REQUIRED = ("Label", "ProgramArguments")


def check(project: Project) -> Iterator[Finding]:
    """Every property list of every host."""
    for subject in project.hosts:
        labels = {subject.host.layout.label(job) for job in ALL_JOBS}
        for file in subject.host.files:
            if not file.path.endswith(".plist"):
                continue
            try:
                data = plistlib.loads(file.content)
            except (ExpatError, ValueError, plistlib.InvalidFileException, AttributeError) as error:
                line = getattr(error, "lineno", 1)
                message, fix = f"It does not parse: {error}.", "mend templates/plist.j2."
                yield subject.finding("plist-syntax", file, line, message, fix)
                continue
            yield from _keys(subject, file, data, labels)
            yield from _paths(subject, file, data)
            yield from _session(subject, file, data)


def _finding(
    rule: str, subject: Subject, file: Written, key: str, message: str, fix: str = ""
) -> Finding:
    line = line_of(file.content.decode(errors="replace"), f"<key>{key}</key>")
    return subject.finding(
        rule, file, line, message, fix or "mend herd/core/mac/job_definitions.py."
    )


def _keys(subject: Subject, file: Written, data: Any, labels: set[str]) -> Iterator[Finding]:
    data = data if isinstance(data, dict) else {}
    for key in _REQUIRED:
        if key not in data:
            yield _finding("plist-keys", subject, file, key, f"It has no {key}.")
    for key, value in data.items():
        if key not in KEYS:
            what = f"{key} is no key of launchd.plist(5) that a job of ours may have."
            yield _finding("plist-keys", subject, file, key, what)
        elif not KEYS[key][0](value):
            yield _finding("plist-keys", subject, file, key, f"{key} is not {KEYS[key][1]}.")
    label, name = data.get("Label"), PurePosixPath(file.path).name
    if label not in labels or name != f"{label}.plist":
        what = f"The label {label!r} is not that of {name}."
        yield _finding("plist-keys", subject, file, "Label", what)


def _paths(subject: Subject, file: Written, data: Any) -> Iterator[Finding]:
    """launchd expands nothing, and a job whose directory or program is missing never starts."""
    host = subject.host
    python = host.layout.proxy_python(bundle())
    layout = host.layout
    made = {
        layout.config,  # also where models.lock does not yet say what is in it
        layout.usage,
        layout.models,
        layout.peers,
        layout.gateways,
        layout.swap_key,
        layout.other_gateways,
        *map(layout.of_gateway, ("gateway.key", "usage.db", "availability.json")),
        python,
        *map(layout.log, ALL_JOBS),
    }
    there = {str(parent) for each in subject.files for parent in PurePosixPath(each).parents}
    there |= made | subject.files.keys()
    for key, path in _named(data):
        if not path.startswith("/"):
            what = f"{key} has {path!r}, and launchd expands no relative path."
            yield _finding("plist-paths", subject, file, key, what)
        elif path.startswith(f"{host.layout.root}/") and path not in there:
            what = f"{key} names {path}, which a deploy does not make."
            yield _finding("plist-paths", subject, file, key, what)
    for key in ("StandardOutPath", "StandardErrorPath"):
        log = data.get(key) if isinstance(data, dict) else None
        if isinstance(log, str) and log.rpartition("/")[0] not in there:
            what = f"{key} is in a directory that a deploy does not make."
            yield _finding("plist-paths", subject, file, key, what)


def _named(data: Any) -> Iterator[tuple[str, str]]:
    """What is a path: the program, absolute arguments, directories and files, PYTHONPATH."""
    data = data if isinstance(data, dict) else {}
    words = data.get("ProgramArguments") or []
    # A shell that becomes another program has that behind its own text and the text's $0.
    programs = (0, 4) if words[1:2] == ["-c"] else (0,)
    for number, word in enumerate(words):
        if isinstance(word, str) and (
            number in programs or word.startswith(("/", "~", "./", "../"))
        ):
            yield "ProgramArguments", word
    for key in ("WorkingDirectory", "StandardOutPath", "StandardErrorPath"):
        if isinstance(data.get(key), str):
            yield key, data[key]
    environment = data.get("EnvironmentVariables")
    for name in ("PATH", "PYTHONPATH") if isinstance(environment, dict) else ():
        for part in str(environment[name]).split(":") if name in environment else ():
            yield "EnvironmentVariables", part


def _session(subject: Subject, file: Written, data: Any) -> Iterator[Finding]:
    """Aqua is the default; several, or another, are refused or loaded where nobody looks."""
    data = data if isinstance(data, dict) else {}
    found = data.get("LimitLoadToSessionType", "Aqua")
    if found != "Aqua":
        what = f"LimitLoadToSessionType is {found!r}: jobs are loaded into the Aqua session."
        fix = "leave the key out."
        yield _finding("plist-session", subject, file, "LimitLoadToSessionType", what, fix)
    layout = subject.host.layout
    folder = layout.domain(subject.host.known.uid).directory
    if file.path.rpartition("/")[0] != folder:
        what = f"launchd looks for it in {folder} only."
        yield _finding("plist-session", subject, file, "Label", what)
    # It counts in the system's domain only, where a job without it is root's.
    if ("UserName" in data) != layout.is_daemon or data.get("UserName") == "root":
        what = f"UserName is {data.get('UserName')!r}."
        yield _finding("plist-session", subject, file, "UserName", what)
