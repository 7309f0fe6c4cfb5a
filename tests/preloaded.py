"""Runs Python programs as `subprocess` does, but forked from a process with all libraries.

Two thirds of what a short run of pyinfra, of a verb or of the fetcher takes is importing: pyinfra,
paramiko and pydantic, aiohttp and asyncssh, and here our own code, none of which changes while
tests run. A forked child's arguments, environment, streams and end are its own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

# What runs import, with gevent's patches first, as in pyinfra and in each verb. Not what asks the
# environment as soon as it is imported.
LIBRARIES = (
    *("pyinfra_cli", "pyinfra_cli.cli", "pyinfra_cli.main", "pyinfra.facts.files"),
    *("jinja2", "paramiko", "yaml", "xml.parsers.expat", "plistlib", "tarfile", "tomllib"),
    *("pydantic.fields", "pydantic.functional_validators", "pydantic.main", "pydantic.root_model"),
    *("pydantic.type_adapter", "pydantic._internal._generate_schema", "cryptography.x509"),
)
# Where that is in our own directory; in a copy it is the copy's, which tests change.
PROJECT = Path(__file__).parents[1]
OURS = (
    *("herd.__main__", "herd.connections.hooks"),
    *(f"herd.deploys.{path.stem}" for path in PROJECT.glob("herd/deploys/[!_]*.py")),
)
ASKING = "huggingface_hub"
# Those that go on, with asyncio, which gevent's patches are not for.
PROGRAMS = ("fetcher", "proxy", "lab", "lab.llama_swap", "lab.daemon")
MAINS = (*(f"{name}.__main__" for name in PROGRAMS[:-1]), "lab.daemon")
SERVING = ("proxy.serve_command", "lab.llama_swap.service")

_hosts: dict[str, tuple[subprocess.Popen[bytes], socket.socket]] = {}
_TOLD = list(inspect.signature(subprocess.Popen._execute_child).parameters)[1:]  # type: ignore[attr-defined]


class Popen(subprocess.Popen[Any]):
    """`[python, "-m", MODULE, ...]` or `[SCRIPT, ...]`. It is nobody's child whom we could wait for
    by its number, so who forked it tells of its end; in a session of its own, as we start it."""

    def _execute_child(self, *values: Any) -> None:
        given = dict(zip(_TOLD, values, strict=True))
        pipes = {name: given[name] for name in ("p2cread", "c2pwrite", "errwrite")}
        words = list(map(str, given["args"]))
        cwd = str(given["cwd"] or os.getcwd())
        environment = dict(os.environ if given["env"] is None else given["env"])
        self._answer, theirs = socket.socketpair()
        with tempfile.TemporaryFile("w+") as task, theirs:
            json.dump({"words": words, "cwd": cwd, "env": environment}, task)
            task.flush()
            streams = [own if own != -1 else at for at, own in enumerate(pipes.values())]
            fds = [task.fileno(), theirs.fileno(), *streams, *given["pass_fds"]]
            socket.send_fds(_hosting(words, cwd), [b"."], fds)
        if not (started := self._answer.recv(8)):
            raise RuntimeError("who runs our programs has died")
        self.pid = int.from_bytes(started, "big")
        self._child_created = True
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[name] for name in ends))  # type: ignore[attr-defined]

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(False):  # type: ignore[attr-defined]
            try:
                if self.returncode is None and self._try_wait(os.WNOHANG)[0]:
                    self._handle_exitstatus(self._ended)  # type: ignore[attr-defined]
            finally:
                self._waitpid_lock.release()  # type: ignore[attr-defined]
        return self.returncode

    def _try_wait(self, flags: int) -> tuple[int, int]:
        try:
            ended = self._answer.recv(8, socket.MSG_DONTWAIT if flags & os.WNOHANG else 0)
        except BlockingIOError:
            return 0, 0
        if not ended:
            raise RuntimeError("who runs our programs has died")
        self._ended = int.from_bytes(ended, "big")
        self._answer.close()
        return self.pid, self._ended


if sys.platform == "darwin":  # whose libraries do not bear a fork
    Popen = subprocess.Popen  # type: ignore[misc]


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    stdin: IO[Any] | int = subprocess.DEVNULL,
) -> subprocess.CompletedProcess[str]:
    """One to its end, by default with nothing on its stdin."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        words = list(map(str, command))
        if sys.platform == "darwin" and words[0] != sys.executable:
            words.insert(0, sys.executable)
        process = Popen(words, cwd=cwd, env=env, stdin=stdin, stdout=out, stderr=err)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, process.returncode, out.read(), err.read())


def _hosting(words: Sequence[str], cwd: str) -> socket.socket:
    """The process that forks; it ends with us, as our end of its socket does."""
    kind = "ours" if str(PROJECT) in (cwd, os.path.dirname(words[0])) else ""
    if words[1:2] == ["-m"] and words[2] in PROGRAMS:
        kind = "programs"
    if kind not in _hosts or _hosts[kind][0].poll() is not None:
        ours, theirs = socket.socketpair()
        with theirs:
            code = f"import runpy; runpy.run_path({__file__!r})['host']()"
            process = subprocess.Popen(
                # Whoever looks for one of them in the list of processes finds its name.
                [sys.executable, "-c", code, *(PROGRAMS if kind == "programs" else ())],
                cwd="/",
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PRELOADED": str(theirs.fileno()), "KIND": kind},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # as no terminal, so that a child's is none
                start_new_session=True,
            )
        _hosts[kind] = process, ours
    return _hosts[kind][1]


def host() -> None:
    """Import, and fork a child for each task until there is nobody to give one."""
    # Before gevent has its own.
    fork, wait, heed = os.fork, os.waitpid, signal.signal
    with socket.socket(fileno=int(os.environ["PRELOADED"])) as asked:
        asked.setblocking(True)  # gevent's, of whoever started this, are not
        _import(os.environ["KIND"])
        heed(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            message, fds, _, _ = socket.recv_fds(asked, 1, 64)
            if not message:
                return
            if fork():
                for fd in fds:
                    os.close(fd)
                continue
            break
    heed(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    task, answer, *streams = fds[:5]
    if pid := fork():
        for fd in (*streams, *fds[5:]):
            os.close(fd)
        os.write(answer, pid.to_bytes(8, "big"))
        status = wait(pid, 0)[1]
        with contextlib.suppress(BrokenPipeError):  # who asked has not waited
            os.write(answer, status.to_bytes(8, "big"))
        os._exit(0)
    os.close(answer)
    os.setpgid(0, 0)
    for at, stream in enumerate(streams):
        os.dup2(stream, at)
        os.close(stream)
    with open(task) as file:
        file.seek(0)
        given = json.load(file)
    # Those that Python opened were of another file, which could be read from its beginning.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    _become(**given)


def _import(kind: str) -> None:
    ours = {"programs": (*MAINS, *SERVING), "ours": OURS, "": ()}[kind]
    sys.path.insert(0, str(PROJECT) if kind else "")
    gc.disable()
    for name in (*(() if kind == "programs" else LIBRARIES), *ours):
        importlib.import_module(name)
    gc.freeze()  # nor need any child look at it again
    gc.enable()
    del sys.path[0]
    for name in ("herd.__main__", *MAINS):
        sys.modules.pop(name, None)  # which each child is itself
    assert ASKING not in sys.modules


def _become(words: list[str], cwd: str, env: dict[str, str]) -> None:
    import runpy

    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    if words[1:2] == ["-m"]:
        sys.path[0] = cwd
        sys.argv = words[2:]
        runpy.run_module(words[2], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(words[0]).parent)
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
