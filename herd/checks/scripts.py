"""Shell scripts, rendered and our own: sh reads them, and shellcheck, where it is, agrees."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path

from herd.checks import sources
from herd.checks.project import Finding, Project, Subject
from herd.checks.sources import Place
from herd.core.files.written_files import Written
from herd.core.mac.job_definitions import ALL_JOBS

RULES = {
    "script-syntax": "sh reads every shell script",
    "shellcheck": "shellcheck has no warning",
}
Report = Callable[[str, int, str, str], Finding]
# Of a script that is sent with what `scripts/shared` has of it, each piece is looked at alone: what
# one sets and another uses is no fault. The tests look at each as it is sent.
_ACROSS_PIECES = {2034, 2154}


def check(project: Project) -> Iterator[Finding]:
    """Each distinct text once, whichever hosts have it."""
    texts: dict[str, Report] = {}
    for subject in project.hosts:
        layout = subject.host.layout
        for name in (layout.start_command, *map(layout.launcher, ALL_JOBS)):
            if file := subject.files.get(name):
                texts.setdefault(file.content.decode(errors="replace"), _of_host(subject, file))
    rendered = len(texts)
    for path in sorted((project.toolkit / "herd/scripts").glob("*/*.sh")):
        texts.setdefault(path.read_text(encoding="utf-8"), _of_ours(sources.shown(path)))
    with tempfile.TemporaryDirectory() as folder:
        named = {}
        for number, text in enumerate(texts):
            path = Path(folder, f"{number}.sh")
            path.write_text(text, encoding="utf-8")
            named[str(path)] = texts[text]
        yield from _syntax(named)
        yield from _shellcheck(named, pieces=set(list(named)[rendered:]))


def _of_host(subject: Subject, file: Written) -> Report:
    return lambda rule, line, what, fix: subject.finding(rule, file, line, what, fix)


def _of_ours(shown: str) -> Report:
    return lambda rule, line, what, fix: Finding(rule, Place(shown, line), what, fix)


def _syntax(named: Mapping[str, Report]) -> Iterator[Finding]:
    command = ["sh", "-c", 'for file; do sh -n "$file"; done', "sh", *named]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said: dict[str, str] = {}
    for row in done.stderr.splitlines():
        path, _, words = row.partition(": ")
        said.setdefault(path, words)  # the first is what is wrong
    for path, words in said.items():
        if report := named.get(path):
            end = Path(path).read_text(encoding="utf-8").count("\n")
            line = min(int((re.findall(r"\d+", words) or ["1"])[0]), end)
            yield report("script-syntax", line, f"sh does not read it: {words}.", "mend it.")


def _shellcheck(named: Mapping[str, Report], pieces: Set[str]) -> Iterator[Finding]:
    program = shutil.which("shellcheck")
    if not program or not named:
        return
    command = [program, "--shell=sh", "--severity=warning", "--format=json", *named]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return
    for each in found:
        if each["file"] in pieces and each["code"] in _ACROSS_PIECES:
            continue
        code = f"SC{each['code']}"
        fix = f"https://www.shellcheck.net/wiki/{code} tells how."
        what = f"{each['message']} ({code})"
        yield named[each["file"]]("shellcheck", each["line"], what, fix)
