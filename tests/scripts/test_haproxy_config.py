"""haproxy-config.sh: what HAProxy takes comes into place, and one that runs keeps its state."""

import sys
from pathlib import Path

import pytest

from lab.haproxy import write_wrapper
from tests.gateway.gateway import Running, program, running
from tests.scripts.conftest import Machine


@pytest.fixture
def herd(tmp_path: Path) -> Path:
    """A root with a gateway's directory."""
    root = tmp_path / "it's here"
    (root / "gateway").mkdir(parents=True)
    (root / "gateway/gateway.key").write_text("0" * 64)
    return root


def haproxy(tmp_path: Path) -> Path:
    """A program as Homebrew links it."""
    program()  # or this is skipped
    wrapper = tmp_path / "haproxy"
    write_wrapper(wrapper)
    return wrapper


GOOD = "defaults\n  mode http\n  timeout client 1s\nfrontend f\n  bind 127.0.0.1:1\n"


def test_a_bad_one_leaves_the_one_before(machine: Machine, herd: Path, tmp_path: Path) -> None:
    (herd / "gateway/haproxy.cfg").write_text(GOOD)
    (herd / "gateway/haproxy.cfg.next").write_text("frontend\n  nonsense\n")

    done = machine.run("haproxy-config", herd, haproxy(tmp_path), "gui/501/none", sys.executable)

    assert done.returncode == 1
    assert "the one before stays" in done.stderr
    assert "haproxy.cfg.next" in done.stderr
    assert (herd / "gateway/haproxy.cfg").read_text() == GOOD
    assert not (herd / "gateway/haproxy.cfg.next").exists()


def test_a_good_one_is_put_in_place(machine: Machine, herd: Path, tmp_path: Path) -> None:
    (herd / "gateway/haproxy.cfg.next").write_text(GOOD)

    done = machine.run("haproxy-config", herd, haproxy(tmp_path), "gui/501/none", sys.executable)

    assert (done.returncode, done.stderr) == (0, "")
    assert (herd / "gateway/haproxy.cfg").read_text() == GOOD


def test_one_that_runs_reads_it_and_forgets_nothing(
    machine: Machine, herd: Path, tmp_path: Path
) -> None:
    with running(herd, {"big": {"mac1": 1, "mac2": 1}}, directory="gateway") as gateway:
        drained(gateway)
        assert gateway.process
        machine.program("launchctl", f"printf '\\tpid = {gateway.process.pid}\\n'")
        text = (herd / "gateway/haproxy.cfg").read_text()
        (herd / "gateway/haproxy.cfg.next").write_text(text.replace("maxconn ", "maxconn 1", 1))

        done = machine.run(
            *("haproxy-config", herd, haproxy(tmp_path), "gui/501/gateway", sys.executable)
        )

        assert (done.returncode, done.stderr) == (0, "")
        gateway.until("mac2", "DRAIN")


def drained(gateway: Running) -> None:
    gateway["mac2"].agent = "up"
    gateway.command("set server macs/mac2 state drain")
    gateway.until("mac2", "DRAIN")


def test_a_mac_that_is_asked_at_another_port_now_is_found_out_anew(
    machine: Machine, herd: Path, tmp_path: Path
) -> None:
    """HAProxy's state has ports, and it would go on to ask where nobody answers any more."""
    with running(herd, {"big": {"mac1": 1, "mac2": 1}}, directory="gateway") as gateway:
        gateway["mac2"].agent = "drain"
        gateway.until("mac2", "DRAIN")
        assert gateway.process
        machine.program("launchctl", f"printf '\\tpid = {gateway.process.pid}\\n'")
        text = (herd / "gateway/haproxy.cfg").read_text()
        old, new = (f"agent-port {gateway[name].agent_port} " for name in ("mac2", "mac1"))
        assert old in text
        (herd / "gateway/haproxy.cfg.next").write_text(text.replace(old, new))

        done = machine.run(
            *("haproxy-config", herd, haproxy(tmp_path), "gui/501/gateway", sys.executable)
        )

        assert (done.returncode, done.stderr) == (0, "")
        gateway.until("mac2", "UP")
