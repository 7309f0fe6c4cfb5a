"""What symptoms.sh reads of a gateway: whom its HAProxy finds no route to, and others here do."""

from collections.abc import Callable

from herd.core.mac.symptoms import parse
from tests.scripts.conftest import Machine, Server

GONE = '[WARNING] (7) : Server macs/{} is DOWN, reason: Layer4 connection problem, info: "{}"'
NO_ROUTE = "No route to host"


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

    done = one_machine.run("symptoms", root)

    assert done.returncode == 0
    assert parse(done.stdout.splitlines()).denied == (f"127.0.0.1:{there.port}",)
    assert [path for path, _ in there.asked] == ["/livez"]


def test_a_mac_that_is_no_gateway_asks_nobody(one_machine: Machine) -> None:
    done = one_machine.run("symptoms", one_machine.home)

    assert (done.returncode, parse(done.stdout.splitlines()).denied) == (0, ())
