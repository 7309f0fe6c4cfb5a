"""Ports as the rendered files have them: each held once, and asked where it is held."""

import plistlib
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any
from xml.parsers.expat import ExpatError

from herd.checks import yaml_lines
from herd.checks.project import Finding, Project, Subject, line_of
from herd.core.files.written_files import Written
from herd.core.mac.job_definitions import LLAMA_SWAP, PROXY

RULES = {
    "ports": "No port is wanted twice on one machine",
    "ports-chain": "The proxy asks llama-swap where it listens, and nobody else can ask it",
}
# What a job's settings are, for a person who has to change them.
_SETTING = {LLAMA_SWAP: "llama_swap_port", PROXY: "proxy_port"}


Jobs = Mapping[str, tuple[Written, Mapping[str, str]]]


def check(project: Project) -> Iterator[Finding]:
    """The ports of every host, as launchd starts the stack and as a person does."""
    for subject in project.hosts:
        for jobs in (dict(_agents(subject)), dict(_foreground(subject))):
            yield from _collisions(subject, jobs)
            yield from _chain(subject, jobs)


def _agents(subject: Subject) -> Iterator[tuple[str, tuple[Written, Mapping[str, str]]]]:
    """Of each job that has one, its property list and its options."""
    for job in (LLAMA_SWAP, PROXY):
        file = subject.files.get(subject.host.layout.plist(job))
        try:
            data: Any = plistlib.loads(file.content) if file else {}
        except (ExpatError, ValueError, AttributeError):
            continue  # plist-syntax tells
        words = data.get("ProgramArguments") if isinstance(data, dict) else None
        if not file or not isinstance(words, list) or words[:1] == ["/usr/bin/open"]:
            continue  # that opens start.command
        yield job, (file, dict(pairwise(map(str, words))))


def _foreground(subject: Subject) -> Iterator[tuple[str, tuple[Written, Mapping[str, str]]]]:
    """The same of start.command, whose lines with --listen run both."""
    file = subject.files.get(subject.host.layout.start_command)
    for line in file.content.decode(errors="replace").splitlines() if file else ():
        if file and " --listen " in line:
            try:
                options = dict(pairwise(shlex.split(line)))
            except ValueError:
                continue  # script-syntax tells
            yield PROXY if "--upstream" in options else LLAMA_SWAP, (file, options)


def _collisions(subject: Subject, jobs: Jobs) -> Iterator[Finding]:
    wanted: dict[int, list[tuple[str, Written, int]]] = defaultdict(list)
    for job, (file, options) in jobs.items():
        listen = options.get("--listen", "")
        if (port := _port(listen)) is None:
            message, fix = f"{job} listens on {listen!r}.", "mend herd/core/mac/job_definitions.py."
            yield subject.finding("ports-chain", file, line_of(file.text, listen), message, fix)
        else:
            wanted[port].append((job, file, line_of(file.text, listen)))
    config = subject.files.get(subject.host.layout.config)
    for port, line in _model_ports(config):
        assert config
        wanted[port].append(("a model", config, line))
    for port, holders in wanted.items():
        if len(holders) > 1:
            name, file, line = holders[-1]
            others = " and ".join(dict.fromkeys(holder[0] for holder in holders[:-1]))
            setting = _SETTING.get(name, "llama_server_start_port")
            message = f"Port {port} is wanted by {others} and {name}."
            yield subject.finding(
                "ports", file, line, message, "give each its own.", setting=setting
            )


def _model_ports(config: Written | None) -> Iterator[tuple[int, int]]:
    """Each model's port, with the line of startPort."""
    try:
        data, lines = yaml_lines.load(config.content.decode()) if config else ({}, {})
    except ValueError:
        return  # config-syntax tells
    start = data.get("startPort") if isinstance(data, dict) else None
    models = data.get("models") if isinstance(data, dict) else None
    if isinstance(start, int) and isinstance(models, dict):
        for number in range(len(models)):
            yield start + number, lines["startPort",]


def _chain(subject: Subject, jobs: Jobs) -> Iterator[Finding]:
    if LLAMA_SWAP in jobs:
        file, options = jobs[LLAMA_SWAP]
        listen = options.get("--listen", "")
        if not listen.startswith("127.0.0.1:"):
            message = f"llama-swap listens on {listen}, where everybody passes the proxy by."
            fix = "mend herd/core/mac/job_definitions.py: only this Mac may reach it."
            yield subject.finding("ports-chain", file, line_of(file.text, listen), message, fix)
        if PROXY in jobs:
            file, theirs = jobs[PROXY]
            upstream = theirs.get("--upstream", "")
            if upstream != f"http://{listen}":
                message = f"The proxy asks {upstream}, and llama-swap listens on {listen}."
                fix = "mend herd/core/mac/job_definitions.py: both are llama_swap_port."
                line = line_of(file.text, upstream)
                yield subject.finding("ports-chain", file, line, message, fix)


def _port(listen: str) -> int | None:
    match = re.fullmatch(r".*:(\d{1,5})", listen)
    return int(match[1]) if match and 0 < int(match[1]) <= 65535 else None
