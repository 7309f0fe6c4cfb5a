"""Deliberate breakages of a deployed Mac: each breaks one thing, and mends it again."""

import os
import plistlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Breakage:
    """What is broken, which check names it with which words, and which further ones it fails."""

    breaks: Break
    check: str
    words: str
    follows: frozenset[str] = frozenset()


def root(mac: Mac) -> Path:
    return mac.home / "llama-swap"


def agent(mac: Mac, label: str) -> Path:
    return mac.home / f"Library/LaunchAgents/{label}.plist"


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


def gone(path: Callable[[Mac], Path]) -> Break:
    return partial(_gone, path)


def last_split(mac: Mac) -> Path:
    return max((root(mac) / "models").rglob("*.gguf"))


def receipt(mac: Mac) -> Path:
    return last_split(mac).parent / ".herd" / f"{last_split(mac).name}.receipt"


def proxy_code(mac: Mac) -> Path:
    (release,) = (root(mac) / "proxy").glob("release-*")
    return release / "proxy" / "policy.py"


@contextmanager
def truncated(mac: Mac) -> Iterator[None]:
    path = last_split(mac)
    with _gone(last_split, mac) as aside:
        path.write_bytes(aside.read_bytes()[:-100])
        yield


def _model(change: Callable[[dict[str, Any]], None]) -> Break:
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
    asked = f"curl -s --max-time 5 http://127.0.0.1:{port}/v1/models"
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
            words = (sys.executable, str(FAKE), str(port), str(upstream), *options)
            running.enter_context(process(mac, port, *words))
            yield

    return breaks


# -- Which checks name them

CLIENTS = frozenset(
    {
        "without_a_key_nobody_is_let_in",
        "with_a_key_one_is_let_in",
        "the_key_sees_exactly_its_models",
        "a_completion_streams",
    }
)
PORTS = frozenset({"ports_are_bound_to_their_addresses_only", "ports_are_held_by_their_jobs"})
HOLD, MODES, DIRECTORIES, PRIVATE, MODELS, LOADED, DEFINED, BOUND, HELD = (
    "files_hold_what_was_declared",
    "files_have_their_modes_and_owners",
    "directories_are_the_users_and_nobody_else_writes_there",
    "logs_and_books_are_for_their_owner_only",
    "model_files_are_whole_and_verified",
    "jobs_are_loaded_and_run",
    "jobs_have_the_declared_definition",
    "ports_are_bound_to_their_addresses_only",
    "ports_are_held_by_their_jobs",
)
LISTED = "exactly_the_declared_models_are_listed"


def at(*names: str) -> Callable[[Mac], Path]:
    return lambda mac: root(mac).joinpath(*names)


def plist(label: str) -> Callable[[Mac], Path]:
    return lambda mac: agent(mac, label)


FAST = {
    "keys readable by others": Breakage(
        mode(at("config.json"), 0o644), MODES, "config.json\n    Its mode is 644, not 600. Others"
    ),
    "proxy not loaded": Breakage(
        unloaded(PROXY), LOADED, f"job {PROXY}\n    It is not loaded.", CLIENTS | PORTS
    ),
    "llama-swap open to the network": Breakage(
        loaded_otherwise(LLAMA_SWAP, listening_on("0.0.0.0", "llama_swap")),
        BOUND,
        "(llama_swap_port)\n    It is bound to *, not to 127.0.0.1.",
        frozenset({DEFINED}),
    ),
    "proxy that asks for no key": Breakage(
        fake("--open"),
        "without_a_key_nobody_is_let_in",
        "Without a key it answers HTTP 200, not 401.",
        frozenset({LOADED, HELD}),
    ),
    "stream in one piece": Breakage(
        fake("--whole"),
        "a_completion_streams",
        "The answer came in one piece: 64 tokens within",
        frozenset({LOADED, HELD}),
    ),
    "model file truncated": Breakage(truncated, MODELS, "bytes, not"),
}

