"""A hand-run install under the same label and in the same directory becomes ours by one deploy."""

import json
import plistlib
import shlex
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.lab import Mac
from lab.reciter import write_model
from tests.e2e.fleet import KEY, SENTENCE, Fleet, is_served, until

LABEL = "com.moonspirit.llama-swap"
SERVICES = {
    "Services | Stop what runs outside launchd",
    "Services | Run llama-swap",
    "Services | Run the proxy",
}
# As the original: both in the window, Ctrl+C there stops both.
START = """#!/bin/bash
cd "$(dirname "$0")/.." || exit 1
{llama_swap} --config {config} --listen 127.0.0.1:{llama_swap_port} --watch-config &
{python} {proxy} {proxy_port} &
trap 'kill $(jobs -p) 2>/dev/null' EXIT INT TERM
wait
"""
CONFIG = """healthCheckTimeout: 300
startPort: {start}
models:
  "recite":
    cmd: |
      {llama_server} --port ${{PORT}}
      --model models/recite-GGUF/recite-00001-of-00003.gguf --ctx-size 512
    ttl: 0
"""
PROXY = """import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Proxy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"by hand")
HTTPServer(("0.0.0.0", int(sys.argv[1])), Proxy).serve_forever()
"""


class HandRun:
    """What a person set up on a Mac by the original's instructions, and runs in a window."""

    def __init__(self, mac: Mac, *, whole_paths: bool = True) -> None:
        self.mac = mac
        self.root = mac.home / "llama-swap"
        brew = shlex.quote(str(mac.prefix / "bin/brew"))
        mac.run(f"{brew} install llama.cpp mostlygeek/llama-swap/llama-swap", check=True)
        (self.root / "scripts").mkdir(parents=True)
        write_model(self.root / "models/recite-GGUF")
        self._write(
            "config.yaml",
            CONFIG.format(llama_server=mac.prefix / "bin/llama-server", start=mac.ports["start"]),
        )
        self._write("config.json", json.dumps({"apiKeys": ["of-the-hand-run-one"]}))
        self._write("proxy.py", PROXY)
        at = f"{self.root}/" if whole_paths else ""
        self.script = self._write(
            "scripts/start.sh",
            START.format(
                llama_swap=mac.prefix / "bin/llama-swap",
                config=f"{at}config.yaml",
                python=shlex.quote(sys.executable),
                proxy=f"{at}proxy.py",
                llama_swap_port=mac.ports["llama_swap"],
                proxy_port=mac.ports["proxy"],
            ),
        )
        self.script.chmod(0o755)
        self.plist = mac.home / f"Library/LaunchAgents/{LABEL}.plist"
        self.plist.parent.mkdir(exist_ok=True)
        self.plist.write_bytes(
            plistlib.dumps(
                {
                    "Label": LABEL,
                    "ProgramArguments": ["/usr/bin/open", "-a", "Terminal", str(self.script)],
                    "RunAtLoad": True,
                }
            )
        )
        self.plist.chmod(0o644)

    def _write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.write_text(text)
        return path

    def log_in(self) -> None:
        """As at each login; then the model is used."""
        self.mac.reboot()
        until(lambda: is_served(self.mac.ports["llama_swap"]) and self.proxy() == "by hand")
        body = {"model": "recite", "messages": [{"role": "user", "content": "Hi"}]}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.mac.ports['llama_swap']}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        assert SENTENCE in urllib.request.urlopen(request, timeout=60).read().decode()

    def proxy(self) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.mac.ports['proxy']}") as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def files(self) -> dict[str, tuple[int, int]]:
        """Inode and time of each file of the model: neither written nor replaced, if unchanged."""
        found = sorted((self.root / "models").rglob("*.gguf"))
        return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in found if p.is_file()}


def ours_serve(fleet: Fleet) -> None:
    mac = fleet["mac1"]
    until(lambda: is_served(mac.ports["proxy"]) and is_served(mac.ports["llama_swap"]))
    job = mac.launchd.job(LABEL)
    assert job
    assert f"\n\t\t{mac.prefix}/bin/llama-swap\n" in mac.launchd.print(f"gui/501/{LABEL}")
    assert sorted(mac.launchd.labels()) == [LABEL, "com.moonspirit.proxy"]
    assert fleet.says() == SENTENCE


def test_one_deploy_takes_a_hand_run_install_over(make_fleet: Callable[..., Fleet]) -> None:
    """Its model is adopted with no byte fetched, its window ends, its other files stay."""
    fleet = make_fleet()
    mac = fleet["mac1"]
    old = HandRun(mac)
    old.log_in()
    (window,) = mac.terminals
    before, files = mac.processes(), old.files()
    assert len(files) == 3

    run = fleet.settles()

    assert run.changed("mac1") >= SERVICES
    assert "Models | Fetch the models' files" in run.changed("mac1")  # hashed, once
    assert old.files() == files
    assert not set(before) & set(mac.processes())
    assert not mac.terminals[window.number].alive
    ours_serve(fleet)
    keys = json.loads((old.root / "config.json").read_text())
    assert keys == {"apiKeys": [KEY], "contexts": {"recite": 512}}
    # Nothing of it is in the way: Python looks for modules in the working directory first.
    assert old.script.exists()
    assert (old.root / "proxy.py").read_text() == PROXY

    mac.reboot()
    ours_serve(fleet)
    assert mac.terminals == []


@pytest.mark.soak
def test_one_that_was_started_by_relative_paths_is_taken_over_too(
    make_fleet: Callable[..., Fleet],
) -> None:
    """Nothing in its command lines tells where it is; the directory where it runs does."""
    fleet = make_fleet()
    mac = fleet["mac1"]
    old = HandRun(mac, whole_paths=False)
    old.log_in()
    before = mac.processes()

    run = fleet.deploy()

    assert run.code == 0, run.err
    assert run.changed("mac1") >= SERVICES
    assert not set(before) & set(mac.processes())
    ours_serve(fleet)


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["terminal", "off"])
def test_taken_over_into_another_way_of_autostart(
    make_fleet: Callable[..., Fleet], mode: str
) -> None:
    fleet = make_fleet()
    mac = fleet["mac1"]
    old = HandRun(mac)
    old.log_in()
    files = old.files()

    fleet.settles(mac1={"launchd_autostart": mode})

    assert old.files() == files
    assert str(old.script) not in (mac.launchd.print(f"gui/501/{LABEL}"))
    mac.reboot()
    if mode == "terminal":
        until(lambda: is_served(mac.ports["proxy"]) and is_served(mac.ports["llama_swap"]))
        assert fleet.says() == SENTENCE
    else:
        assert mac.terminals == []
        assert mac.processes() == []
