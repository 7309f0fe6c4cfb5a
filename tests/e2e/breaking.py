"""Ways to break one thing of a deployed Mac; each mends it again at its end."""

import os
import plistlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from lab.lab import Mac
from tests.e2e.fleet import KEY, is_served, until

DOMAIN = "gui/501"
LLAMA_SWAP = "com.moonspirit.llama-swap"
PROXY = "com.moonspirit.proxy"

# A proxy that a person might have put in the place of ours.
FAKE = Path(__file__).with_name("fake_proxy.py")

Break = Callable[[Mac], AbstractContextManager[object]]


def root(mac: Mac) -> Path:
    return mac.home / "llama-swap"


def agent(mac: Mac, label: str) -> Path:
    return mac.home / f"Library/LaunchAgents/{label}.plist"


def at(*names: str) -> Callable[[Mac], Path]:
    return lambda mac: root(mac).joinpath(*names)


def plist(label: str) -> Callable[[Mac], Path]:
    return lambda mac: agent(mac, label)


# -- Files


@contextmanager
def _mode(path: Callable[[Mac], Path], mode: int, mac: Mac) -> Iterator[None]:
    before = path(mac).stat().st_mode & 0o777
    path(mac).chmod(mode)
    try:
        yield
    finally:
        path(mac).chmod(before)


@contextmanager
def _content(path: Callable[[Mac], Path], change: Callable[[str], str], mac: Mac) -> Iterator[None]:
    """In place, so that the mode stays."""
    before = path(mac).read_text()
    path(mac).write_text(change(before))
    try:
        yield
    finally:
        path(mac).write_text(before)


@contextmanager
def _gone(path: Callable[[Mac], Path], mac: Mac) -> Iterator[Path]:
    """Set aside, so that a file that comes back is the very same."""
    there = path(mac)
    aside = there.with_name(f".aside-{there.name}")
    there.rename(aside)
    try:
        yield aside
    finally:
        there.unlink(missing_ok=True)
        aside.rename(there)


@contextmanager
def _owner(path: Callable[[Mac], Path], mac: Mac) -> Iterator[None]:
    """Of another user: the lab shows whatever is not ours as root's."""
    os.chown(path(mac), 12345, -1)
    try:
        yield
    finally:
        os.chown(path(mac), os.getuid(), -1)


@contextmanager
def _more(path: Callable[[Mac], Path], content: Callable[[Mac], bytes], mac: Mac) -> Iterator[None]:
    """A file that should not be there."""
    path(mac).write_bytes(content(mac))
    try:
        yield
    finally:
        path(mac).unlink()


def mode(path: Callable[[Mac], Path], mode: int) -> Break:
    return partial(_mode, path, mode)


def content(path: Callable[[Mac], Path], change: Callable[[str], str]) -> Break:
    return partial(_content, path, change)


def owner(path: Callable[[Mac], Path]) -> Break:
    return partial(_owner, path)


def more(path: Callable[[Mac], Path], content: Callable[[Mac], bytes]) -> Break:
    return partial(_more, path, content)


def gone(path: Callable[[Mac], Path]) -> Break:
    return partial(_gone, path)


def last_split(mac: Mac) -> Path:
    return max((root(mac) / "models").rglob("*.gguf"))


def receipt(mac: Mac) -> Path:
    return last_split(mac).parent / ".herd" / f"{last_split(mac).name}.receipt"


def proxy_code(mac: Mac) -> Path:
    (release,) = (root(mac) / "proxy").glob("release-*")
    return release / "proxy" / "__main__.py"


@contextmanager
def truncated(mac: Mac) -> Iterator[None]:
    path = last_split(mac)
    with _gone(last_split, mac) as aside:
        path.write_bytes(aside.read_bytes()[:-100])
        yield


def model(change: Callable[[dict[str, Any]], None]) -> Break:
    """Another list of models in config.yaml, which llama-swap reads again."""

    def changed(text: str) -> str:
        document = yaml.safe_load(text)
        change(document["models"])
        return yaml.safe_dump(document)

    @contextmanager
    def breaks(mac: Mac) -> Iterator[None]:
        before = _listed(mac)
        with _content(lambda mac: root(mac) / "config.yaml", changed, mac):
            until(lambda: _listed(mac) not in (before, ""))
            yield
        until(lambda: _listed(mac) == before)

    return breaks


def _listed(mac: Mac) -> str:
    """The names alone, as entries carry the time."""
    port = mac.ports["llama_swap"]
    key = (root(mac) / "llama-swap.key").read_text().strip()
    asked = f"curl -s --max-time 5 -H 'x-api-key: {key}' http://127.0.0.1:{port}/v1/models"
    return " ".join(sorted(w for w in mac.run(asked).stdout.split('"') if "recite" in w))


# -- Packages


