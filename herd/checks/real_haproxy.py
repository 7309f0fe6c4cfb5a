"""A real HAProxy, where one is named or on PATH, is asked whether it takes each haproxy.cfg."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from herd.checks.project import Finding, Project

RULES = {"haproxy": "A real HAProxy takes haproxy.cfg"}
NAMED = "HERD_HAPROXY"


def check(project: Project) -> Iterator[Finding]:
    """Without the gateway's key, which is made on its host, and with no authority of yours."""
    program = os.environ.get(NAMED) or shutil.which("haproxy")
    for subject in project.hosts if program else ():
        file = subject.files.get(subject.host.layout.of_gateway("haproxy.cfg"))
        if program and file and (words := _refusal(program, file.text)):
            line = re.search(r"haproxy\.cfg:(\d+)\]", words)
            number = int(line[1]) if line else 1
            message = f"HAProxy does not take it: {words}"
            fix = "mend templates/haproxy.cfg.j2, or the setting that it is about."
            yield subject.finding("haproxy", file, number, message, fix)


def _refusal(program: str, text: str) -> str:
    """What HAProxy says against a configuration, "" when it takes it."""
    # What the rendering has not, as it is a secret or of the workstation.
    text = text.replace("ca-file 'gateway/authorities.pem'", "ca-file '@system-ca'")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "gateway")
        place.mkdir()
        (place / "gateway.key").write_text("0" * 64)
        (place / "haproxy.cfg").write_text(text, encoding="utf-8")
        command = [program, "-c", "-f", "gateway/haproxy.cfg"]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
        )
    said = [line for line in done.stderr.splitlines() if "[ALERT]" in line]
    return (
        (said or done.stderr.splitlines() or ["it gives no reason"])[0] if done.returncode else ""
    )
