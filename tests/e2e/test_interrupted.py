"""A run that is cut off anywhere is repaired by the next one, and a third changes nothing."""

import itertools
import json
import plistlib
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.reciter import write_model
from tests.e2e.fleet import SENTENCE, Fleet, plain, until

PREFLIGHT = "Preflight | Check that this Mac can serve the models"
HOMEBREW = "Packages | Install Homebrew"
FORMULAE = "Packages | Install llama.cpp, llama-swap, hf, uv and Python"
UPGRADE = "Packages | Upgrade what is outdated"
FETCH = "Models | Fetch the models' files"
CONFIG = "llama-swap | Write config.yaml"
INSTALL_PROXY = "Proxy | Install the proxy"
KEYS = "Proxy | Write the API keys"
CERTIFICATE = "Proxy | Write the certificate"
START = "Services | Write the foreground start"
OLD_JOBS = "Services | Remove old jobs"
STRAYS = "Services | Stop what runs outside launchd"
WINDOW = "Services | Open in Terminal at login"
OPENED = "Services | Open in Terminal now"
LLAMA_SWAP = "Services | Run llama-swap"
PROXY = "Services | Run the proxy"
OLD_RELEASES = "Services | Remove old releases of the proxy"
OLD_PINS = "Services | Remove old releases of llama.cpp and llama-swap"
PRUNE = "Models | Remove models that are not declared"
VERIFY = "Verify | Wait until the stack serves"
SUMMARY = "Verify | Summary"

BIG = "lab/big-GGUF"
MIB = 1 << 20

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One deployed Mac that may use sudo, and on the Hub a model of 8 MiB that is not there yet."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1", sudo="passwordless")
    write_model(fleet.lab.hub_root / BIG, "big", pad_bytes=8 * MIB)
    run = fleet.deploy()
    assert run.code == 0, run.err
    yield fleet
    fleet.stop()


# -- Work for each operation: changes the Mac or returns changed settings, never the same twice.


def stack(fleet: Fleet) -> Path:
    return fleet["mac1"].home / "llama-swap"


def another_context(fleet: Fleet) -> dict[str, Any]:
    return {"models": {"recite": {"ctx_size": 512 + next(_numbers)}}}


def no_homebrew(fleet: Fleet) -> dict[str, Any]:
    fleet["mac1"].set(homebrew=None)
    return {}


def no_llama_swap(fleet: Fleet) -> dict[str, Any]:
    brew = fleet["mac1"].prefix / "bin/brew"
    formula = "mostlygeek/llama-swap/llama-swap"
    fleet["mac1"].run(f"{brew} uninstall llama-swap; {brew} untrust --formula {formula}")
    return {}


def outdated(fleet: Fleet) -> dict[str, Any]:
    fleet["mac1"].set(formulae={"llama.cpp": f"0.9.{next(_numbers)}"})
    return {"homebrew_upgrade": True}


def no_files(fleet: Fleet) -> dict[str, Any]:
    """The last two of three are gone, and their transfers begin slowly."""
    fleet.hub("faults", [{"path": "lab/recite-GGUF/*", "delay": 0.5, "times": 2}])
    for split in stack(fleet).glob("models/recite-GGUF/*-0000[23]-*.gguf"):
        split.unlink()
    return {}


def no_proxy(fleet: Fleet) -> dict[str, Any]:
    shutil.rmtree(stack(fleet) / "proxy", ignore_errors=True)
    return {}


def no_keys(fleet: Fleet) -> dict[str, Any]:
    (stack(fleet) / "config.json").unlink(missing_ok=True)
    return {}


def a_certificate(fleet: Fleet) -> dict[str, Any]:
    """That is not wanted any more."""
    for path in ("proxy/tls-key.pem", "proxy/tls-certificate.pem"):
        (stack(fleet) / path).write_text("PEM")
    return {}


def no_start(fleet: Fleet) -> dict[str, Any]:
    (stack(fleet) / "start.command").unlink(missing_ok=True)
    return {}


def an_old_job(fleet: Fleet) -> dict[str, Any]:
    """Loaded and running, from a deploy under another label prefix."""
    mac = fleet["mac1"]
    job = {
        "Label": "com.earlier.llama-swap",
        "ProgramArguments": ["/bin/sleep", "1000"],
        "StandardOutPath": f"{stack(fleet)}/llama-swap.log",
        "EnvironmentVariables": {"HERD_DEFINITION": "0123456789abcdef"},
    }
    path = mac.home / "Library/LaunchAgents/com.earlier.llama-swap.plist"
    path.write_bytes(plistlib.dumps(job))
    path.chmod(0o644)
    mac.run(f"launchctl bootstrap gui/501 {shlex.quote(str(path))}")
    return {}


