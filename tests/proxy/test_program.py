"""The program as launchd runs it: command line, startup, log, signals, orderly end."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.keys.store import KeyStore
from tests import preloaded
from tests.proxy.support.proxy import KEY, ROOT, command, config_file, program


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return config_file(tmp_path, KEY)


def call(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return preloaded.run(command(*args), cwd=ROOT, env={**os.environ, **env}, timeout=20)


def port_of(startup: str) -> int:
    found = re.search(r"listening on \S+:(\d+),", startup)
    assert found, startup
    return int(found[1])


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """The next line of the log that has this in it."""
    assert process.stderr
    for line in process.stderr:
        if text in line:
            return line
    pytest.fail(f"ended without saying {text!r}")


@contextmanager
def upstream() -> Iterator[socket.socket]:
    """A listening socket, answered by the test itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


def url(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


AUTHORIZED = f"Authorization: Bearer {KEY}\r\n"


def send(port: int, target: str, head: str = AUTHORIZED, version: str = "1.1") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    connection.sendall(f"{target} HTTP/{version}\r\nHost: x\r\n{head}\r\n".encode("latin-1"))
    return connection


def receive_until(connection: socket.socket, text: bytes) -> bytes:
    got = b""
    while text not in got:
        data = connection.recv(65536)
        assert data, f"ended after {got!r}"
        got += data
    return got


def rest(connection: socket.socket) -> bytes:
    got = b""
    while data := connection.recv(65536):
        got += data
    return got


@pytest.mark.parametrize("args", [(), ("serve",), ("keys",), ("keys", "new"), ("usage",)])
def test_help_is_everywhere(args: tuple[str, ...]) -> None:
    """Each level explains itself."""
    done = call(*args, "--help")

    assert done.returncode == 0
    assert "usage: python -m proxy" in done.stdout


def test_defaults_are_those_of_the_original() -> None:
    """Port 3000 for all, llama-swap on 8080 of this machine."""
    text = " ".join(call("serve", "--help").stdout.split())

    for default in ("[::]:3000", "http://127.0.0.1:8080", "config.json", "3.0"):
        assert f"(default: {default})" in text


@pytest.mark.parametrize(
    "args",
    [
        ("--listen", "3000"),
        ("--listen", "x:70000"),
        ("--upstream", "localhost:8080"),
        ("--upstream", "http://x/path"),
        ("--upstream", "https://x"),
        ("--drain", "-1"),
        ("--drain", "soon"),
    ],
)
def test_wrong_argument_is_one_clear_message(args: tuple[str, ...]) -> None:
    """Exit code 2, as argparse has it."""
    done = call("serve", *args)

    assert done.returncode == 2
    assert f"argument {args[0]}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--tls-cert", "--tls-key"])
def test_half_of_a_certificate_is_one_clear_message(option: str) -> None:
    """Nobody who asked for TLS gets plain HTTP."""
    done = call("serve", option, "some.pem")

    assert done.returncode == 2
    assert done.stderr.endswith("error: --tls-cert and --tls-key go together\n")


def test_certificate_that_cannot_be_used_is_one_clear_line(config: Path, tmp_path: Path) -> None:
    """Exit code 1, as for keys."""
    done = call("serve", "--config", str(config), "--tls-cert", str(tmp_path / "cert.pem"),
                "--tls-key", str(tmp_path / "key.pem"))  # fmt: skip

    assert done.returncode == 1
    assert done.stderr == f"proxy: cannot start: {tmp_path / 'cert.pem'} does not exist\n"


