"""What a run that changes nothing costs: `make figures`, or `python bench/noop.py --macs 1 20`.

Remote commands per Mac; seconds of a whole `pyinfra -y`, of one SSH command to each Mac that asks
the same (what the run itself sends, in one), and of an Ansible playbook that asks and does the same
(bench/noop.yml, with pipelining), where there is an ansible-playbook on PATH or in `ANSIBLE`. On
simulated Macs: their commands are slower than a Mac's, and all share the cores of this machine, so
only counts and ratios mean anything. All are near, and then a round trip away.

`--stacks 2 --macs 50` has 50 addresses of two Macs. What is this workstation's own is told apart:
processor seconds of the run and its most memory, and the same of `status`, and, where each address
is a Mac of its own, of a run that changes a setting on all of them.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.relay import farther
from lab.lab import PROJECT, Lab
from lab.mac import USER
from lab.reciter import write_model

PYINFRA = str(Path(sys.executable).with_name("pyinfra"))
PLAYBOOK = Path(__file__).with_name("noop.yml")
KEY = "sk-bench-0123456789"
HEADER = "macs  round trip  commands    no-op   one command   ratio    ansible   ratio"
OWN = "      workstation: {0.seconds:.1f} s, {0.cpu:.1f} s of CPU, {0.mib:.0f} MiB ({1})"


@dataclass(frozen=True)
class Cost:
    """Of a process here: how long it took, of that by the processor, and its most memory."""

    seconds: float
    cpu: float
    mib: float


@dataclass(frozen=True)
class Herd:
    """Deployed Macs, and the ports of sshd by which they are reached."""

    lab: Lab
    ports: dict[str, int]
    behind: dict[str, str] = field(default_factory=dict)
    """Which of the lab's Macs is at an address, if not the one of that name."""

    @property
    def environment(self) -> dict[str, str]:
        own = os.environ | {"HF_ENDPOINT": self.lab.hub_url, "API_KEYS": KEY}
        own.pop("PYTHONDONTWRITEBYTECODE", None)  # or each run would compile all of this
        return own

    def deploy(self, **settings: object) -> Cost:
        """A run of `pyinfra -y` as a person has it; ends the benchmark when it fails."""
        inventory = str(self._inventory(**settings))
        return _run([PYINFRA, "-y", inventory, "deploy.py"], self.environment)

    def status(self) -> Cost:
        """`make status` of all."""
        command = [sys.executable, "-m", "herd", "status", "--inventory", str(self._inventory())]
        return _run(command, self.environment)

    def _inventory(self, **settings: object) -> Path:
        inventory = self.lab.directory / "inventory-of-the-bench.py"
        scope: dict[str, list[tuple[str, dict[str, object]]]] = {}
        exec(self.lab.inventory.read_text(), scope)
        reached = {"ssh_known_hosts_file": str(self._known_hosts())}
        of = dict(scope["macs"])
        hosts = [
            (name, {**of[self.behind.get(name, name)], **reached, **settings, "ssh_port": port})
            for name, port in self.ports.items()
        ]
        inventory.write_text(f"macs = {hosts!r}\n")
        return inventory

    def ssh(self, commands: dict[str, str]) -> None:
        """One SSH command to each Mac, all at once; each gets the key's header on its input."""
        with tempfile.TemporaryFile("w+") as complaints:
            running = [self._ssh(name, command, complaints) for name, command in commands.items()]
            for process in running:
                if code := process.wait():
                    complaints.seek(0)
                    sys.exit(f"the one SSH command ended with {code}:\n{complaints.read()}")

    def _ssh(self, name: str, command: str, complaints: IO[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [
                *("ssh", "-F", str(self.lab.directory / "ssh_config")),
                *("-i", str(self.lab.directory / "client_key"), "-p", str(self.ports[name])),
                *("-o", f"UserKnownHostsFile={self._known_hosts()}"),
                *(f"{USER}@127.0.0.1", command),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
        )
        assert process.stdin
        process.stdin.write(f'header = "Authorization: Bearer {KEY}"\n'.encode())
        process.stdin.close()
        return process

    def _known_hosts(self) -> Path:
        path = self.lab.directory / "known_hosts-of-the-bench"
        key = (self.lab.directory / "host_key.pub").read_text().rsplit(" ", 1)[0]
        lines = "".join(f"[127.0.0.1]:{port} {key}\n" for port in self.ports.values())
        if not path.exists() or path.read_text() != lines:  # an ssh may be reading
            path.write_text(lines)
        return path

    def playbook(self, program: str) -> None:
        """The playbook on every Mac."""
        inventory = self.lab.directory / "ansible.json"
        hosts = {name: self._variables(name) for name in self.ports}
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        forks = {"ANSIBLE_FORKS": str(max(len(hosts), 5)), "ANSIBLE_PIPELINING": "1"}
        _run([program, "-i", str(inventory), str(PLAYBOOK)], self.environment | forks)

    def _variables(self, name: str) -> dict[str, object]:
        mac = self.lab[self.behind.get(name, name)]
        root = mac.home / "llama-swap"
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.ports[name],
            "ansible_user": USER,
            "ansible_ssh_private_key_file": str(self.lab.directory / "client_key"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self._known_hosts()}",
            # The Mac's own python3 is a shim without the tools.
            "ansible_python_interpreter": sys.executable,
            "prefix": str(mac.prefix),
            "root": str(root),
            "agents": str(mac.home / "Library/LaunchAgents"),
            "swap_port": mac.ports["llama_swap"],
            "proxy_port": mac.ports["proxy"],
            "start_port": mac.ports["start"],
            "key": KEY,
        }


def _run(command: Sequence[str], environment: dict[str, str]) -> Cost:
    with tempfile.TemporaryFile("w+") as said:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=said, stderr=said,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{said.read()}")
        cpu = used.ru_utime + used.ru_stime
        return Cost(time.monotonic() - began, cpu, used.ru_maxrss / 1024)


def seconds(each: Callable[[], object], rounds: int) -> float:
    """The median of some rounds."""
    taken = []
    for _ in range(rounds):
        began = time.monotonic()
        each()
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


def measure(
    macs: int, stacks: int, round_trips: Sequence[float], rounds: int, ansible: str | None
) -> None:
    """Print a row for each round trip."""
    with tempfile.TemporaryDirectory(prefix="herd-", dir="/tmp") as directory:
        lab = Lab(directory, [f"mac{number}" for number in range(1, min(macs, stacks) + 1)])
        write_model(lab.hub_root / "lab" / "recite-GGUF")
        with lab:
            lab.lock()
            near = {name: mac.ssh_port for name, mac in lab.macs.items()}
            Herd(lab, near).deploy()
            for mac in lab.macs.values():
                mac.clear_log()
            Herd(lab, near).deploy()
            sent = {name: [text for _, text in mac.log] for name, mac in lab.macs.items()}
            behind = {f"host{n}": f"mac{n % len(lab.macs) + 1}" for n in range(macs)}
            # The lab's ssh gets `sh -c '…'` of each: one after the other in one shell.
            whole = {
                name: f"sh -c {shlex.quote('; '.join(sent[mac]))}" for name, mac in behind.items()
            }
            for round_trip in round_trips:
                with farther({name: near[mac] for name, mac in behind.items()}, round_trip) as at:
                    herd = Herd(lab, at, behind)
                    costs = [herd.deploy() for _ in range(rounds)]
                    ours = statistics.median(cost.seconds for cost in costs)
                    one = seconds(lambda herd=herd: herd.ssh(whole), rounds)  # type: ignore[misc]
                    row = (
                        f"{macs:>4} {round_trip * 1000:>8.0f} ms {max(map(len, sent.values())):>9}"
                    )
                    row += f" {ours:>7.1f} s {one:>11.1f} s {ours / one:>7.2f}"
                    if ansible:
                        theirs = seconds(lambda herd=herd: herd.playbook(ansible), 1)  # type: ignore[misc]
                        row += f" {theirs:>8.1f} s {ours / theirs:>7.3f}"
                    print(row)
                    print(OWN.format(costs[-1], "the run"))
                    print(OWN.format(herd.status(), "status"), flush=True)
                    if macs == len(lab.macs):
                        changed = herd.deploy(llama_swap_health_timeout=901)
                        print(OWN.format(changed, "a settings change"), flush=True)
                        herd.deploy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--macs", type=int, nargs="+", default=[1, 20], help="default: 1 20")
    parser.add_argument("--stacks", type=int, default=1000, help="simulated Macs at most")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument(
        "--round-trips", type=int, nargs="+", default=[0, 50], metavar="MS", help="default: 0 50"
    )
    options = parser.parse_args()
    ansible = os.environ.get("ANSIBLE") or shutil.which("ansible-playbook")
    print(HEADER if ansible else f"{HEADER.partition('    ansible')[0]}   (no Ansible)", flush=True)
    for macs in options.macs:
        round_trips = [each / 1000 for each in options.round_trips]
        measure(macs, options.stacks, round_trips, options.rounds, ansible)


if __name__ == "__main__":
    main()
