"""A small project with two Macs: what a person's directory holds, and nothing is wrong in it."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from herd.core.mac import facts_lock
from herd.core.mac.facts_lock import Facts, LlamaServer, Mac
from herd.core.mac.llama_server_flags import Flags
from herd.core.models import models_lock
from herd.core.models.models_lock import File, Lock, Locked
from herd.core.text.units import GIB
from lab.llama_server.__main__ import HELP
from tests import preloaded
from tests.core.models.test_gguf import GPT_OSS_120B
from tests.core.samples import ROOT

# SHA-256 of nobody's key.
HASH = "3c9d6f1a0b7e4852d1c6f0a9e8b7d6c5f4e3a2b1908172635445362718fa0b1c"
OTHER = "a7e4852d1c6f0a9e8b7d6c5f4e3a2b1908172635445362718fa0b1c3c9d6f1a0"

INVENTORY = """\
macs = [
    ("mac1", {"ssh_user": "anna"}),
    (
        "mac2",
        {
            "ssh_user": "ben",
            "proxy_port": 3100,
            "models": {"tiny": {"ctx_size": 4096, "aliases": ["small"]}},
        },
    ),
]
"""
SETTINGS = f'''\
models = {{
    "big": {{"repo": "me/big-GGUF", "preload": True, "extra_args": ["--metrics"]}},
    "tiny": {{"repo": "me/tiny-GGUF", "aliases": ["little"]}},
}}
api_keys = [
    {{"name": "anna", "sha256": "{HASH}"}},
]
llama_swap_groups = {{"both": {{"members": ["big", "tiny"], "swap": False}}}}
'''


def locked(name: str, *paths: str, size: int = GIB) -> Locked:
    """A model with these files."""
    return Locked(
        name=name,
        repo=f"me/{name}-GGUF",
        revision="main",
        include=["*.gguf"],
        commit="c0ffee" * 6 + "c0ff",
        first=paths[0],
        files=[File(path=p, size=size, sha256=f"{n:064x}") for n, p in enumerate(paths)],
        gguf=GPT_OSS_120B.dump(),
    )


def mac(user: str, **said: Any) -> Mac:
    """What a Mac with 64 GiB says."""
    values: dict[str, Any] = {
        "home": f"/Users/{user}",
        "uid": 501,
        "homebrew_prefix": "/opt/homebrew",
        "macos": [26, 1],
        "memory": 64 * GIB,
        "llama_server": LlamaServer.of(Flags.parse(HELP)).name,
        "formulae": {"llama.cpp": "0.9.0", "llama-swap": "250", "python@3.13": "3.13.1"},
    }
    return Mac(**{**values, **said})


CODE = ("herd", "proxy", "fetcher", "templates")


@cache
def _code() -> tempfile.TemporaryDirectory[str]:
    """Our code as it is, once in this process; `herd` as far as it is compiled."""
    made = tempfile.TemporaryDirectory(prefix="code-")
    for name in CODE:
        skip = None if name == "herd" else shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, Path(made.name, name), ignore=skip)
    return made


def _link(source: str, target: str) -> None:
    """Copying the code for each project would take longer than what is tested there. So it is one
    file, which nobody may write in its place."""
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def make(root: Path) -> None:
    """The project's files: our code as it is, settings and locks of its own."""
    for name in CODE:
        shutil.copytree(Path(_code().name, name), root / name, copy_function=_link)
    (root / "group_data").mkdir()
    text = (ROOT / "group_data/all.py").read_text()
    text = re.sub(r"^models = \{.*?^\}$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(api_keys|llama_swap_groups) = .*$", "", text, flags=re.MULTILINE)
    (root / "group_data/all.py").write_text(text + SETTINGS)
    for name in ("config.py", "deploy.py", ".gitignore"):
        shutil.copy(ROOT / name, root / name)
    (root / "inventory.py").write_text(INVENTORY)
    splits = [f"big-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]
    models = Lock(models=[locked("big", *splits), locked("tiny", "tiny.gguf")])
    (root / "models.lock").write_text(models_lock.dump(models))
    server = LlamaServer.of(Flags.parse(HELP))
    facts = Facts(
        hosts={"mac1": mac("anna"), "mac2": mac("ben")}, llama_servers={server.name: server}
    )
    (root / "facts.lock").write_text(facts_lock.dump(facts))


def copy(project: Path, target: Path) -> Path:
    """The same once more, for other faults."""
    for name in CODE:
        shutil.copytree(project / name, target / name, copy_function=_link)
    shutil.copytree(
        project,
        target,
        symlinks=True,
        ignore=lambda directory, _: CODE if Path(directory) == project else (),
        dirs_exist_ok=True,
    )
    return target


@dataclass(frozen=True)
class Checked:
    """What check-configs said: its exit code, its words, and SARIF's results as
    (rule, level, file, line)."""

    code: int
    said: str
    results: list[tuple[str, str, str, int]]

    @property
    def wrong(self) -> set[tuple[str, str, int]]:
        """What is an error."""
        return {(rule, file, line) for rule, level, file, line in self.results if level == "error"}


def herd(
    root: Path, verb: str, *words: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A verb in a project, by its own code, with no key and no Hub."""
    return preloaded.run(
        [sys.executable, "-m", "herd", verb, *words],
        cwd=root,
        env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HOME": str(root)} | environment,
        timeout=120,
    )


def check(root: Path, **environment: str) -> Checked:
    """`make check-configs`, where little but sh and git is installed."""
    tools = root / ".tools"
    for name in (
        "sh",
        "git",
        "curl",
        "mktemp",
        "grep",
        "cat",
        "rm",
        "sleep",
        "date",
        "head",
        "od",
        "tr",
    ):
        tools.mkdir(exist_ok=True)
        if (there := shutil.which(name)) and not (tools / name).is_symlink():
            (tools / name).symlink_to(there)
    environment = {"PATH": str(tools)} | environment
    done = herd(root, "check-configs", "--sarif", "build/found.sarif", **environment)
    file = root / "build/found.sarif"
    runs = json.loads(file.read_text())["runs"] if file.exists() else [{"results": []}]
    results = []
    for result in runs[0]["results"]:
        place = result["locations"][0]["physicalLocation"]
        uri, line = place["artifactLocation"]["uri"], place["region"]["startLine"]
        results.append((result["ruleId"], result["level"], uri, line))
    return Checked(done.returncode, done.stdout + done.stderr, results)


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    """A fault: other text in a file of a project."""

    def apply(root: Path) -> None:
        path = root / name
        text = path.read_text()
        assert old in text, f"{name} does not hold {old!r}"
        path.unlink()  # other projects have it, too
        path.write_text(text.replace(old, new, 1))

    return apply
