"""Answers for stand-ins that read nothing: `python -I -S answering.py LAB_DIRECTORY`.

Of a stand-in's time nine tenths are Python's start, and a deploy runs a hundred of them. So for
those of `ANSWERED` the script on a Mac is bash, which asks this process (lab.tools writes it, and
has it start Python where nobody answers). They get their directory, their arguments, what matters
of their environment, and a file on their stdin, but no pipe: what fails, for that or another
reason, gets no answer, and fails or not in a Python of its own.
"""

import contextlib
import hmac
import importlib
import io
import os
import secrets
import select
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from lab.commands import ANSWERED, ASKED_WITH, STATE
from lab.mac import Machine


def main(directory: str) -> None:
    """Print a line once asked can be, and answer until whoever started us closes our stdin."""
    for module in ANSWERED:
        importlib.import_module(f"lab.commands.{module}")
    token = secrets.token_hex(16)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        _publish(directory, f"{listener.getsockname()[1]}\n{token}\n")
        print(flush=True)
        while 0 not in select.select([listener.fileno(), 0], [], [])[0]:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
            connection, _ = listener.accept()
            connection.settimeout(5)
            with connection, contextlib.suppress(OSError, ValueError, KeyError):
                _attend(connection, token)


def _publish(directory: str, text: str) -> None:
    draft = f"{directory}/.{STATE}"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.replace(draft, f"{directory}/{STATE}")


def _attend(connection: socket.socket, token: str) -> None:
    """One question: the number of arguments, then all else, each with a zero byte after it."""
    asked = b""
    while not asked or asked.count(b"\0") < int(asked.partition(b"\0")[0]) + 7 + len(ASKED_WITH):
        if not (part := connection.recv(1 << 16)):
            return
        asked += part
    _, shown, pid, root, module, function, folder, *rest = map(os.fsdecode, asked.split(b"\0")[:-1])
    values, arguments = rest[: len(ASKED_WITH)], rest[len(ASKED_WITH) :]
    if not hmac.compare_digest(shown, token) or function not in ANSWERED[module].split():
        return
    waits = function == "launchctl"  # for a job that takes its time to end
    if waits and (arguments[:1] == ["asuser"] or os.fork()):
        return
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(
            (name, value) for name, value in zip(ASKED_WITH, values, strict=True) if value
        )
        time.tzset()
        sys.stdin = Stdin(pid)
        if answer := _run(root, module, function, arguments):
            connection.sendall(answer)
    finally:
        if waits:  # whatever became of it: a second one must not take what is the first one's
            os._exit(0)


class Stdin:
    """What the script has there, if that is a file: a pipe could wait for us."""

    def __init__(self, pid: str) -> None:
        self._path = f"/proc/{pid}/fd/0"  # which macOS has not

    @property
    def buffer(self) -> io.BufferedReader:
        if not os.path.isfile(self._path):
            raise RuntimeError("it reads from a pipe")
        return open(self._path, "rb")


def _run(root: str, module: str, function: str, arguments: list[str]) -> bytes:
    """Its output, its errors and its exit code, or nothing at all."""
    command = getattr(sys.modules[f"lab.commands.{module}"], function)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command(Machine(root), arguments)
    except (Exception, SystemExit):
        return b""
    texts = [os.fsencode(file.getvalue()) for file in (out, err)]
    return b"" if any(b"\0" in text for text in texts) else b"\0".join([*texts, b"%d\n" % code])


if __name__ == "__main__":
    main(sys.argv[1])
