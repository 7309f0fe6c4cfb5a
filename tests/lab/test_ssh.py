"""sshd: what a client sees, what the Mac records; and pyinfra's own command line over it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import paramiko
import pytest

from lab.lab import Lab, Mac
from tests import preloaded

ROOT = Path(__file__).parents[2]
PYINFRA = Path(sys.executable).with_name("pyinfra")


@pytest.fixture
def client(lab: Lab, mac: Mac) -> Iterator[paramiko.SSHClient]:
    """pyinfra's SSH library, knowing this lab's host key and nothing of ~/.ssh."""
    client = paramiko.SSHClient()
    client.load_host_keys(str(lab.known_hosts))
    client.connect(
        "127.0.0.1",
        mac.ssh_port,
        "tester",
        key_filename=str(lab.directory / "client_key"),
        allow_agent=False,
        look_for_keys=False,
    )
    mac.clear_log()
    yield client
    client.close()


def run(client: paramiko.SSHClient, command: str, stdin: bytes = b"") -> tuple[int, str, str]:
    channel_in, out, err = client.exec_command(command)
    channel_in.write(stdin)
    channel_in.close()
    channel_in.channel.shutdown_write()
    return out.channel.recv_exit_status(), out.read().decode(), err.read().decode()


def test_streams_and_status(client: paramiko.SSHClient) -> None:
    assert run(client, "echo out; echo err >&2; exit 7") == (7, "out\n", "err\n")
    assert run(client, "cat", b"in\n") == (0, "in\n", "")
    assert run(client, "timeout 1 true")[0] == 127


def test_much_output_arrives_whole(client: paramiko.SSHClient) -> None:
    _, out, _ = client.exec_command("head -c 3000000 /dev/zero; exit 1")
    assert len(out.read()) == 3000000
    assert out.channel.recv_exit_status() == 1


def test_the_environment_is_a_macs(mac: Mac, client: paramiko.SSHClient) -> None:
    _, out, _ = client.exec_command("env", environment={"LANG": "de_DE.UTF-8", "FOO": "dropped"})
    seen = dict(line.split("=", 1) for line in out.read().decode().splitlines())

    assert seen["PATH"] == ":".join(
        f"{mac.root}/{d}" for d in ("usr/bin", "bin", "usr/sbin", "sbin")
    )
    assert seen["HOME"] == seen["PWD"] == str(mac.home)
    assert seen["USER"] == seen["LOGNAME"] == "tester"
    assert seen["SHELL"] == "/bin/zsh"
    assert oct(os.stat(seen["TMPDIR"]).st_mode)[-4:] == "0700"
    assert seen["SSH_CONNECTION"].split()[3] == str(mac.ssh_port)
    assert seen["LANG"] == "de_DE.UTF-8"
    assert not {"FOO", "VIRTUAL_ENV", "PYTHONPATH", "SSH_AUTH_SOCK"} & seen.keys()


@pytest.mark.parametrize("kind", ["xterm", ""])
def test_a_terminal_that_is_asked_for_is_there(client: paramiko.SSHClient, kind: str) -> None:
    """Also for a client without TERM, as in cron; then there is none in it (sshd, session.c)."""
    transport = client.get_transport()
    assert transport is not None
    channel = transport.open_session()
    channel.get_pty(term=kind)
    channel.exec_command("test -t 0 && echo ${TERM-unset}")

    assert channel.makefile("rb").read() == (kind or "unset").encode() + b"\r\n"


def test_a_path_given_in_a_command_stays_inside_the_mac(
    mac: Mac, client: paramiko.SSHClient
) -> None:
    command = f"sh -c 'export PATH={mac.prefix}/bin:/usr/bin:/bin && command -v stat'"
    assert run(client, command)[1] == f"{mac.root}/usr/bin/stat\n"


def test_zshenv_is_read(mac: Mac, client: paramiko.SSHClient) -> None:
    (mac.home / ".zshenv").write_text("export FROM_ZSHENV=yes\n")
    assert run(client, "sh -c 'echo $FROM_ZSHENV'")[1] == "yes\n"
    (mac.home / ".zshenv").unlink()


def test_a_lost_client_leaves_the_child_running(
    mac: Mac, client: paramiko.SSHClient, until: Callable[..., Any]
) -> None:
    """Only its streams end: reading gives the end of file, writing kills."""
    client.exec_command(
        "sleep 1000 & echo $! > pid; cat; echo end >> stdin; kill $!; echo x; echo x"
    )
    pid = int(until(lambda: (mac.home / "pid").exists() and (mac.home / "pid").read_text().strip()))
    client.close()
    until((mac.home / "stdin").exists)

    until(lambda: mac.processes() == [])
    assert pid not in mac.processes()


def test_a_background_child_holding_the_pipes_holds_the_session(
    client: paramiko.SSHClient,
) -> None:
    """As with OpenSSH: the session ends with the last writer, not with the shell."""
    start = time.monotonic()
    assert run(client, "(sleep 0.5; echo late) & echo early")[1] == "early\nlate\n"
    assert time.monotonic() - start >= 0.5


def test_everything_remote_is_recorded(mac: Mac, client: paramiko.SSHClient) -> None:
    run(client, "true")
    sftp = client.open_sftp()
    sftp.put(__file__, "copy.py")
    sftp.get("copy.py", str(mac.root / "back.py"))

    assert mac.log == [("exec", "true"), ("sftp", str(mac.home / "copy.py"))]
    assert (mac.root / "back.py").read_bytes() == Path(__file__).read_bytes()
    mac.clear_log()
    assert mac.log == []


def test_a_strangers_key_is_refused(lab: Lab, mac: Mac) -> None:
    client = paramiko.SSHClient()
    client.load_host_keys(str(lab.known_hosts))
    with pytest.raises(paramiko.SSHException):
        client.connect(
            "127.0.0.1",
            mac.ssh_port,
            "tester",
            pkey=paramiko.Ed25519Key.from_private_key_file(str(lab.directory / "host_key")),
            allow_agent=False,
            look_for_keys=False,
        )


def test_commands_are_answered_at_once(client: paramiko.SSHClient) -> None:
    """Without TCP_NODELAY on our side each would take 40 ms longer."""
    transport = client.get_transport()
    assert transport
    # paramiko leaves Nagle's algorithm on
    cast(socket.socket, transport.sock).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    times = []
    for _ in range(20):
        start = time.monotonic()
        run(client, "true")
        times.append(time.monotonic() - start)

    assert min(times) < 0.03  # of none it would be, and a busy machine takes as long for some


def test_a_reboot_drops_connections(mac: Mac, client: paramiko.SSHClient) -> None:
    _, out, _ = client.exec_command("echo up; sleep 1000")
    assert out.readline() == "up\n"
    mac.reboot()

    assert out.read() == b""
    assert mac.processes() == []


def pyinfra(lab: Lab, folder: Path, *arguments: str) -> str:
    words = [str(PYINFRA), str(lab.inventory), *arguments]
    result = preloaded.run(words, cwd=folder, env=os.environ | {"HOME": str(folder)}, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


@pytest.mark.skipif(not shutil.which(PYINFRA), reason="pyinfra's command line is not installed")
def test_pyinfra_itself(lab: Lab, mac: Mac, tmp_path: Path) -> None:
    """Its command, its File fact by BSD's stat, its upload; no word about host keys or ~/.ssh."""
    told = pyinfra(lab, tmp_path, "exec", "--", "echo hi; sw_vers -productVersion")
    assert "[mac1] 26.1" in told
    assert "[mac2] hi" in told
    assert "known_hosts" not in told

    (tmp_path / "file.txt").write_text("content\n")
    path = mac.home / "new/file.txt"
    pyinfra(lab, tmp_path, "-y", "--limit", "mac1", "files.put", "src=file.txt", f"dest={path}",
            "mode=600", "user=tester", "group=staff")  # fmt: skip
    assert path.read_text() == "content\n"
    assert ("sftp", str(path)) in mac.log
    told = pyinfra(lab, tmp_path, "--limit", "mac1", "fact", "files.File", f"path={path}")
    assert '"user": "tester"' in told
    assert '"group": "staff"' in told
    assert '"mode": 600' in told
    assert not (tmp_path / ".ssh").exists()


