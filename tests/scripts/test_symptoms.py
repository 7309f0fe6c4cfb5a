"""What symptoms.sh reads of a gateway: whom its HAProxy finds no route to, and others here do; and
what tools of a Mac say that macOS's own would say in the lab only where it is right."""

import hashlib
from collections.abc import Callable

import pytest

from herd.core.mac.symptoms import parse
from tests.scripts.conftest import Machine, Server

GONE = '[WARNING] (7) : Server macs/{} is DOWN, reason: Layer4 connection problem, info: "{}"'
NO_ROUTE = "No route to host"
NOBODY = ("http://127.0.0.1:9", "/none", "3.13", "/none")
"""A proxy that does not answer, no Python for it, and no code."""


def test_only_whom_another_program_reaches_is_kept_from_haproxy(
    one_machine: Machine, serve: Callable[..., Server], free_port: int
) -> None:
    there = serve(lambda path, handler: (200, b""))
    root = one_machine.home / "my stack"
    (root / "gateway").mkdir(parents=True)
    names = ("denied", "back", "refused", "dark", "gone")
    ports = dict.fromkeys(names, there.port) | {"dark": free_port}
    servers = [f"  server '{name}' '127.0.0.1:{ports[name]}' id 1 check\n" for name in names[:-1]]
    (root / "gateway/haproxy.cfg").write_text(
        "backend macs\n" + "".join(servers) + "".join(servers)
    )
    lines = [GONE.format(name, NO_ROUTE) for name in names]
    lines += ["[WARNING] (7) : Server macs/back is UP, reason: Layer7 check passed, code: 200"]
    lines += [GONE.format("refused", "Connection refused")]
    (root / "gateway.log").write_text("\n".join(lines) + "\n")

    done = one_machine.run("symptoms", root, *NOBODY)

    assert done.returncode == 0
    assert parse(done.stdout.splitlines()).denied == (f"127.0.0.1:{there.port}",)
    assert [path for path, _ in there.asked] == ["/livez"]


def test_a_mac_that_is_no_gateway_asks_nobody(one_machine: Machine) -> None:
    done = one_machine.run("symptoms", one_machine.home, *NOBODY)

    assert (done.returncode, parse(done.stdout.splitlines()).denied) == (0, ())


@pytest.mark.parametrize("mode", ["lowpowermode", "powermode"])
@pytest.mark.parametrize("listed", ["Allow", "Block", ""])
def test_firewall_power_disk_and_a_stuck_model(
    one_machine: Machine, serve: Callable[..., Server], mode: str, listed: str
) -> None:
    keg = one_machine.home / "opt/python@3.13"
    one_machine.program("python3.13", "exit 1")
    (keg / "bin").mkdir(parents=True)
    (keg / "bin/python3.13").symlink_to(one_machine.bin / "python3.13")
    python = (one_machine.bin / "python3.13").resolve()
    app = f"1 : {python} \n             ({listed} incoming connections) " if listed else ""
    one_machine.program(
        "socketfilterfw",
        'case $1 in --listapps) printf "%s\\n" "Total number of apps = 1 " '
        f"'{app}' ;; *) echo 'Firewall is enabled. (State = 1)' ;; esac",
    )
    one_machine.program("pmset", f"echo ' sleep   0'; echo ' {mode}   1'")
    one_machine.program("diskutil", "echo '   SMART Status:              Failing'")
    proxy = serve(lambda path, handler: (503, b'{"error":{"message":"a model gives no token"}}'))

    done = one_machine.run("symptoms", one_machine.home, proxy.url, keg, "3.13", "/none")

    found = parse(done.stdout.splitlines())
    assert found.shut_out == ("" if listed == "Allow" else str(python))
    assert (found.low_power, found.smart, found.stuck) == (mode, "Failing", True)


def test_words_of_logs_late_answers_reports_and_quarantine(one_machine: Machine) -> None:
    """The rows of the first setup's table, as they stand in the logs."""
    root, reports = one_machine.home / "my stack", one_machine.home / "Library/Logs"
    root.mkdir()
    words = [
        "[ERROR] <m> health check timed out after 120s",
        "ggml_metal_buffer_init: error: failed to allocate buffer, size = 61440.00 MiB",
        "main: bind: Address already in use",
    ]
    (root / "llama-swap.log").write_text("\n".join(["[INFO] <m> fine", *words]) + "\n")
    access = "2026-11-29T08:00:0{}Z INFO access id=1 model={} status=200 first={} in=1\n"
    late = [access.format(1, "slow", "31.5"), access.format(2, "quick", "0.4")]
    (root / "proxy.log").write_text("".join([*late, access.format(3, "slow", "45.0")]))
    (reports / "DiagnosticReports").mkdir(parents=True)
    for name in ("llama-server-1.ips", "haproxy-1.ips", "Safari-1.ips", "JetsamEvent-1.ips"):
        (reports / "DiagnosticReports" / name).touch()
    one_machine.program("xattr", '[ "$3" = /my/bad.plist ]')

    done = one_machine.run("symptoms", root, *NOBODY, "/good.plist", "/my/bad.plist")

    found = parse(done.stdout.splitlines())
    assert found.log == tuple(words)
    assert found.slow == (("slow", 45.0, "2026-11-29T08:00:03Z"),)
    assert {path.rpartition("/")[2] for path in found.reports} == {
        *("llama-server-1.ips", "haproxy-1.ips", "JetsamEvent-1.ips"),
    }
    assert found.quarantined == ("/my/bad.plist",)


def test_whose_files_are_what_others_may_read_code_and_llama_servers_without_a_llama_swap(
    one_machine: Machine,
) -> None:
    root = one_machine.home / "my stack"
    release = root / "proxy/release-0"
    (release / "proxy").mkdir(parents=True)
    (release / "proxy/policy.py").write_text("edited")
    for name, mode in (("usage.db", 0o640), ("proxy.log", 0o600), ("notes.txt", 0o644)):
        (root / name).touch()
        (root / name).chmod(mode)
    server = f"/opt/homebrew/bin/llama-server --port 10001 --model {root}/models/m.gguf"
    lines = [
        "1 0 launchd", f"10 1 /bin/llama-swap --config {root}/config.yaml",
        f"11 10 {server}", f"12 1 {server}", "13 1 /bin/llama-server --port 9 --model /else/m.gguf",
        f"14 1 /bin/llama-fit-params --model {root}/models/m.gguf",
    ]  # fmt: skip
    one_machine.program("ps", "\n".join(f"echo '{line}'" for line in lines))

    done = one_machine.run("symptoms", root, *NOBODY[:3], release)

    found = parse(done.stdout.splitlines())
    assert found.readable == (f"{root}/usage.db",)
    assert found.foreign == ()
    assert found.code == {"proxy/policy.py": hashlib.sha256(b"edited").hexdigest()}
    assert found.orphans == (12,)
