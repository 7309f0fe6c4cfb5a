"""sshd of one Mac: key login, commands in the user's home, SFTP; every action is recorded.

With `ssh -t` a command has a terminal; tunnels lead to loopback only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import asyncssh

from lab.launchd.definition import system_path
from lab.mac import Machine
from lab.terminal import LAUNCHER

CHUNK = 65536

# A PATH set inside a command names macOS's folders, which here must be this Mac's.
PATH_ASSIGNMENT = re.compile(r"""(?<=\bPATH=)(["']?)([^\s"';&|]+)""")


class Sshd:
    """Accepts connections until closed; `disconnect` is what a reboot does to them, `darken` what
    the loss of power or network does: nothing comes back any more, and nobody says so."""

    def __init__(self, machine: Machine, port: int) -> None:
        self.machine = machine
        self.port = port
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._dark = False

    async def start(self, host_key: Path, authorized_keys: Path) -> None:
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=lambda: _Server(self),
            server_host_keys=[str(host_key)],
            authorized_client_keys=str(authorized_keys),
            process_factory=self._process,
            sftp_factory=lambda channel: _Sftp(channel, self.machine),
            allow_scp=True,
            encoding=None,
            line_editor=False,
            reuse_address=True,
        )

    def disconnect(self) -> None:
        for connection in list(self.connections):
            connection.abort()

    def darken(self) -> None:
        self._dark = True
        for connection in self.connections:
            self.admit(connection)

    def admit(self, connection: asyncssh.SSHServerConnection) -> None:
        """A new connection; of a dark Mac it is one that nobody serves."""
        self.connections.add(connection)
        if self._dark:
            transport: Any = connection._transport  # asyncssh offers no other way
            transport.pause_reading()
            transport.write = lambda data: None

    async def stop(self) -> None:
        if self._acceptor:
            self._acceptor.close()
        self.disconnect()

    # -- commands

    async def _process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command
        if command is not None:
            self.machine.record("exec", command)
        if process.term_type is not None:  # empty where the client has no TERM, as in cron
            await self._on_terminal(process)
            return
        child = await asyncio.create_subprocess_exec(
            *self._argv(command),
            cwd=self.machine.home,
            env=self._environment(process),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        await _attend(process, child)

    async def _on_terminal(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """A pseudo-terminal of its own, which hangs up when the client is gone."""
        master, slave = pty.openpty()
        kind = process.term_type
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", LAUNCHER, *self._argv(process.command)),
            cwd=self.machine.home,
            env=self._environment(process) | ({"TERM": kind} if kind else {}),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        screen = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(screen), os.fdopen(master, "rb", buffering=0)
        )
        typing = asyncio.create_task(_type(process.stdin, master))
        output = asyncio.create_task(_pump(screen, process.stdout))
        lost = asyncio.create_task(process.channel.wait_closed())
        await asyncio.wait((output, lost), return_when=asyncio.FIRST_COMPLETED)
        for task in (typing, output):
            task.cancel()
        await asyncio.gather(typing, output, return_exceptions=True)
        transport.close()
        status = await child.wait()
        lost.cancel()
        with contextlib.suppress(OSError, asyncssh.Error):
            process.exit(status if status >= 0 else 128 - status)

    def _argv(self, command: str | None) -> list[str]:
        """`SHELL -c COMMAND`, after ~/.ssh/rc (sshd(8)). zsh reads ~/.zshenv then, and nothing
        else that a stock Mac has (zsh(1)); bash reads ~/.bashrc, as sshd started it (bash(1)).
        Any other is this workstation's own of that name, and reads what it reads."""
        shell = str(self.machine.root / "bin/sh")
        if command is None:
            return [shell]
        translated = PATH_ASSIGNMENT.sub(self._own_path, self.machine.inside(command))
        name = Path(self.machine.facts["shell"]).name
        file = {"bash": ".bashrc", "zsh": ".zshenv"}.get(name)
        if file is None:
            return [shutil.which(name) or shell, "-c", translated]
        if (self.machine.home / file).is_file():
            translated = f'. "$HOME/{file}"\n{translated}'
        if (self.machine.home / ".ssh/rc").is_file():
            translated = f'/bin/sh "$HOME/.ssh/rc"\n{translated}'
        return [shell, "-c", translated]

    def _own_path(self, assigned: re.Match[str]) -> str:
        """With this Mac's folders, which may have a space where macOS's have none."""
        path = assigned[1] + system_path(assigned[2], self.machine)
        return path if assigned[1] else path.replace(" ", "\\ ")

    def _environment(self, process: asyncssh.SSHServerProcess[bytes]) -> dict[str, str]:
        peer = process.get_extra_info("peername")
        here = process.get_extra_info("sockname")
        # Apple's sshd_config: AcceptEnv LANG LC_*
        accepted = {
            name: value
            for name, value in process.env.items()
            if name == "LANG" or name.startswith("LC_")
        }
        return self.machine.environment() | {
            **accepted,
            "SSH_CLIENT": f"{peer[0]} {peer[1]} {here[1]}",
            "SSH_CONNECTION": f"{peer[0]} {peer[1]} {here[0]} {here[1]}",
        }


async def _attend(
    process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process
) -> None:
    """Carry the three streams until the child is done or the client is gone.

    As with OpenSSH, the exit status follows the last byte of output, and a lost client does not
    kill the child: its stdin ends, and writing gives it EPIPE.
    """
    assert child.stdin
    assert child.stdout
    assert child.stderr
    feeding = asyncio.create_task(_feed(process.stdin, child.stdin))
    output = asyncio.gather(
        _pump(child.stdout, process.stdout),
        _pump(child.stderr, process.stderr),
    )
    lost = asyncio.create_task(process.channel.wait_closed())
    await asyncio.wait((output, lost), return_when=asyncio.FIRST_COMPLETED)
    if not output.done():
        output.cancel()
        _close_pipes(child)
    with contextlib.suppress(asyncio.CancelledError):
        await output
    status = await child.wait()
    for task in (feeding, lost):
        task.cancel()
    with contextlib.suppress(OSError, asyncssh.Error):
        if status < 0:
            process.exit_with_signal(_signal_name(-status))
        else:
            process.exit(status)


async def _feed(source: asyncssh.SSHReader[bytes], sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
    except (OSError, asyncssh.Error):  # the child closed its stdin, or the client is gone
        pass
    finally:
        with contextlib.suppress(OSError):
            sink.close()


async def _type(source: asyncssh.SSHReader[bytes], terminal: int) -> None:
    while True:
        try:
            data = await source.read(CHUNK)
        except asyncssh.TerminalSizeChanged:
            continue
        except (OSError, asyncssh.Error):  # the client is gone
            return
        if not data:
            return
        with contextlib.suppress(OSError):
            os.write(terminal, data)


async def _pump(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    while data := await _read(source):
        try:
            sink.write(data)
            await sink.drain()
        except (OSError, asyncssh.Error):  # the client is gone; _attend notices too
            return


async def _read(source: asyncio.StreamReader) -> bytes:
    try:
        return await source.read(CHUNK)
    except OSError:  # EIO: the last process has left the terminal
        return b""


def _close_pipes(child: asyncio.subprocess.Process) -> None:
    transport = child._transport  # type: ignore[attr-defined]  # asyncio offers no other way
    for descriptor in (0, 1, 2):
        pipe = transport.get_pipe_transport(descriptor)
        if pipe:
            pipe.close()


def _signal_name(number: int) -> str:
    return signal.Signals(number).name.removeprefix("SIG")


class _Server(asyncssh.SSHServer):
    def __init__(self, sshd: Sshd) -> None:
        self._sshd = sshd
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._sshd.admit(conn)
        # Nagle's algorithm would add 40 ms to every command.
        peer = conn.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        """Whether a client's tunnel may lead there."""
        return dest_host in ("127.0.0.1", "localhost", "::1")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection:
            self._sshd.connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return False  # only the keys of authorized_client_keys

    def public_key_auth_supported(self) -> bool:
        return True


class _Sftp(asyncssh.SFTPServer):
    """Absolute paths are the workstation's; relative ones start at the user's home."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], machine: Machine) -> None:
        super().__init__(channel)
        self._machine = machine

    def map_path(self, path: bytes) -> bytes:
        return os.path.join(os.fsencode(self._machine.home), path)

    def open(
        self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs
    ) -> object | asyncio.Future[object]:
        if pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_APPEND):
            self._machine.record("sftp", os.fsdecode(self.map_path(path)))
        return super().open(path, pflags, attrs)