def test_keys_new_prints_a_key_once_and_an_entry_that_has_its_hash(tmp_path: Path) -> None:
    """What it prints can be committed, and is another one each time."""
    options = ("--models", "gpt-*,qwen", "--rpm", "60", "--expires", "90d", "--scopes", "admin")
    one, other = (call("keys", "new", "anna", *options).stdout for _ in range(2))
    entry = json.loads(one[one.index("{") :])
    (key,) = re.findall(r"sk-herd-[\w-]{43}", one)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"apiKeys": [entry]}))
    found = KeyStore(config).current().find(key)

    assert found
    assert (found.name, found.models, found.limits.rpm) == ("anna", ("gpt-*", "qwen"), 60)
    assert found.expires
    assert 89 < (found.expires - time.time()) / 86400 < 91.1
    assert key not in other


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("an na",), "not a name: letters"),
        (("anna", "--rpm", "0"), 'key 1 (anna) has a "rpm" that is not'),
        (("anna", "--scopes", "root"), "some of inference, admin, metrics"),
        (("anna", "--expires", "soon"), "neither days as 90d nor a date"),
        (("anna", "--expires", "2001-01-01"), 'not after "created"'),
    ],
)
def test_keys_new_refuses_what_the_proxy_would_not_read(
    options: tuple[str, ...], says: str
) -> None:
    """Before a key is shown."""
    done = call("keys", "new", *options)

    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no API key"),
        ('{"apiKeys": []}', "there is no key"),
        ('{"apiKeys": ["a b", 1]}', "key 1 has whitespace in it; key 2 is neither a string"),
    ],
)
def test_start_without_usable_keys_is_refused(tmp_path: Path, text: str | None, says: str) -> None:
    """One line that says what is wrong, exit code 1."""
    config = tmp_path / "config.json"
    if text is not None:
        config.write_text(text)
    done = call("serve", "--config", str(config), "--listen", "127.0.0.1:0", API_KEYS="")

    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_port_in_use_is_one_clear_line(config: Path) -> None:
    """Two proxies, or something else on port 3000."""
    with upstream() as taken:
        port = taken.getsockname()[1]
        done = call("serve", "--config", str(config), "--listen", f"127.0.0.1:{port}")

    assert done.returncode == 1
    assert done.stderr == (
        f"proxy: cannot listen on 127.0.0.1 port {port}: {os.strerror(98)}\n"
        if os.uname().sysname == "Linux"
        else done.stderr
    )
    assert done.stderr.count("\n") == 1


def test_host_that_does_not_exist_is_one_clear_line(config: Path) -> None:
    """The numbers of name resolution are not those of the kernel."""
    done = call("serve", "--config", str(config), "--listen", "no-such-host.invalid:0")

    assert done.returncode == 1
    assert "cannot listen on no-such-host.invalid" in done.stderr
    assert done.stderr.count("\n") == 1


def test_startup_line_says_where_what_and_how_many(config: Path, tmp_path: Path) -> None:
    """And from where the keys are."""
    with program("--upstream", "http://127.0.0.1:9", config=config) as process:
        line = line_with(process, "listening on 127.0.0.1:")
        assert "upstream http://127.0.0.1:9, " in line
        assert f"1 key from {config}" in line
    environment = {"API_KEYS": "the-first-0123456789,the-second-0123456789"}
    with program(config=tmp_path / "none.json", env=environment) as process:
        assert "2 keys from API_KEYS" in line_with(process, "listening on")


def test_each_request_is_one_line_without_anything_secret(config: Path) -> None:
    """Id, client, key's number, method, path, status, time, bytes; no query, no key."""
    with upstream() as server, program("--upstream", url(server), config=config) as process:
        port = port_of(line_with(process, "listening"))
        with send(port, "GET /props?model=m&prompt=secret-query") as client:
            above, _ = server.accept()
            receive_until(above, b"\r\n\r\n")
            above.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 6\r\n\r\nanswer")
            got = receive_until(client, b"answer").decode()
        above.close()
        with send(port, "GET /v1/models", "Authorization: Bearer secret-wrong\r\n") as client:
            receive_until(client, b"}}")
        with send(port, "GET /malformed", "Authorization: Bearer secret\x01\r\n") as client:
            rest(client)
        with send(port, "GET /healthz", "") as client:
            receive_until(client, b"ok\n")
        process.send_signal(signal.SIGTERM)
        assert process.stderr
        lines = process.stderr.read().splitlines()

    request_id = re.search(r"X-Request-Id: (\w+)", got)
    assert request_id
    pattern = (
        rf"\S+Z INFO access id={request_id[1]} client=127.0.0.1 key=#1 method=GET "
        r"path=/props status=201 time=\d\.\d+ sent=6 model=m in=0 out=0"
    )
    assert re.fullmatch(pattern, lines[0])
    denied = r"key=- method=GET path=/v1/models status=401 time=\d\.\d+ sent=\d\d\d$"
    assert re.search(denied, lines[1])
    refused = r"INFO refused id=\w{14} client=127.0.0.1 status=400 note=bad_request$"
    assert re.search(refused, lines[2])
    assert re.search(r"key=- method=GET path=/healthz status=200 ", lines[3])
    assert len(lines) == 5, lines
    assert "secret" not in "\n".join(lines)
    assert KEY not in "\n".join(lines)