def reached(lab: Lab, folder: Path, known: Path, checking: str | None) -> tuple[bool, str]:
    """Whether pyinfra connects with this file of known hosts, and what it says."""
    options = ["--data", f"ssh_known_hosts_file={known}"]
    if checking is None:
        # pyinfra's own default, where an inventory says nothing.
        inventory = folder / "inventory.py"
        text = lab.inventory.read_text()
        assert "ssh_strict_host_key_checking" in text
        inventory.write_text(text.replace("ssh_strict_host_key_checking", "said_nothing"))
    else:
        inventory = lab.inventory
        options += ["--data", f"ssh_strict_host_key_checking={checking}"]
    words = [str(PYINFRA), str(inventory), *options, "--limit", "mac1", "exec", "--", "echo hi"]
    result = preloaded.run(words, cwd=folder, env=os.environ | {"HOME": str(folder)}, timeout=120)
    return result.returncode == 0, result.stdout + result.stderr


def test_an_unknown_host_key_is_taken_unless_that_is_refused(
    lab: Lab, mac: Mac, tmp_path: Path
) -> None:
    """As docs/security.md says of pyinfra's default, and of the setting that refuses it."""
    known = tmp_path / "known"
    known.touch()
    refused, words = reached(lab, tmp_path, known, "yes")
    assert not refused
    assert "No host key for [127.0.0.1]:" in words
    assert known.read_text() == ""

    taken, words = reached(lab, tmp_path, known, None)
    assert taken, words
    assert "accepting & adding to host keys file" in words
    assert known.read_text().startswith("[127.0.0.1]:")

    again, words = reached(lab, tmp_path, known, "yes")
    assert again, words