def a_stray(fleet: Fleet) -> dict[str, Any]:
    """llama-swap, started by hand instead of by launchd."""
    mac = fleet["mac1"]
    mac.launchd("bootout", "gui/501/com.moonspirit.llama-swap")
    until(lambda: mac.launchd.job("com.moonspirit.llama-swap") is None)
    program = shlex.quote(str(mac.prefix / "bin/llama-swap"))
    config = shlex.quote(str(stack(fleet) / "config.yaml"))
    port = mac.ports["llama_swap"]
    started = f"LLAMA_API_KEY=x nohup {program} --config {config} --listen 127.0.0.1:{port}"
    mac.run(f"{started} >/dev/null 2>&1 &")
    until(lambda: mac.run(f"curl -s http://127.0.0.1:{port}/health").stdout == "OK")
    return {}


def in_terminal(fleet: Fleet) -> dict[str, Any]:
    """In place of jobs in the background."""
    run = fleet.deploy()
    assert run.code == 0, run.err
    return {"launchd_autostart": "terminal"}


def watch_turned(fleet: Fleet) -> dict[str, Any]:
    shown = fleet["mac1"].launchd.print("gui/501/com.moonspirit.llama-swap")
    return {"llama_swap_watch_config": "--watch-config" not in shown}


def address_turned(fleet: Fleet) -> dict[str, Any]:
    shown = fleet["mac1"].launchd.print("gui/501/com.moonspirit.proxy")
    return {"proxy_host": "127.0.0.1" if "[::]" in shown else "::"}


def an_old_release(fleet: Fleet) -> dict[str, Any]:
    (stack(fleet) / "proxy/release-0123456789abcdef/proxy").mkdir(parents=True, exist_ok=True)
    return {}


def an_old_pin(fleet: Fleet) -> dict[str, Any]:
    """Of which only a part was unpacked."""
    (stack(fleet) / "releases/llama.cpp/b1-0123456789ab.tmp").mkdir(parents=True, exist_ok=True)
    return {}


def an_old_model(fleet: Fleet) -> dict[str, Any]:
    """That a deploy fetched and no setting names any more."""
    name = f"old{next(_numbers)}"
    repo = f"lab/{name}-GGUF"
    write_model(fleet.lab.hub_root / repo, name)
    run = fleet.deploy(mac1={"models": {name: {"repo": repo, "ctx_size": 256}}})
    assert run.code == 0, run.err
    return {"models_prune": True}


def unloaded(fleet: Fleet) -> dict[str, Any]:
    """A model to be preloaded is not in memory."""
    run = fleet.deploy(mac1={"models": {"recite": {"preload": True}}})
    assert run.code == 0, run.err
    port = fleet["mac1"].ports["llama_swap"]
    key = shlex.quote(
        f"Authorization: Bearer {(stack(fleet) / 'llama-swap.key').read_text().strip()}"
    )
    url = f"http://127.0.0.1:{port}/api/models/unload"
    fleet["mac1"].run(f"curl -s -f -X POST -H {key} {url}", check=True)
    return {"models": {"recite": {"preload": True}}}


WORK: dict[str, Callable[[Fleet], dict[str, Any]]] = {
    PREFLIGHT: another_context,
    HOMEBREW: no_homebrew,
    FORMULAE: no_llama_swap,
    UPGRADE: outdated,
    FETCH: no_files,
    CONFIG: another_context,
    INSTALL_PROXY: no_proxy,
    KEYS: no_keys,
    CERTIFICATE: a_certificate,
    START: no_start,
    OLD_JOBS: an_old_job,
    STRAYS: a_stray,
    WINDOW: in_terminal,
    OPENED: in_terminal,
    LLAMA_SWAP: watch_turned,
    PROXY: address_turned,
    OLD_RELEASES: an_old_release,
    OLD_PINS: an_old_pin,
    PRUNE: an_old_model,
    VERIFY: unloaded,
    SUMMARY: another_context,
}
# Operations that never change a Mac, or have work only once the one before has done its own.
IDLE = {PREFLIGHT, SUMMARY, OPENED}


def killed_in(fleet: Fleet, operation: str, delay: float, **data: Any) -> str:
    """Run a deploy and kill it so many seconds after it began an operation; what it printed."""
    deploying = fleet.begin(**({"mac1": data} if data else {}))
    deploying.await_line(f"--> Starting operation: {operation}")
    time.sleep(delay)
    deploying.kill()
    return deploying.out


