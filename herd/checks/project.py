"""What is checked, and what a check finds: a rule broken in some place, and how to mend it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from herd.checks import sources
from herd.checks.sources import Place
from herd.core.files.written_files import Written
from herd.render.rendering import Rendered, Rendering
from herd.workstation.toolkit import ROOT

ERROR, NOTE = "error", "note"


@dataclass(frozen=True)
class Finding:
    """`place` is where it shows, `source` what to edit, when that is another file.

    `message` and `fix` are sentences; they never quote a secret. A NOTE fails nothing.
    """

    rule: str
    place: Place
    message: str
    fix: str
    source: Place | None = None
    host: str = ""
    level: str = ERROR


@dataclass(frozen=True)
class Project:
    """The directory that paths are relative to, the inventory file of a project, and what was
    rendered of it below `out`, by the templates and with the scripts of `toolkit`."""

    root: Path
    inventory: str
    out: Path
    rendering: Rendering
    toolkit: Path = ROOT

    @property
    def hosts(self) -> Iterator["Subject"]:
        """The hosts that were rendered."""
        return (Subject(self, host) for host in self.rendering.hosts)


@dataclass(frozen=True)
class Subject:
    """One host of a project."""

    project: Project
    host: Rendered

    @cached_property
    def files(self) -> dict[str, Written]:
        """Its files by path on the Mac."""
        return {file.path: file for file in self.host.files}

    def place(self, file: Written | str, line: int = 1) -> Place:
        """A line of one of its files, in the rendering."""
        path = file if isinstance(file, str) else file.path
        return Place(f"{self.project.out}/{self.host.directory}{path}", line)

    def setting(self, path: str) -> Place | None:
        """Where one of its settings is written ("models.tiny.ctx_size")."""
        host = self.project.rendering.data.get(self.host.name)
        if host is None:
            return None
        return sources.of_setting(self.project.root, self.project.inventory, host, path)

    def finding(
        self,
        rule: str,
        file: Written | str,
        line: int,
        message: str,
        fix: str,
        *,
        setting: str = "",
    ) -> Finding:
        """A finding in a file of this host; its source is a setting, if named, else a template."""
        source = self.setting(setting) if setting else None
        if source is None and not isinstance(file, str):
            lines = [] if file.secret else file.content.decode(errors="replace").splitlines()
            text = lines[line - 1] if 0 < line <= len(lines) else ""
            source = sources.of_template(self.project.toolkit, file.path, text)
        return Finding(rule, self.place(file, line), message, fix, source, self.host.name)


def line_of(text: str, part: str, *, after: int = 1) -> int:
    """The first line that holds `part`, from line `after` on; 1 when none does."""
    for number, line in enumerate(text.splitlines(), start=1):
        if number >= after and part in line:
            return number
    return 1
