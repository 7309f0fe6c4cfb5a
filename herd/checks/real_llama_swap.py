"""A real llama-swap, where one is named or on PATH, is asked whether it takes each config.yaml."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from herd.checks.project import Finding, Project, Subject
from herd.core import scripts
from herd.core.files.written_files import Written

RULES = {"llama-swap": "A real llama-swap starts with config.yaml"}
NAMED = "HERD_LLAMA_SWAP"


def check(project: Project) -> Iterator[Finding]:
    """By the script that a deploy uses on the Mac; each distinct text once, nothing preloaded."""
    program = os.environ.get(NAMED) or shutil.which("llama-swap")
    if not program:
        return
    texts: dict[str, tuple[Subject, Written]] = {}
    for subject in project.hosts:
        if file := subject.files.get(subject.host.layout.config):
            text = re.sub(r"^(\s+preload:).*$", r"\1 []", file.text, flags=re.MULTILINE)
            texts.setdefault(text, (subject, file))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        paths = [Path(folder, f"{number}.yaml") for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        answers = pool.map(lambda path: _refusal(program, path), paths)
        for (subject, file), words in zip(texts.values(), answers, strict=True):
            if words:
                line = re.search(r"line (\d+)", words)
                message = f"llama-swap does not take it: {words}"
                fix = "mend templates/config.yaml.j2, or the setting that it is about."
                number = int(line[1]) if line else 1
                yield subject.finding("llama-swap", file, number, message, fix)


def _refusal(program: str, path: Path) -> str:
    """What llama-swap says against a configuration, "" when it serves."""
    command = ["sh", "-c", scripts.text("accept-config"), "accept-config", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    said = [line for line in done.stderr.splitlines() if "ERROR" in line or "error" in line]
    return (
        (said or done.stderr.splitlines() or ["it gives no reason"])[-1] if done.returncode else ""
    )