def debris(fleet: Fleet) -> list[str]:
    """Files and processes that only an interrupted run can have left."""
    mac = fleet["mac1"]
    suffixes = {".new", ".part", ".pieces", ".gz"}
    files = [
        str(p)
        for p in stack(fleet).rglob("*")
        if (p.suffix in suffixes or ".part" in p.name) and "env-" not in str(p)
    ]
    agents = [p.name for p in (mac.home / "Library/LaunchAgents").iterdir() if p.suffix != ".plist"]
    commands = mac.run("ps -axww -o args=").stdout.splitlines()
    busy = [c for c in commands if "fetcher.pyz" in c or "config.trial.yaml" in c]
    return files + agents + busy


def is_repaired(fleet: Fleet, **data: Any) -> None:
    """A normal run ends converged and serving, and one more changes nothing."""
    given = {"mac1": data} if data else {}
    run, again = fleet.deploy(**given), fleet.deploy(**given)
    assert run.code == 0, run.err
    assert again.code == 0, again.err
    assert again.changed("mac1") == set(), f"{plain(run.err)}\n{plain(again.err)}"
    assert fleet.says() == SENTENCE
    assert debris(fleet) == []


# -- Representative ones; one is in each run of the tests: test_launchd.py


@pytest.mark.soak
def test_killed_while_a_config_is_written(fleet: Fleet) -> None:
    data = another_context(fleet)
    killed_in(fleet, CONFIG, 0.2, **data)

    is_repaired(fleet, **data)

    assert (
        f"--ctx-size {data['models']['recite']['ctx_size']}\n"
        in (stack(fleet) / "config.yaml").read_text()
    )


@pytest.mark.soak
def test_killed_while_the_proxy_is_installed(fleet: Fleet) -> None:
    no_proxy(fleet)
    killed_in(fleet, INSTALL_PROXY, 0.6)

    is_repaired(fleet)


@pytest.mark.soak
def test_killed_while_llama_swap_is_switched_over(fleet: Fleet) -> None:
    killed_in(fleet, LLAMA_SWAP, 0.05, llama_swap_watch_config=False)

    is_repaired(fleet, llama_swap_watch_config=False)

    assert "--watch-config" not in fleet["mac1"].launchd.print("gui/501/com.moonspirit.llama-swap")


@pytest.mark.soak
def test_a_restart_is_not_lost(fleet: Fleet) -> None:
    """Killed after the new config.yaml was written, before the job that reads it at its start
    was switched: the file is as wanted in the next run, and the job is switched all the same."""
    before = fleet.deploy(mac1={"llama_swap_watch_config": False})
    assert before.code == 0, before.err
    data = {"llama_swap_watch_config": False, **another_context(fleet)}
    old = fleet["mac1"].launchd.job("com.moonspirit.llama-swap")
    killed_in(fleet, START, 0, **data)
    written = (stack(fleet) / "config.yaml").stat()
    job = fleet["mac1"].launchd.job("com.moonspirit.llama-swap")
    assert job
    assert old
    assert job["pid"] == old["pid"]

    run = fleet.deploy(mac1=data)

    assert run.code == 0, run.err
    assert CONFIG not in run.changed("mac1")
    assert LLAMA_SWAP in run.changed("mac1")
    assert (stack(fleet) / "config.yaml").stat().st_mtime_ns == written.st_mtime_ns
    job = fleet["mac1"].launchd.job("com.moonspirit.llama-swap")
    assert job
    assert job["pid"] != old["pid"]
    assert fleet.says() == SENTENCE


BIG_MODEL = {"models": {"big": {"repo": BIG, "ctx_size": 256}}}


@pytest.fixture
def slow(fleet: Fleet) -> Fleet:
    """A Mac that lacks the big model, whose second split comes slowly at first."""
    shutil.rmtree(stack(fleet) / "models/big-GGUF", ignore_errors=True)
    fleet.hub("reset")
    fleet.hub("faults", {"path": f"{BIG}/*-00002-*", "rate": 0.25 * MIB, "times": 5})
    return fleet


def was_sent_once(fleet: Fleet) -> None:
    """No byte left the Hub twice, but for those that were in flight."""
    seen = fleet.hub()
    for split in (fleet.lab.hub_root / BIG).iterdir():
        sent = seen["files"][f"{BIG}/{split.name}"]
        assert split.stat().st_size <= sent < split.stat().st_size + MIB


def is_exact(fleet: Fleet) -> bool:
    """Whether the model is on the Mac, byte for byte."""
    return all(
        split.read_bytes() == (stack(fleet) / "models/big-GGUF" / split.name).read_bytes()
        for split in (fleet.lab.hub_root / BIG).iterdir()
    )