def test_client_that_left_is_a_line_too(config: Path) -> None:
    """499, as nginx writes it: nobody got an answer."""
    with upstream() as server, program("--upstream", url(server), config=config) as process:
        client = send(port_of(line_with(process, "listening")), "GET /props?model=slow")
        above, _ = server.accept()
        receive_until(above, b"\r\n\r\n")
        client.close()

        assert " status=499 " in line_with(process, "path=/props")
        assert above.recv(1) == b""
        above.close()


def test_hangup_signal_reads_the_keys_again(config: Path) -> None:
    """For whoever does not want to wait for the next request to see whether the file is good."""
    with program(config=config) as process:
        line_with(process, "listening")
        config_file(config.parent, "another-key-01234", "and-one-more-01234")
        process.send_signal(signal.SIGHUP)
        assert f"2 keys from {config}" in line_with(process, "keys read again")
        config.write_text("{")
        process.send_signal(signal.SIGHUP)
        assert "not valid JSON" in line_with(process, "old keys stay in force (2 keys")
        assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_end_without_open_requests_is_at_once(config: Path, number: int) -> None:
    """Exit code 0, and an idle connection holds nothing up."""
    with program(config=config) as process:
        port = port_of(line_with(process, "listening"))
        with send(port, "GET /healthz", "") as idle:
            receive_until(idle, b"ok\n")
            started = time.monotonic()
            process.send_signal(number)

            assert process.wait(5) == 0
            assert time.monotonic() - started < 1


def test_open_stream_is_finished_before_the_end_and_new_requests_are_not_begun(
    config: Path,
) -> None:
    """Nobody new gets in; who waits for an answer gets all of it; then exit code 0."""
    with upstream() as server, program("--upstream", url(server), config=config) as process:
        port = port_of(line_with(process, "listening"))
        waiting = send(port, "GET /healthz", "")
        receive_until(waiting, b"ok\n")
        client = send(port, "GET /props?model=stream")
        above, _ = server.accept()
        receive_until(above, b"\r\n\r\n")
        above.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        receive_until(client, b"first")
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)

        waiting.sendall(f"GET /props?model=new HTTP/1.1\r\nHost: x\r\n{AUTHORIZED}\r\n".encode())
        fresh = send(port, "GET /props?model=new")
        for connection in (waiting, fresh):
            refused = rest(connection)
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: " in refused
            assert b"Connection: close" in refused
            assert b"shutting_down" in refused
        assert process.poll() is None
        above.sendall(b"-last")
        assert rest(client).endswith(b"-last")
        assert process.wait(5) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        for connection in (above, client, waiting, fresh):
            connection.close()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_stream_that_takes_too_long_is_broken_off_before_launchd_kills(
    config: Path, version: str
) -> None:
    """Unclean for the client, a stop for llama-swap, and still exit code 0."""
    with (
        upstream() as server,
        program("--upstream", url(server), "--drain", "0.5", config=config) as process,
    ):
        client = send(
            port_of(line_with(process, "listening")), "GET /props?model=endless", version=version
        )
        above, _ = server.accept()
        receive_until(above, b"\r\n\r\n")
        above.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n")
        receive_until(client, b"!")
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)

        assert process.wait(5) == 0
        assert 0.5 <= time.monotonic() - started < 2
        assert above.recv(1) == b""
        if version == "1.1":
            assert rest(client) in (b"\r\n", b""), "no last chunk"
        else:
            with pytest.raises(ConnectionResetError):
                rest(client)
        above.close()
        client.close()
