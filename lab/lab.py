"""The lab's Python API: `Lab` makes Macs and runs their daemon, `Mac` is a handle on one."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import asyncssh

from lab import control, llama_server, ports, processes, tools
from lab.daemon import INSTALLER
from lab.mac import USER, Machine, workstation_programs

# Of each Mac's own block of ports.
OFFSETS = {
    "ssh": 0,
    "llama_swap": 1,
    "proxy": 2,
    "proxy_agent": 3,
    "gateway": 4,
    "gateway_haproxy": 5,
    "start": 10,
}
PROJECT = Path(__file__).parents[1]
MODEL = "lab/recite-GGUF"


@dataclass(frozen=True)
class Terminal:
    """A Terminal window, as it was when asked for."""

    mac: Mac
    number: int
    file: str
    pid: int
    alive: bool
    output: str

    def write(self, text: str) -> None:
        r"""Type into it; "\x03" is Ctrl+C."""
        self.mac.control("terminal_write", number=self.number, text=text)

    def close(self) -> None:
        """Close the window: its session gets SIGHUP."""
        self.mac.control("terminal_close", number=self.number)


class Launchd:
    """Looking at a Mac's launchd from a test."""

    def __init__(self, mac: Mac) -> None:
        self._mac = mac

    def __call__(
        self, *args: str, session: str = "Background", root: bool = False
    ) -> dict[str, Any]:
        """Any launchctl command, by sudo as `root`: {"code", "out", "err"}."""
        reply: dict[str, Any] = self._mac.control(
            "launchctl", argv=list(args), session=session, root=root
        )
        return reply

    def print(self, target: str) -> str:
        """`launchctl print TARGET`, empty if there is no such thing."""
        return str(self("print", target)["out"])

    def job(self, label: str, domain: str = "gui/501") -> dict[str, str] | None:
        """The `key = value` lines of a job with exactly one leading tab; None if not loaded."""
        shown = self.print(f"{domain}/{label}")
        if not shown:
            return None
        return dict(re.findall(r"^\t(\S[^=\n]*?) = ([^{\n].*)$", shown, re.MULTILINE))

    def labels(self, domain: str = "gui/501") -> list[str]:
        """What is loaded in a domain."""
        return re.findall(r"^\t\t +\d+ +-?\d* ?-? *\t(\S+)$", self.print(domain), re.MULTILINE)


