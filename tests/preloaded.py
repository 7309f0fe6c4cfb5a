"""Runs Python programs as `subprocess.run` does, but forked from a process with all libraries.

Two thirds of what a short run of pyinfra or of a verb takes is importing: pyinfra, paramiko and
pydantic, and here our own code, none of which changes while tests run. A forked child's arguments,
environment, streams and end are its own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# What runs import, with gevent's patches first, as in pyinfra and in each verb. Not what asks the
# environment as soon as it is imported.
LIBRARIES = (
    *("pyinfra_cli", "pyinfra_cli.cli", "pyinfra_cli.main", "pyinfra.facts.files"),
    *("jinja2", "paramiko", "yaml", "xml.parsers.expat", "plistlib", "tarfile", "tomllib"),
    *("pydantic.fields", "pydantic.functional_validators", "pydantic.main", "pydantic.root_model"),
    *("pydantic.type_adapter", "pydantic._internal._generate_schema", "cryptography.x509"),
)
# In our own directory. In a copy it is the copy's, which tests change.
PROJECT = Path(__file__).parents[1]
OURS = ("herd.__main__", "herd.connections.hooks", "herd.deploys.desired", "herd.deploys.services")
ASKING = "huggingface_hub"

_hosts: dict[str, tuple[subprocess.Popen[bytes], socket.socket]] = {}


def run(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run `[python, "-m", MODULE, ...]` or `[SCRIPT, ...]`; nothing on its stdin."""
    if sys.platform == "darwin":  # whose libraries do not bear a fork
        return subprocess.run(
            command,
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
        )
    ours, theirs = socket.socketpair()
    with (
        tempfile.TemporaryFile("w+") as task,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        ours,
        theirs,
    ):
        words = list(map(str, command))
        json.dump({"words": words, "cwd": str(cwd), "env": dict(env)}, task)
        task.flush()
        fds = [file.fileno() for file in (task, out, err, theirs)]
        socket.send_fds(_hosting(str(cwd) if cwd == PROJECT else ""), [b"."], fds)
        theirs.close()
        if not (started := ours.recv(8)):
            raise RuntimeError("who runs our programs has died")
        pid = int.from_bytes(started, "big")
        ours.settimeout(timeout)
        try:
            ended = ours.recv(8)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(words, timeout) from None
        code = int.from_bytes(ended, "big", signed=True)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, code, out.read(), err.read())


def _hosting(checkout: str) -> socket.socket:
    """The process that forks; it ends with us, as our end of its socket does."""
    if checkout not in _hosts or _hosts[checkout][0].poll() is not None:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", f"import runpy; runpy.run_path({__file__!r})['host']()"],
                cwd="/",
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PRELOADED": str(theirs.fileno()), "CHECKOUT": checkout},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # as no terminal, so that a child's is none
                start_new_session=True,
            )
        _hosts[checkout] = process, ours
    return _hosts[checkout][1]


def host() -> None:
    """Import, and fork a child for each task until there is nobody to give one."""
    # Before gevent has its own.
    fork, wait, heed = os.fork, os.waitpid, signal.signal
    with socket.socket(fileno=int(os.environ["PRELOADED"])) as asked:
        asked.setblocking(True)  # gevent's, of whoever started this, are not
        _import(os.environ["CHECKOUT"])
        heed(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            message, fds, _, _ = socket.recv_fds(asked, 1, 4)
            if not message:
                return
            if fork():
                for fd in fds:
                    os.close(fd)
                continue
            break
    heed(signal.SIGCHLD, signal.SIG_DFL)
    task, out, err, answer = fds
    if pid := fork():
        os.write(answer, pid.to_bytes(8, "big"))
        code = os.waitstatus_to_exitcode(wait(pid, 0)[1])
        with contextlib.suppress(BrokenPipeError):  # who asked has not waited
            os.write(answer, code.to_bytes(8, "big", signed=True))
        os._exit(0)
    os.close(answer)
    os.dup2(out, 1)
    os.dup2(err, 2)
    with open(task) as file:
        file.seek(0)
        given = json.load(file)
    os.close(out)
    os.close(err)
    _become(**given)


def _import(checkout: str) -> None:
    sys.path.insert(0, checkout)
    gc.disable()
    for name in (*LIBRARIES, *(OURS if checkout else ())):
        importlib.import_module(name)
    gc.freeze()  # nor need any child look at it again
    gc.enable()
    sys.path.remove(checkout)
    sys.modules.pop("herd.__main__", None)  # which each child is itself
    assert ASKING not in sys.modules


def _become(words: list[str], cwd: str, env: dict[str, str]) -> None:
    import runpy

    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    if words[1] == "-m":
        sys.path[0] = cwd
        sys.argv = words[2:]
        runpy.run_module(words[2], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(words[0]).parent)
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
