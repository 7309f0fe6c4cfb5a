"""Findings for people, for forges (SARIF 2.1.0) and for CI servers (JUnit's XML)."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from textwrap import indent
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from herd.checks import NOTE, RULES, Finding
from herd.checks.sources import Place

_MOST = 3


def text(findings: Sequence[Finding], *, hosts: int, rendered: int) -> str:
    """All findings; the same one on several hosts once, with the first places. Of so many hosts
    of the inventory, so many had settings that could be rendered."""
    same: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        message = finding.message.removeprefix(f"{finding.host}: ")
        key = (finding.level, finding.rule, message, finding.fix, str(finding.source))
        same.setdefault(key, []).append(finding)
    lines = []
    for (level, rule, message, fix, source), group in same.items():
        places = list(dict.fromkeys(f"{f.place}" for f in group))
        names = list(dict.fromkeys(f.host for f in group if f.host))
        lines += [f"{place}: {level}: [{rule}]" for place in places[:_MOST]]
        if len(places) > _MOST:
            lines.append(f"  and {len(places) - _MOST} more")
        elif len(places) < len(group):
            more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
            lines.append(f"  on {', '.join(names[:_MOST])}{more}")
        origin = "" if source == "None" else f"\nWritten from: {source}"
        lines += [indent(f"{message}\nFix: {fix}{origin}", "    "), ""]
    wrong = sum(1 for level, *_ in same if level != NOTE)
    verdict = f"{wrong} problem{'' if wrong == 1 else 's'}" if wrong else "nothing is wrong"
    seen = f"{hosts or 'no'} host{'s' if hosts > 1 else ''}"
    if rendered < hosts:
        seen += f", {rendered or 'none'} of them rendered"
    return "\n".join([*lines, f"{len(RULES)} rules, {seen}: {verdict}"])


def sarif(findings: Sequence[Finding], project: Path = Path()) -> str:
    """One run. What a person edits is the location, so that a forge shows it at that line; its
    path is relative to the project's directory."""
    rules = [{"id": rule, "shortDescription": {"text": text}} for rule, text in RULES.items()]
    run = {
        "tool": {"driver": {"name": "llama-herd check-configs", "rules": rules}},
        "originalUriBaseIds": {"PROJECT": {"description": {"text": "the project's directory"}}},
        "results": [_result(finding, project) for finding in findings],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    document = {"$schema": schema, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _result(finding: Finding, project: Path) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": finding.level,
        "message": {"text": f"{finding.message}\nFix: {finding.fix}"},
        "locations": [_location(finding.source or finding.place, project)],
    }
    if finding.source:
        result["relatedLocations"] = [_location(finding.place, project)]
    return result


def _location(place: Place, project: Path) -> dict[str, Any]:
    path = Path(os.path.relpath(place.file, project))
    file = {"uri": quote(path.as_posix()), "uriBaseId": "PROJECT"}
    if ".." in path.parts:  # the toolkit's own
        file = {"uri": Path(place.file).resolve().as_uri()}
    where = {"artifactLocation": file, "region": {"startLine": place.line}}
    return {"physicalLocation": where}


def junit(findings: Sequence[Finding]) -> str:
    """A suite with a case for each rule; each case fails with all that breaks the rule."""
    wrong = [finding for finding in findings if finding.level != NOTE]
    cases = []
    for rule, meaning in RULES.items():
        broken = [finding for finding in wrong if finding.rule == rule]
        head = f'<testcase classname="check-configs" name={quoteattr(f"{rule}: {meaning}")}'
        if not broken:
            cases.append(f"  {head}/>")
            continue
        words = "\n".join(_line(finding) for finding in broken)
        failure = f"<failure message={quoteattr(broken[0].message)}>{escape(words)}</failure>"
        cases.append(f"  {head}>{failure}</testcase>")
    failed = len({finding.rule for finding in wrong})
    suite = f'<testsuite name="check-configs" tests="{len(RULES)}" failures="{failed}">'
    body = "\n".join(cases)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{suite}\n{body}\n</testsuite>\n'


def _line(finding: Finding) -> str:
    origin = f" (written from {finding.source})" if finding.source else ""
    return f"{finding.place}{origin}: {finding.message} Fix: {finding.fix}"