class Mac(Machine):
    """A simulated Mac: `set` and `facts` from Machine, and everything a test does with one."""

    def __init__(self, lab: Lab, name: str, ports: dict[str, int]) -> None:
        super().__init__(lab.directory / name)
        self._lab = lab
        self.ssh_port = ports["ssh"]
        self.ports = {key: port for key, port in ports.items() if key != "ssh"}
        self.launchd = Launchd(self)

    def control(self, op: str, **arguments: Any) -> Any:
        """Ask the daemon about this Mac."""
        return control.request(self._lab.directory, self.name, op, **arguments)

    def set(self, **facts: Any) -> None:
        """Change facts; `console` also logs in or out, `homebrew` and `macos` change the tools."""
        super().set(**facts)
        tools.sync(self)
        if "console" in facts and self._lab.running:
            self.control("login" if facts["console"] else "logout")

    def run(
        self,
        command: str,
        *,
        check: bool = False,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """A command as over SSH, without SSH."""
        return subprocess.run(
            [str(self.root / "bin/sh"), "-c", self.inside(command)],
            cwd=self.home,
            env=self.environment() | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=check,
            timeout=timeout,
        )

    # -- what happened

    @property
    def log(self) -> list[tuple[str, str]]:
        """Every ("exec", command) and ("sftp", path written), in order."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.root / "remote.log").read_text().splitlines()
            return [(kind, text) for kind, text in map(json.loads, lines)]
        return []

    def clear_log(self) -> None:
        (self.root / "remote.log").write_text("")

    @property
    def opened(self) -> list[str]:
        """What `open` was asked to open."""
        with contextlib.suppress(FileNotFoundError):
            return (self.root / "opened.log").read_text().splitlines()
        return []

    @property
    def terminals(self) -> list[Terminal]:
        """The Terminal windows, oldest first."""
        return [Terminal(mac=self, **window) for window in self.control("terminals")]

    def processes(self) -> list[int]:
        """The living processes of this Mac."""
        return processes.of_mac(str(self.root))

    # -- what a person does

    def login(self) -> None:
        self.control("login")

    def logout(self) -> None:
        self.control("logout")

    def disconnect(self) -> None:
        """Break off every SSH connection, as when the network goes away."""
        self.control("disconnect")

    def darken(self) -> None:
        """Have it give no sign of life over SSH any more, and nobody say that it is gone."""
        self.control("darken")

    def quarantines(self, path: str | Path) -> None:
        """Have a file as a browser leaves it; whoever writes into it keeps that."""
        number = os.stat(path).st_ino
        words = "0083;65f0c0de;Safari;"
        # By a second name, so that no other file gets its number when it is gone.
        kept = self.root / ".quarantined"
        kept.mkdir(exist_ok=True)
        (kept / str(number)).unlink(missing_ok=True)
        os.link(path, kept / str(number))
        self.set(quarantined=self.facts["quarantined"] | {number: words})

    def reboot(self) -> None:
        """As after a power cut; the console session returns if the fact `console` says so."""
        self.control("reboot")

    def kill_all(self) -> int:
        """SIGKILL every process of this Mac, and nothing else."""
        return processes.kill_all([str(self.root)])


class Lab:
    """N Macs in a folder, and the daemon that runs them.  A context manager."""

    def __init__(self, directory: str | Path, names: Iterable[str] = ("mac1",), **facts: Any):
        self.directory = Path(directory).resolve()
        self._daemon: subprocess.Popen[bytes] | None = None
        os.umask(0o022)  # as on macOS, whatever this workstation's is
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = self.directory / "lab.json"
        self._held: list[ports.Block] = []
        if not settings.exists():
            self._make_keys()
            chosen, self._held = _choose_ports(list(names))
            settings.write_text(json.dumps(chosen, indent=2))
        self._settings = json.loads(settings.read_text())
        self.macs = {name: Mac(self, name, ports) for name, ports in self._settings["macs"].items()}
        for mac in self.macs.values():
            if facts:
                Machine.set(mac, **{k: None if v == "absent" else v for k, v in facts.items()})
            tools.create(mac)
        self.inventory = self.directory / "inventory.py"
        self._write_inventory()
        self._fill_hub()

    def __getitem__(self, name: str) -> Mac:
        return self.macs[name]

    def __enter__(self) -> Lab:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def hub_url(self) -> str:
        return f"http://127.0.0.1:{self._settings['hub_port']}"

    @property
    def known_hosts(self) -> Path:
        """The Macs' keys, by a name that wants quoting, as many a person's path does."""
        return self.directory / "known hosts, 100%"

    @property
    def hub_root(self) -> Path:
        """Where the Hub's repositories are: hub_root/ORG/REPO/..."""
        return self.directory / "hub"

    # -- the daemon

    @property
    def running(self) -> bool:
        try:
            os.kill(int(control.read_state(self.directory)["pid"]), 0)
        except (OSError, ValueError):
            return False
        return True

    @property
    def llama_swap(self) -> str:
        """Which llama-swap the Macs of the running lab get, as a person is told."""
        return str(control.read_state(self.directory)["llama_swap"])

    @property
    def llama_server(self) -> str:
        """Which llama-server they get; told at the start, where it was tried."""
        return (self.directory / "llama-server").read_text()

    def start(
        self, *, detached: bool = False, popen: type[subprocess.Popen[bytes]] = subprocess.Popen
    ) -> None:
        """Start the daemon and wait until everything listens; detached, it outlives us.

        Raises lab.real.NotThere before anything runs.
        """
        if self.running:
            raise RuntimeError(f"the lab in {self.directory} is running already")
        programs = workstation_programs()  # by full path: the daemon works in another directory
        (self.directory / "llama-server").write_text(llama_server.describe())
        for mac in self.macs.values():
            tools.renew(mac)
        (self.directory / control.STATE).unlink(missing_ok=True)
        leash = [] if detached else ["--leash"]
        log = self.directory / "daemon.log"
        with log.open("ab") as output:
            daemon = popen(
                [sys.executable, "-m", "lab.daemon", str(self.directory), *leash],
                cwd=PROJECT,
                env=os.environ | programs,
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=[block.lock.fileno() for block in self._held],  # it may outlive us
            )
        deadline = time.monotonic() + 30
        while not (self.directory / control.STATE).exists():
            if daemon.poll() is not None or time.monotonic() > deadline:
                daemon.kill()
                raise RuntimeError(f"the lab did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.02)
        self._daemon = None if detached else daemon

    def stop(self) -> int:
        """Stop the daemon and everything it started; returns how many strays it had left."""
        state: dict[str, Any] = {}
        with contextlib.suppress(OSError, RuntimeError):
            state = control.read_state(self.directory)
            control.request(self.directory, "", "stop")
        if self._daemon:
            assert self._daemon.stdin
            self._daemon.stdin.close()
            try:
                self._daemon.wait(20)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()
            self._daemon = None
        elif state:
            _await_end(int(state["pid"]))
        (self.directory / control.STATE).unlink(missing_ok=True)
        return processes.kill_all([str(mac.root) for mac in self.macs.values()])

    def lock(self, inventory: Path | None = None, **environment: str) -> str:
        """`make lock` on the lab's inventory, or on another one; what it said, as errors too."""
        locked = subprocess.run(
            [sys.executable, "-m", "herd", "lock", "--inventory", inventory or self.inventory],
            cwd=PROJECT,
            env=os.environ | {"HF_ENDPOINT": self.hub_url} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if locked.returncode:
            raise RuntimeError(locked.stdout)
        return locked.stdout

    # -- files of the lab

    def _make_keys(self) -> None:
        for name in ("client_key", "host_key"):
            key = asyncssh.generate_private_key("ssh-ed25519", comment="llama-herd-lab")
            path = self.directory / name
            path.touch(mode=0o600)
            key.write_private_key(str(path))
            key.write_public_key(f"{path}.pub")
        shutil.copyfile(self.directory / "client_key.pub", self.directory / "authorized_keys")

    def _write_inventory(self) -> None:
        host_key = (self.directory / "host_key.pub").read_text().rsplit(" ", 1)[0]
        lines = [f"[127.0.0.1]:{mac.ssh_port} {host_key}\n" for mac in self.macs.values()]
        self.known_hosts.write_text("".join(lines))
        (self.directory / "ssh_config").write_text("")  # in place of the workstation's ~/.ssh
        hosts = [(mac.name, self._host_data(mac)) for mac in self.macs.values()]
        rows = "".join(f"    {host!r},\n" for host in hosts)
        text = '"""The simulated Macs, for pyinfra.  Written by the lab."""\n\nmacs = [\n'
        written = f"{text}{rows}]\n"
        # Handles on a running lab are made while pyinfra may be reading.
        if not self.inventory.exists() or self.inventory.read_text() != written:
            self.inventory.write_text(written)

    def _fill_hub(self) -> None:
        """The model of the inventory, which any llama-server can run."""
        repository = self.hub_root / MODEL
        if not repository.exists():
            from lab.reciter import write_model  # numpy and gguf: only when there is need

            repository.mkdir(parents=True)
            write_model(repository)

    def _host_data(self, mac: Mac) -> dict[str, Any]:
        return {
            "ssh_hostname": "127.0.0.1",
            "ssh_port": mac.ssh_port,
            "ssh_user": USER,
            "ssh_key": str(self.directory / "client_key"),
            "ssh_config_file": str(self.directory / "ssh_config"),
            "ssh_known_hosts_file": str(self.known_hosts),
            "ssh_strict_host_key_checking": "yes",
            "homebrew_prefix": str(mac.prefix),
            "homebrew_installer": f"{self.hub_url}{INSTALLER}",
            "llama_swap_port": mac.ports["llama_swap"],
            "proxy_port": mac.ports["proxy"],
            "llama_server_start_port": mac.ports["start"],
            # Deep-merged over group_data: None takes a model away.
            "models": {
                "gpt-oss-120b": None,
                "recite": {
                    "repo": MODEL,
                    "ctx_size": 512,
                    "include": ["*.gguf"],
                },
            },
        }


def _choose_ports(names: list[str]) -> tuple[dict[str, Any], list[ports.Block]]:
    """A block of ports for each Mac and one for the Hub, which are ours from now on."""
    held = list(itertools.islice(ports.free_blocks(), len(names) + 1))
    macs = {
        name: {key: block.first + offset for key, offset in OFFSETS.items()}
        for name, block in zip(names, held, strict=False)
    }
    return {"macs": macs, "hub_port": held[-1].first}, held


def _await_end(pid: int) -> None:
    """Wait for a daemon that is not our child; it gets 20 seconds before SIGKILL."""
    deadline = time.monotonic() + 20
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
