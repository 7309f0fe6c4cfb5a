"""`make check-configs`: settings, the files that follow, and what git tracks."""

from dataclasses import replace
from pathlib import Path

from herd import checks
from herd.checks import reports
from herd.core.settings.problems import Unreadable
from herd.render import rendering
from herd.verbs.render import rendered
from herd.workstation.herd_directory import directory
from herd.workstation.typed_commands import as_typed


def check_configs(
    inventory: str, out: Path | None, *, sarif: str | None, junit: str | None
) -> bool:
    """Check settings, the files that follow, and what git tracks; whether nothing is wrong."""
    out = out or rendering.out(inventory)
    try:
        found = rendered(inventory, out)
    except Unreadable as error:  # code, of which a slip is a finding as any other
        findings, hosts, well = [checks.unreadable(error)], 0, 0
    else:
        findings = checks.run(checks.Project(Path(), inventory, out, found))
        hosts, well = len(found.data), len(found.hosts)
    findings = [
        replace(each, message=as_typed(each.message), fix=as_typed(each.fix)) for each in findings
    ]
    for path, text in (
        (sarif, reports.sarif(findings, directory(inventory))),
        (junit, reports.junit(findings)),
    ):
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text, encoding="utf-8")
    print(reports.text(findings, hosts=hosts, rendered=well))
    return not any(finding.level == checks.ERROR for finding in findings)