@pytest.mark.parametrize("checking", ["yes", None])
def test_a_host_key_that_changed_is_refused_in_words(
    lab: Lab, mac: Mac, tmp_path: Path, checking: str | None
) -> None:
    other = paramiko.Ed25519Key.from_private_key_file(str(lab.directory / "client_key"))
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{mac.ssh_port} {other.get_name()} {other.get_base64()}\n")
    before = known.read_text()
    connected, words = reached(lab, tmp_path, known, checking)

    assert not connected
    assert "Traceback" not in words
    assert "host key" in words.lower()
    assert known.read_text() == before


READ = r"""
import pyinfra_cli
import sys
import paramiko
from herd.connections.connected import reading
known, port, key = sys.argv[1:]
client = paramiko.SSHClient()
client.load_host_keys(known)
client.connect("127.0.0.1", int(port), "tester", key_filename=key, allow_agent=False,
               look_for_keys=False)
command = r"printf 'a\377b\nrest\n'; printf 'x\200\n' >&2; head -c 1500000 /dev/zero"
_, out, err = reading(client.exec_command)(command)
lines = list(out)
print([lines[:2], [len(line) for line in lines[2:]], list(err), out.channel.recv_exit_status()])
"""


def test_bytes_that_are_no_text_do_not_end_the_reading(lab: Lab, mac: Mac) -> None:
    words = [
        str(lab.known_hosts),
        str(mac.ssh_port),
        str(lab.directory / "client_key"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", READ, *words], capture_output=True, text=True, cwd=ROOT
    )

    assert done.stderr == ""
    told = [["a\\xffb\n", "rest\n"], [1 << 20, 1500000 - (1 << 20)], ["x\\x80\n"], 0]
    assert done.stdout == f"{told}\n"