@contextmanager
def uninstalled(mac: Mac) -> Iterator[None]:
    brew = mac.prefix / "bin/brew"
    mac.run(f"{brew} uninstall hf", check=True)
    try:
        yield
    finally:
        mac.run(f"{brew} install hf", check=True)


# -- Jobs


def unload(mac: Mac, label: str) -> None:
    mac.launchd("bootout", f"{DOMAIN}/{label}")
    until(lambda: mac.launchd.job(label) is None)


def load(mac: Mac, label: str) -> None:
    mac.launchd("bootstrap", DOMAIN, str(agent(mac, label)))
    port = mac.ports["proxy" if label == PROXY else "llama_swap"]
    until(lambda: is_served(port))


@contextmanager
def _unloaded(label: str, mac: Mac) -> Iterator[None]:
    unload(mac, label)
    try:
        yield
    finally:
        load(mac, label)


@contextmanager
def _loaded_otherwise(
    label: str, change: Callable[[dict[str, Any], Mac], None], mac: Mac
) -> Iterator[None]:
    """The file is the declared one again, but launchd has taken another."""
    path = agent(mac, label)
    declared = path.read_bytes()
    definition = plistlib.loads(declared)
    change(definition, mac)
    unload(mac, label)
    path.write_bytes(plistlib.dumps(definition))
    load(mac, label)
    path.write_bytes(declared)
    try:
        yield
    finally:
        unload(mac, label)
        load(mac, label)


def unloaded(label: str) -> Break:
    return partial(_unloaded, label)


def loaded_otherwise(label: str, change: Callable[[dict[str, Any], Mac], None]) -> Break:
    return partial(_loaded_otherwise, label, change)


def listening_on(address: str, port: str) -> Callable[[dict[str, Any], Mac], None]:
    def change(definition: dict[str, Any], mac: Mac) -> None:
        words = definition["ProgramArguments"]
        words[words.index("--listen") + 1] = f"{address}:{mac.ports[port]}"

    return change


def without_watch(definition: dict[str, Any], mac: Mac) -> None:
    definition["ProgramArguments"].remove("--watch-config")


def of_an_old_release(definition: dict[str, Any], mac: Mac) -> None:
    environment = definition["EnvironmentVariables"]
    old = root(mac) / "proxy" / "release-00000000"
    if not old.exists():
        shutil.copytree(environment["PYTHONPATH"], old)
    environment["PYTHONPATH"] = str(old)


@contextmanager
def old_release(mac: Mac) -> Iterator[None]:
    with _loaded_otherwise(PROXY, of_an_old_release, mac):
        yield
    shutil.rmtree(root(mac) / "proxy" / "release-00000000")


@contextmanager
def crashing(mac: Mac) -> Iterator[None]:
    """A proxy that launchd starts again and again: its file of keys is none."""
    path = root(mac) / "config.json"
    with _content(lambda _: path, lambda _: "no JSON", mac):
        unload(mac, PROXY)
        mac.launchd("bootstrap", DOMAIN, str(agent(mac, PROXY)))
        until(lambda: "pid" not in (mac.launchd.job(PROXY) or {"pid": ""}))
        yield
    unload(mac, PROXY)
    load(mac, PROXY)


@contextmanager
def job_of_an_earlier_deploy(mac: Mac) -> Iterator[None]:
    definition = plistlib.loads(agent(mac, PROXY).read_bytes()) | {"Label": "com.example.old"}
    with _more(
        lambda mac: agent(mac, "com.example.old"), lambda _: plistlib.dumps(definition), mac
    ):
        yield


# -- Processes


@contextmanager
def process(mac: Mac, port: int, *command: str) -> Iterator[None]:
    """One that launchd did not start."""
    started = subprocess.Popen(
        command,
        cwd=mac.home,
        env=mac.environment() | {"FAKE_KEY": KEY},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: is_served(port))
        yield
    finally:
        started.kill()
        started.wait()


@contextmanager
def stray(mac: Mac) -> Iterator[None]:
    """A llama-server that somebody left on a port of its own."""
    port = mac.ports["start"] + 15
    first = str(min((root(mac) / "models").rglob("*.gguf")))
    server = str(mac.prefix / "bin/llama-server")
    with process(mac, port, server, "--model", first, "--port", str(port), "-c", "64"):
        yield


def fake(*options: str) -> Break:
    """In the place of the proxy, whose job is unloaded."""

    @contextmanager
    def breaks(mac: Mac) -> Iterator[None]:
        port, upstream = mac.ports["proxy"], mac.ports["llama_swap"]
        with _unloaded(PROXY, mac), ExitStack() as running:
            key = str(root(mac) / "llama-swap.key")
            words = (sys.executable, str(FAKE), str(port), str(upstream), key, *options)
            running.enter_context(process(mac, port, *words))
            yield

    return breaks
