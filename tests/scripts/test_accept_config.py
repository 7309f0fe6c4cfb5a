"""accept-config.sh: llama-swap itself is asked, on a free port, and the trial leaves nothing."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts.conftest import Machine, quoted

# Texts of llama-swap v250, from its source; what it does is in the configuration.
LLAMA_SWAP = """
echo "$@" >>HERE/calls
config=$2 port=${4##*:}
case $(cat "$config") in
  reject) echo 'level=ERROR msg="failed to load config" error="duplicate alias x"' >&2; exit 1 ;;
  busy) [ -e HERE/tried ] || {
    : >HERE/tried
    echo "listen tcp 127.0.0.1:$port: bind: address already in use" >&2
    exit 1
  } ;;
  taken) [ -e HERE/tried ] || {
    : >HERE/tried
    PYTHON -c "$listen" "$port" &
    until curl -s -o /dev/null "http://127.0.0.1:$port/health"; do SLEEP 0.01; done
    SLEEP 0.1  # in which it is asked, and the other one answers
    echo $! >HERE/other
    echo "listen tcp 127.0.0.1:$port: bind: address already in use" >&2
    exit 1
  } ;;
  slow) exec SLEEP 60 ;;
esac
exec PYTHON -c "$listen" "$port"
"""
LISTEN = """listen='
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
    def log_message(self, *a): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()'
"""


@pytest.fixture
def machine(one_machine: Machine) -> Machine:
    """One shell will do."""
    return one_machine


@pytest.fixture
def llama_swap(machine: Machine) -> Path:
    text = LISTEN + LLAMA_SWAP.replace("HERE", quoted(machine.home))
    text = text.replace("PYTHON", quoted(sys.executable))
    real = subprocess.run(["which", "sleep"], capture_output=True, text=True).stdout.strip()
    return machine.program("my llama-swap", text.replace("SLEEP", real))


def trial(machine: Machine, text: str) -> Path:
    path = machine.home / "my trial.yaml"
    path.write_text(text)
    return path


def accept(machine: Machine, llama_swap: Path, text: str) -> subprocess.CompletedProcess[str]:
    config = trial(machine, text)
    done = machine.run("accept-config", llama_swap, config)
    assert not config.exists()
    assert not list(machine.home.parent.glob("herd-accept*"))
    listed = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True).stdout
    assert str(config) not in listed
    return done


def calls(machine: Machine) -> list[str]:
    return (machine.home / "calls").read_text().splitlines()


def test_an_accepted_configuration_says_nothing(machine: Machine, llama_swap: Path) -> None:
    done = accept(machine, llama_swap, "good")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (call,) = calls(machine)
    assert call.startswith(f"--config {machine.home}/my trial.yaml --listen 127.0.0.1:")


def test_a_proxy_in_the_environment_is_not_asked(machine: Machine, llama_swap: Path) -> None:
    proxy = {"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
    machine.environment |= proxy

    assert accept(machine, llama_swap, "good").returncode == 0


def test_a_rejected_configuration_fails_with_llama_swaps_words(
    machine: Machine, llama_swap: Path
) -> None:
    done = accept(machine, llama_swap, "reject")

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "llama-swap does not accept the new config.yaml; the old one stays. It says:",
        'level=ERROR msg="failed to load config" error="duplicate alias x"',
    ]
    assert len(calls(machine)) == 1


def test_a_port_that_somebody_took_first_is_no_rejection(
    machine: Machine, llama_swap: Path
) -> None:
    done = accept(machine, llama_swap, "busy")

    assert (done.returncode, done.stderr) == (0, "")
    ports = [call.rpartition(":")[2] for call in calls(machine)]
    assert len(set(ports)) == 2


@pytest.mark.soak
def test_the_answer_of_whoever_took_the_port_is_no_acceptance(
    machine: Machine, llama_swap: Path
) -> None:
    # Longer than the other one's, however busy this machine is.
    machine.program("sleep", "exec SLEEP 3".replace("SLEEP", str(shutil.which("sleep"))))
    try:
        done = accept(machine, llama_swap, "taken")
    finally:
        os.kill(int((machine.home / "other").read_text()), signal.SIGKILL)

    assert (done.returncode, done.stderr) == (0, "")
    assert len(calls(machine)) == 2


def test_a_llama_swap_that_never_answers_is_no_acceptance(
    machine: Machine, llama_swap: Path
) -> None:
    """By the clock, of which ten seconds pass with each look."""
    machine.program("date", 'cd "$HOME"; echo . >>clock; echo $(($(wc -l <clock) * 10))')
    machine.program("sleep", "")
    machine.program("curl", "exit 7")
    done = accept(machine, llama_swap, "slow")

    assert done.returncode == 1
    assert "does not accept" in done.stderr


def test_a_missing_llama_swap_is_no_acceptance(machine: Machine) -> None:
    done = accept(machine, machine.home / "none", "good")

    assert done.returncode == 1
    assert "not found" in done.stderr or "No such file" in done.stderr