SLOW = {
    "package uninstalled": Breakage(
        uninstalled, "packages_are_installed_and_linked", "package hf\n    It is not installed."
    ),
    "config.yaml edited": Breakage(
        content(at("config.yaml"), lambda text: text.replace("logLevel: info", "logLevel: warn")),
        HOLD,
        "config.yaml\n    It holds something else.",
    ),
    "plist edited": Breakage(
        content(plist(PROXY), lambda text: text.replace("Interactive", "Background")),
        HOLD,
        "proxy.plist\n    It holds something else.",
    ),
    "plist of another mode": Breakage(
        mode(plist(LLAMA_SWAP), 0o664), MODES, "llama-swap.plist\n    Its mode is 664, not 644."
    ),
    "plist removed": Breakage(
        gone(plist(LLAMA_SWAP)), HOLD, "llama-swap.plist\n    There is no such file."
    ),
    "start.command not executable": Breakage(
        mode(at("start.command"), 0o644), MODES, "start.command\n    Its mode is 644, not 755."
    ),
    "other keys": Breakage(
        content(at("config.json"), lambda text: text.replace(KEY, "sk-of-another-0123456789")),
        "with_a_key_one_is_let_in",
        "it answers HTTP 401, not 200",
        frozenset({HOLD, "the_key_sees_exactly_its_models", "a_completion_streams"}),
    ),
    "log readable by others": Breakage(
        mode(at("proxy.log"), 0o644), PRIVATE, "proxy.log\n    Others can read it: mode 644."
    ),
    "books readable by others": Breakage(
        mode(at("usage.db"), 0o640), PRIVATE, "usage.db\n    Others can read it: mode 640."
    ),
    "certificate's key left behind": Breakage(
        partial(_more, at("proxy", "tls-key.pem"), lambda _: b"a key"),
        HOLD,
        "tls-key.pem\n    It is there, though no certificate is declared.",
    ),
    "models of another user": Breakage(
        partial(_owner, at("models")), DIRECTORIES, "models\n    It is root's, not tester's."
    ),
    "root open to the group": Breakage(
        mode(at(), 0o775), DIRECTORIES, "llama-swap\n    Others can write there: mode 775."
    ),
    "proxy's code edited": Breakage(
        content(proxy_code, lambda text: f"{text}\n# by hand\n"),
        "the_proxys_code_is_the_one_of_this_checkout",
        "policy.py\n    It is not as this checkout has it.",
    ),
    "receipt gone": Breakage(gone(receipt), MODELS, "It was never verified, or has changed since."),
    "model file gone": Breakage(gone(last_split), MODELS, ".gguf\n    There is no such file."),
    "model not listed": Breakage(
        _model(lambda models: models.update({"recite-2": models.pop("recite")})),
        LISTED,
        "It does not list recite. It lists recite-2, which is not declared.",
        frozenset({HOLD, "a_completion_streams"}),
    ),
    "model too many": Breakage(
        _model(lambda models: models.update({"recite-2": models["recite"]})),
        LISTED,
        "It lists recite-2, which is not declared.",
        frozenset({HOLD}),
    ),
    "llama-swap not loaded": Breakage(
        unloaded(LLAMA_SWAP),
        LOADED,
        f"job {LLAMA_SWAP}\n    It is not loaded.",
        PORTS
        | {"with_a_key_one_is_let_in", "the_key_sees_exactly_its_models"}
        | {"a_completion_streams", LISTED},
    ),
    "llama-swap with other arguments": Breakage(
        loaded_otherwise(LLAMA_SWAP, without_watch), DEFINED, f"job {LLAMA_SWAP}\n    launchd has"
    ),
    "proxy on loopback only": Breakage(
        loaded_otherwise(PROXY, listening_on("127.0.0.1", "proxy")),
        BOUND,
        "(proxy_port)\n    It is bound to 127.0.0.1, not to *.",
        frozenset({DEFINED}),
    ),
    "proxy of an old release": Breakage(old_release, DEFINED, "release-00000000, not /"),
    "proxy that crashes": Breakage(
        crashing, LOADED, f"job {PROXY}\n    It does not run:", CLIENTS | PORTS | {HOLD}
    ),
    "job of an earlier deploy": Breakage(
        job_of_an_earlier_deploy, "there_is_no_other_job_of_this_stack", "job com.example.old"
    ),
    "stray llama-server": Breakage(
        stray, "nothing_else_of_the_stack_listens", "no llama-swap started it"
    ),
}