def part_of(fleet: Fleet) -> int:
    """Bytes of the second split that are on the Mac, as its journal tells."""
    journals = stack(fleet).glob("models/big-GGUF/.herd/*-00002-*.pieces")
    return sum(int(json.loads(path.read_text())["have"]) for path in journals)


@pytest.mark.soak
def test_killed_while_a_model_is_fetched(slow: Fleet) -> None:
    deploying = slow.begin(mac1=BIG_MODEL)
    until(lambda: part_of(slow) > MIB)
    deploying.kill()

    is_repaired(slow, **BIG_MODEL)

    was_sent_once(slow)
    assert is_exact(slow)
    assert slow.says(model="big") == SENTENCE


@pytest.mark.soak
def test_a_person_who_presses_ctrl_c_need_not_wait(slow: Fleet) -> None:
    """And whoever started the run hears that it did not end well."""
    deploying = slow.begin(mac1=BIG_MODEL)
    until(lambda: part_of(slow) > MIB)
    deploying.process.send_signal(signal.SIGINT)

    assert deploying.wait(10) == 130
    assert "the next run waits for that, and goes on from there" in deploying.out
    is_repaired(slow, **BIG_MODEL)
    was_sent_once(slow)


@pytest.mark.soak
def test_connection_lost_while_a_model_is_fetched(slow: Fleet) -> None:
    """The run says so and ends; the next one goes on."""
    deploying = slow.begin(mac1=BIG_MODEL)
    until(lambda: part_of(slow) > MIB)
    slow["mac1"].disconnect()

    assert deploying.wait(60) == 1
    assert "Traceback" not in deploying.out
    run = slow.deploy(mac1=BIG_MODEL)

    assert run.code == 0, run.err
    was_sent_once(slow)
    assert is_exact(slow)
    assert slow.says(model="big") == SENTENCE


@pytest.mark.soak
def test_every_process_of_the_mac_killed_in_a_deploy(slow: Fleet) -> None:
    """Remote shells, transfers and services at once, as when memory runs out."""
    deploying = slow.begin(mac1=BIG_MODEL)
    until(lambda: part_of(slow) > MIB)
    assert slow["mac1"].kill_all() > 3

    assert deploying.wait(60) == 1
    assert "Traceback" not in deploying.out
    assert FETCH in deploying.out
    run = slow.deploy(mac1=BIG_MODEL)

    assert run.code == 0, run.err
    was_sent_once(slow)
    assert is_exact(slow)
    assert slow.says() == SENTENCE


@pytest.mark.soak
def test_two_deploys_fetch_the_same_model_at_once(slow: Fleet) -> None:
    """The later one takes over; two writers would spoil the file."""
    slow.hub("reset")
    # Slow enough that the first is still at it when the second comes, however busy we are.
    slow.hub("faults", {"path": f"{BIG}/*-00002-*", "rate": MIB / 64, "times": 5})
    first = slow.begin(mac1=BIG_MODEL)
    until(lambda: part_of(slow) > MIB / 8)
    second = slow.begin(mac1=BIG_MODEL)

    assert second.wait() == 0, second.out
    first.wait()
    assert "taking over" in second.out
    was_sent_once(slow)
    assert is_exact(slow)


# -- The long matrix


@pytest.mark.soak
@pytest.mark.parametrize("delay", [0, 0.05, 0.2, 0.6])
@pytest.mark.parametrize("operation", WORK)
def test_killed_in_each_operation_that_has_work(fleet: Fleet, operation: str, delay: float) -> None:
    data = WORK[operation](fleet)
    if delay == 0 and operation not in IDLE:
        given = {"mac1": data} if data else {}
        inventory = fleet.inventory(**given) if data else fleet.lab.inventory
        dry = fleet.pyinfra("--dry", str(inventory), "deploy.py")
        (row,) = [line for line in plain(dry.out + dry.err).splitlines() if operation in line]
        assert row.partition(operation)[2].split()[0] == "1", f"it has no work: {row}"
    killed_in(fleet, operation, delay, **data)

    is_repaired(fleet, **data)


@pytest.mark.soak
@pytest.mark.parametrize("delay", [0.05, 0.4])
def test_a_fresh_mac_survives_a_kill_in_every_operation(
    make_fleet: Callable[..., Fleet], delay: float
) -> None:
    """One after the other on one Mac, so that each meets what those before it left."""
    fleet = make_fleet("mac1", homebrew="absent", sudo="passwordless")
    for operation in WORK:
        if operation not in {UPGRADE, WINDOW, OPENED}:
            killed_in(fleet, operation, delay)

    is_repaired(fleet)
