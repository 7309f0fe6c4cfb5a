"""Every verb of `python -m herd`: what it does, what it prints, and clear words when it cannot."""

import fcntl
import hashlib
import json
import os
import pty
import re
import signal
import socketserver
import stat
import subprocess
import sys
import termios
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lab.lab import Mac
from lab.reciter import write_model
from tests import preloaded
from tests.docs import typed
from tests.e2e.fleet import KEY, PROJECT, SENTENCE, Fleet, Run, is_served, until

VERBS = {
    "status": ["--limit", "--json"],
    "uninstall": ["--limit", "--yes", "--dry", "--models", "--packages", "--json"],
    "bench": ["--limit", "--model", "--runs", "--json"],
    "top": ["--limit", "--interval", "--count", "--once", "--json"],
    "doctor": ["--limit", "--fix", "--json"],
    "roll": ["--limit", "--parallel", "--accept-outage", "--json"],
    "upgrade": ["--limit", "--parallel", "--accept-outage", "--json"],
    "rollback": ["--limit", "--parallel", "--accept-outage", "--json"],
    "start": ["--limit", "SERVICE", "--json"],
    "stop": ["--limit", "SERVICE", "--json"],
    "restart": ["--limit", "SERVICE", "--json"],
    "load": ["--limit", "MODEL", "--json"],
    "run": ["--limit"],
    "dashboard": ["--limit"],
    "chat": ["--limit", "--model", "--no-stream"],
    "unload": ["--limit", "MODEL", "--json"],
    "logs": ["--limit", "--lines", "--follow", "--json"],
    "fetch": ["--limit", "--include", "--revision"],
    "fit": ["--limit", "--memory", "--macos", "--json"],
    "usage": ["--limit", "--since", "--key", "--json"],
    "lock": ["MODEL"],
    "key": ["NAME", "--models", "--expires", "--rotate"],
}


def refused(run: Run, *words: str) -> None:
    """It failed with one clear line, which holds the words."""
    assert run.code == 1, run.out
    (line,) = run.err.splitlines()
    for word in words:
        assert word in line


class Server(socketserver.ThreadingTCPServer):
    """Somebody on a port."""

    allow_reuse_address = True
    daemon_threads = True


def both_served(mac: Mac) -> bool:
    return is_served(mac.ports["llama_swap"]) and is_served(mac.ports["proxy"])


def none_served(mac: Mac) -> bool:
    return not is_served(mac.ports["llama_swap"]) and not is_served(mac.ports["proxy"])


@pytest.fixture
def fleet(deployed: Fleet) -> Fleet:
    """The module's Mac, serving."""
    if not both_served(deployed["mac1"]):
        run = deployed.herd("start")
        assert run.code == 0, run.err
        until(lambda: both_served(deployed["mac1"]))
    return deployed


@contextmanager
def under_way(
    fleet: Fleet, *words: str, inventory: Path | None = None, terminal: bool = False
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A verb that goes on until it is interrupted, and a descriptor of what it prints.

    In a terminal, what is written to that descriptor is typed.
    """
    command = [sys.executable, "-u", "-m", "herd", *words]
    command += ["--inventory", str(inventory or fleet.lab.inventory)]
    ours, theirs = pty.openpty() if terminal else os.pipe()

    def controlling() -> None:
        if terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env=fleet.environment,
        stdin=theirs if terminal else subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=controlling,
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


class Output:
    """What came from a descriptor so far."""

    def __init__(self, descriptor: int) -> None:
        self.text = ""
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    def has(self, pattern: str) -> re.Match[str] | None:
        with suppress(OSError):  # nothing new, or EIO: nobody is left there
            self.text += os.read(self._descriptor, 65536).decode()
        return re.search(pattern, self.text)


# -- status


def test_status_shows_services_models_versions_and_whether_all_is_served(fleet: Fleet) -> None:
    mac = fleet["mac1"]
    assert fleet.says() == SENTENCE

    run = fleet.herd("status")

    assert run.code == 0, run.err
    lines = run.out.splitlines()
    url = f"http://127.0.0.1:{mac.ports['proxy']}"
    assert lines[0] == f"mac1  {url}/v1  (Anthropic's clients: {url})"
    rows = dict(line.split(None, 1) for line in lines[1:])
    job = mac.launchd.job("com.moonspirit.proxy") or {}
    times = f"{job['runs']} run{'' if job['runs'] == '1' else 's'}"
    assert rows["proxy"] == f"running, pid {job['pid']}, {times}"
    assert rows["llama-swap"].startswith("running, pid ")
    assert rows["recite"] == "ready"
    assert re.fullmatch(r"llama\.cpp 0\.\S+, llama-swap \d+", rows["versions"])
    assert rows["serves"] == "yes"
    assert re.fullmatch(r"llama-swap \d.*, proxy \d.*, the Mac \d.*", rows["up"])
    assert rows["memory"].startswith("128.0 GiB, ")
    assert rows["memory"].endswith("pressure normal")
    assert rows["drift"] == "none"
    assert re.match(r"\d{4}-\d\d-\d\dT\S+Z by \S+@", rows["deployed"])


def test_status_says_what_a_deploy_would_change_and_programs_can_read_it(
    fleet: Fleet, two: Path
) -> None:
    stack = fleet["mac1"].home / "llama-swap"
    config, start = stack / "config.yaml", stack / "start.command"
    closed = stack / "availability.json"
    before = config.read_text(), start.read_text()
    try:
        config.write_text(before[0] + "# mine\n")
        start.unlink()
        closed.write_text('{"state": "drain", "reason": "a disk"}')
        run = fleet.herd("status", "--json", inventory=two)
    finally:
        closed.unlink()
        config.write_text(before[0])
        start.write_text(before[1])
        start.chmod(0o755)

    told = json.loads(run.out)
    assert run.code == 1, "mac2 is not reached"
    assert (told["schema"], told["verb"], list(told["unreached"])) == (1, "status", ["mac2"])
    (mac,) = told["hosts"].values()
    assert (mac["serves"], mac["availability"]) == (False, "drain: a disk")
    assert mac["wrong"].startswith("it takes no new requests (drain: a disk)")
    assert mac["drift"]["changes"] == [
        "llama-swap | Write config.yaml",
        "Services | Write the foreground start",
    ]
    assert mac["last_deploy"]["by"]
    assert mac["services"]["proxy"]["state"] == "running"


def test_status_of_a_stopped_stack_is_a_failure(fleet: Fleet) -> None:
    assert fleet.herd("stop").code == 0

    run = fleet.herd("status")

    assert run.code == 1
    assert run.err == ""
    assert re.search(r"^  proxy +not loaded$", run.out, re.MULTILINE)
    assert re.search(r"^  serves +llama-swap does not answer on /health$", run.out, re.MULTILINE)


@pytest.mark.soak
def test_status_without_a_key_here_looks_at_what_it_can(fleet: Fleet) -> None:
    run = fleet.herd("status", API_KEYS="")
    wrong = fleet.herd("status", API_KEYS="sk-of-another-fleet-0123456789")

    assert run.code == 0
    assert "yes (not tried with a key: There is no API key" in run.out
    assert wrong.code == 1
    assert "the proxy answers HTTP 401 with a key" in wrong.out


# -- bench


def test_bench_keeps_what_it_measures_and_compares_it_with_the_last(fleet: Fleet) -> None:
    path = fleet.lab.inventory.with_name("speeds.json")

    first = fleet.herd("bench", "--runs", "1")
    second = fleet.herd("bench", "--runs", "1", "--json")

    assert first.code == 0, first.err
    assert re.match(r"\[mac1\] recite: prompt [\d.]+ tok/s, answer [\d.]+ tok/s \(", first.out)
    told = json.loads(second.out)["hosts"]["mac1"]
    assert told["now"]["generated_tokens"] > 0
    assert told["before"]["when"] <= told["now"]["when"]
    assert [each["model"] for each in json.loads(path.read_text())["speeds"]] == ["recite"]
    refused(fleet.herd("bench", "--model", "none"), "[mac1] http", "HTTP 404")


# -- doctor


def test_doctor_finds_several_faults_at_once_mends_what_is_safe_and_nothing_on_a_right_mac(
    fleet: Fleet,
) -> None:
    mac = fleet["mac1"]
    before = {name: mac.facts[name] for name in ("power", "filevault", "firewall", "sysctl")}
    reports = mac.home / "Library/Logs/DiagnosticReports"
    reports.mkdir(parents=True, exist_ok=True)
    report = reports / "llama-server-2026-11-29-010203.ips"
    try:
        mac.set(power={**before["power"], "sleep": "0"})
        right = fleet.herd("doctor")
        assert (right.code, right.out) == (0, "mac1  nothing found\n"), right.out

        report.write_text("{}")
        mac.set(
            power=before["power"],
            filevault=True,
            firewall=2,
            sysctl={"kern.memorystatus_vm_pressure_level": "4"},
        )
        assert fleet.herd("stop", "proxy").code == 0
        found = fleet.herd("doctor", "--json", HERD_PROGRAM="llama-herd")
        told = json.loads(found.out)
        names = {each["name"] for each in told["hosts"]["mac1"]}
        assert (found.code, told["schema"]) == (1, 1)
        assert names == {
            *("not-serving", "service-not-loaded", "memory-pressure", "sleeps", "filevault"),
            *("crashed", "drift", "firewall"),
        }
        assert all(each["evidence"] and each["fix"] for each in told["hosts"]["mac1"])
        assert "`llama-herd start`" in found.out
        assert "`make " not in found.out

        mended = fleet.herd("doctor", "--fix")
        assert "[mac1] proxy runs" in mended.out
        assert "service-not-loaded" not in mended.out
        assert "  sleeps\n    found  it sleeps after 1 minute" in mended.out
        assert both_served(mac)
    finally:
        report.unlink(missing_ok=True)
        mac.set(**before)


# -- start, stop, restart


def test_stop_and_start_over_ssh_without_a_new_login(fleet: Fleet) -> None:
    mac = fleet["mac1"]
    assert fleet.says() == SENTENCE

    stopped = fleet.herd("stop")

    assert stopped.code == 0, stopped.err
    assert stopped.out == "[mac1] llama-swap is stopped\n[mac1] proxy is stopped\n"
    assert none_served(mac)
    assert mac.run("pgrep -f llama-server").stdout == ""
    again = fleet.herd("stop")
    assert again.code == 0, again.err

    started = fleet.herd("start")
    assert started.code == 0, started.err
    assert started.out == "[mac1] llama-swap runs\n[mac1] proxy runs\n"
    until(lambda: both_served(mac))
    assert fleet.says() == SENTENCE
    job = mac.launchd.job("com.moonspirit.proxy") or {}
    assert fleet.herd("start").code == 0
    assert (mac.launchd.job("com.moonspirit.proxy") or {})["pid"] == job["pid"]


def test_what_a_verb_did_is_for_programs_too(fleet: Fleet, two: Path) -> None:
    """One object, whatever came of it, and where nobody is reached; people's words go to stderr."""
    stopped = fleet.herd("stop", "proxy", "--json")
    unloaded = fleet.herd("unload", "--json", inventory=two)
    refused = fleet.herd("load", "none", "--json")
    started = fleet.herd("start", "proxy", "--json")
    nobody = fleet.herd("restart", "--json", "--limit", "minis", inventory=two)

    assert [run.code for run in (stopped, unloaded, refused, started, nobody)] == [0, 1, 1, 0, 1]
    assert json.loads(stopped.out) == {
        "schema": 1,
        "verb": "stop",
        "hosts": {"mac1": {"outcome": "done", "said": ["proxy is stopped"], "wrong": []}},
        "unreached": {},
    }
    assert "[mac1] proxy is stopped" in stopped.err
    told = json.loads(unloaded.out)
    assert told["hosts"]["mac1"]["said"] == ["every model is unloaded"]
    assert told["unreached"] == {"mac2": "cannot connect to mac2"}
    of = json.loads(refused.out)["hosts"]["mac1"]
    assert (of["outcome"], of["said"]) == ("failed", [])
    assert of["wrong"][0].startswith("none is none of its models")
    assert json.loads(started.out)["hosts"]["mac1"]["said"] == ["proxy runs"]
    assert json.loads(nobody.out)["unreached"] == {"mac2": "cannot connect to mac2"}


@pytest.mark.soak
def test_restart_ends_a_llama_server_that_outlived_its_llama_swap(fleet: Fleet) -> None:
    """It would keep its port, and the model could not be loaded."""
    mac = fleet["mac1"]
    assert fleet.says() == SENTENCE
    orphans = mac.run("pgrep -f llama-server").stdout.split()
    job = mac.launchd.job("com.moonspirit.llama-swap") or {}
    os.kill(int(job["pid"]), signal.SIGKILL)

    run = fleet.herd("restart")

    assert run.code == 0, run.err
    assert not set(orphans) & set(mac.run("pgrep -f llama-server").stdout.split())
    until(lambda: both_served(mac))
    assert fleet.says() == SENTENCE


@pytest.mark.soak
def test_one_service_is_stopped_and_started_and_the_other_runs_on(fleet: Fleet) -> None:
    mac = fleet["mac1"]
    job = mac.launchd.job("com.moonspirit.llama-swap") or {}

    assert fleet.herd("stop", "proxy").out == "[mac1] proxy is stopped\n"
    assert not is_served(mac.ports["proxy"])
    assert fleet.herd("start", "proxy").out == "[mac1] proxy runs\n"
    assert fleet.herd("restart", "proxy").code == 0
    until(lambda: both_served(mac))

    assert (mac.launchd.job("com.moonspirit.llama-swap") or {})["pid"] == job["pid"]


@pytest.mark.soak
def test_start_names_who_has_its_port(fleet: Fleet) -> None:
    mac = fleet["mac1"]
    assert fleet.herd("stop").code == 0
    with Server(("127.0.0.1", mac.ports["proxy"]), BaseHTTPRequestHandler):
        run = fleet.herd("start")

    refused(run, f"port {mac.ports['proxy']} is held by another user's process", "stop that first")


@pytest.mark.soak
def test_start_before_any_deploy_says_so(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet()
    run, logs = fleet.herd("start"), fleet.herd("logs", "proxy")

    assert (run.code, logs.code) == (1, 1)
    assert all("deploy first" in line for line in run.err.splitlines())
    assert "Traceback" not in run.err
    refused(logs, "[mac1] there is no ", "proxy.log: proxy has not run here yet")


# -- run


def test_run_takes_over_from_the_background_until_ctrl_c(fleet: Fleet) -> None:
    """In this terminal, through `ssh -t`; `start` meanwhile tells what to do."""
    mac = fleet["mac1"]
    with under_way(fleet, "run", terminal=True) as (process, keyboard):
        screen = Output(keyboard)
        until(lambda: screen.has("Stopping com.moonspirit.proxy, which runs in the background"))
        until(lambda: screen.has("listening on 0.0.0.0"))
        until(lambda: both_served(mac))
        assert fleet.says() == SENTENCE
        assert mac.launchd.labels() == []
        meanwhile = fleet.herd("start")
        assert meanwhile.code == 1
        assert "`stop` ends it" in meanwhile.err

        os.write(keyboard, b"\x03")

        until(lambda: screen.has("Stopping llama-swap and the proxy"))
        # 130 where the login shell waits for the script instead of becoming it, as zsh does.
        assert process.wait(20) in (0, 130)
    assert none_served(mac)
    assert mac.run("pgrep -f llama-").stdout == ""


@pytest.mark.soak
@pytest.mark.parametrize("terminal", [True, False])
def test_run_ends_when_the_connection_does(fleet: Fleet, terminal: bool) -> None:
    """A lost connection hangs up the terminal; a model of 63 GB must not stay in memory."""
    mac = fleet["mac1"]
    with under_way(fleet, "run", terminal=terminal) as (process, descriptor):
        screen = Output(descriptor)
        until(lambda: screen.has("listening on 0.0.0.0"))
        until(lambda: both_served(mac))
        assert fleet.says() == SENTENCE
        process.kill()

    until(lambda: none_served(mac))
    until(lambda: mac.run("pgrep -f llama-").stdout == "")


@pytest.mark.soak
def test_stop_ends_what_runs_in_a_terminal_too(fleet: Fleet) -> None:
    mac = fleet["mac1"]
    assert mac.run("open -a Terminal llama-swap/start.command").returncode == 0
    until(lambda: mac.launchd.labels() == [] and both_served(mac))

    run = fleet.herd("stop")

    assert run.code == 0, run.err
    assert "what ran outside launchd is stopped" in run.out
    assert none_served(mac)


@pytest.mark.soak
def test_a_second_foreground_start_is_refused_before_it_loads_anything(fleet: Fleet) -> None:
    mac = fleet["mac1"]
    mac.run("open -a Terminal llama-swap/start.command", check=True)
    until(lambda: mac.launchd.labels() == [] and both_served(mac))
    mac.run("open -a Terminal llama-swap/start.command", check=True)

    until(lambda: not mac.terminals[-1].alive)
    assert f"Port {mac.ports['llama_swap']} is taken" in mac.terminals[-1].output
    assert fleet.says() == SENTENCE
    assert fleet.herd("stop").code == 0


# -- chat


@pytest.mark.parametrize("options", [[], ["--no-stream"], ["--model", "recite"]], ids=str)
def test_chat_prints_the_answer_and_where_it_is_from(fleet: Fleet, options: list[str]) -> None:
    run = fleet.herd("chat", *options, "Say 'hello' & <goodbye>")

    assert run.code == 0, run.err
    url = f"http://127.0.0.1:{fleet['mac1'].ports['proxy']}"
    assert run.out == f"[mac1] recite at {url}: {SENTENCE}\n"


def test_chat_prints_each_piece_as_it_comes(fleet: Fleet) -> None:
    """The endpoint holds the second piece back until the first was seen."""
    seen = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            for piece in ("first ", "second"):
                event = {"choices": [{"delta": {"content": piece}}]}
                self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                self.wfile.flush()
                assert seen.wait(30)
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, *_: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        inventory = fleet.inventory(mac1={"proxy_port": server.server_address[1]})
        with under_way(fleet, "chat", inventory=inventory) as (process, descriptor):
            output = Output(descriptor)
            until(lambda: output.has("first "))
            assert not output.has("second")
            seen.set()
            until(lambda: output.has("first second\n"))
            assert process.wait(10) == 0
        server.shutdown()


def test_chat_errors_are_one_line(fleet: Fleet) -> None:
    mac = fleet["mac1"]
    unknown = fleet.herd("chat", "--model", "no-such-model")
    wrong_key = fleet.herd("chat", API_KEYS="sk-of-another-fleet-0123456789")
    no_key = fleet.herd("chat", API_KEYS="")
    down = fleet.herd(
        "chat", inventory=fleet.inventory(mac1={"proxy_port": mac.ports["proxy"] + 2})
    )

    refused(unknown, "[mac1]", "HTTP 404", "There is no model of this name here")
    refused(wrong_key, "[mac1]", "HTTP 401")
    refused(no_key, "There is no API key", "make key NAME=me")
    refused(down, "[mac1]", "not reachable", "refused")
    assert all(KEY not in run.out + run.err for run in (unknown, wrong_key, no_key, down))


# -- unload


def test_load_waits_until_a_model_is_ready(fleet: Fleet) -> None:
    assert fleet.herd("unload").code == 0

    run = fleet.herd("load", "recite")

    assert (run.code, run.out) == (0, "[mac1] recite is loaded\n"), run.err
    assert re.search(r"^  recite +ready$", fleet.herd("status").out, re.MULTILINE)
    refused(fleet.herd("load", "no such/model?"), "no such/model? is none of its models: recite")


def test_unload_one_all_and_an_unknown_model(fleet: Fleet) -> None:
    mac = fleet["mac1"]

    def loaded() -> bool:
        return "llama-server" in mac.run("pgrep -f -l llama-server").stdout

    for words, told in (
        (["recite"], "[mac1] recite is unloaded\n"),
        ([], "[mac1] every model is unloaded\n"),
    ):
        assert fleet.says() == SENTENCE
        assert loaded()
        run = fleet.herd("unload", *words)
        assert run.code == 0, run.err
        assert run.out == told
        assert not loaded()

    refused(fleet.herd("unload", "no such/model?"), "no such/model? is none of its models: recite")


# -- logs


def test_logs_of_both_of_one_and_of_as_many_lines_as_wanted(fleet: Fleet) -> None:
    assert fleet.says() == SENTENCE
    both = fleet.herd("logs")
    three = fleet.herd("logs", "proxy", "-n", "3")

    assert both.code == three.code == 0
    assert "path=/v1/chat/completions status=200" in both.out
    assert "Request 127.0.0.1" in both.out
    assert len(three.out.splitlines()) == 3
    assert "path=/v1/chat/completions status=200" in three.out
    assert all(line.startswith("[mac1] ") for line in three.out.splitlines())
    told = json.loads(fleet.herd("logs", "-n", "1", "--json").out)
    assert told["hosts"]["mac1"].keys() == {"llama-swap", "proxy"}
    assert told["hosts"]["mac1"]["proxy"] == [three.out.splitlines()[-1].removeprefix("[mac1] ")]


@pytest.mark.soak
def test_logs_of_all_services_follow_for_a_program(fleet: Fleet) -> None:
    """A line of JSON for each of a log, with whose it is; nothing of tail's own."""
    with under_way(fleet, "logs", "-n", "1", "-f", "--json") as (process, descriptor):
        output = Output(descriptor)
        until(lambda: output.has('"proxy"') and output.has('"llama-swap"'))
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{fleet['mac1'].ports['proxy']}/program")
        until(lambda: output.has("path=/program.*\n"))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        output.has("")

    told = [json.loads(line) for line in output.text.splitlines()]
    assert {one["verb"] for one in told} == {"logs"}
    assert "==>" not in output.text
    ((last,),) = [one["hosts"]["mac1"]["proxy"] for one in told if "program" in json.dumps(one)]
    assert "path=/program" in last


def test_logs_follows_until_ctrl_c(fleet: Fleet) -> None:
    with under_way(fleet, "logs", "proxy", "-n", "1", "-f") as (process, descriptor):
        output = Output(descriptor)
        until(lambda: output.has(r"\[mac1\] "))
        assert not output.has("path=/follow-me")
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{fleet['mac1'].ports['proxy']}/follow-me")
        until(lambda: output.has("path=/follow-me"))

        process.send_signal(signal.SIGINT)

        assert process.wait(10) == 130
        output.has("")
        assert "Traceback" not in output.text


# -- fetch


def test_fetch_of_a_part_of_a_repository_tells_what_to_declare(fleet: Fleet) -> None:
    """And a deploy that declares it finds every file there."""
    write_model(fleet.lab.hub_root / "lab/many-GGUF/many-Q4")
    write_model(fleet.lab.hub_root / "lab/many-GGUF/many-Q8")

    run = fleet.herd("fetch", "lab/many-GGUF", "--include", "many-Q4/*")

    assert run.code == 0, run.err
    assert re.search(r"^\[mac1\] many: complete, \d+\.\d MiB$", run.out, re.MULTILINE)
    directory = fleet["mac1"].home / "llama-swap/models/many-GGUF"
    assert {path.name for path in directory.iterdir()} == {".herd", "many-Q4"}
    here, there = directory / "many-Q4", fleet.lab.hub_root / "lab/many-GGUF/many-Q4"
    files = {path.name: path.read_bytes() for path in here.iterdir()}
    assert files == {path.name: path.read_bytes() for path in there.glob("*.gguf")}
    declaration = run.out.splitlines()[-1].strip()
    models = json.loads("{" + declaration.removesuffix(",").replace("'", '"') + "}")
    assert models == {"many": {"repo": "lab/many-GGUF", "include": ["many-Q4/*"]}}


@pytest.mark.soak
def test_what_fetch_says_to_declare_is_served_without_fetching_again(
    make_fleet: Callable[..., Fleet],
) -> None:
    fleet = make_fleet()
    assert fleet.deploy().code == 0
    write_model(fleet.lab.hub_root / "lab/many-GGUF/many-Q4")
    assert fleet.herd("fetch", "lab/many-GGUF", "--include", "many-Q4/*").code == 0
    models = {"many": {"repo": "lab/many-GGUF", "include": ["many-Q4/*"]}, "recite": None}

    run = fleet.deploy(mac1={"models": models})

    assert run.code == 0, run.err
    assert "Models | Fetch the models' files" not in run.changed("mac1")
    assert fleet.says(model="many") == SENTENCE


@pytest.mark.soak
def test_fetch_errors_are_one_line(fleet: Fleet) -> None:
    refused(fleet.herd("fetch", "lab/nothing-GGUF"), "lab/nothing-GGUF is not on", "HF_TOKEN")
    refused(
        fleet.herd("fetch", "lab/recite-GGUF", "--include", "*Q4*"), "matches nothing", "recite-"
    )
    refused(fleet.herd("fetch", "lab/recite-GGUF", "--revision", "v9"), "no revision 'v9'")


# -- lock


@pytest.mark.soak
def test_lock_of_one_model_says_what_changed_and_the_deploy_fetches_it(fleet: Fleet) -> None:
    """The repository moves on, and nothing is fetched until the lock does."""
    last = write_model(fleet.lab.hub_root / "lab/moved-GGUF", "moved")[-1]
    data = {"mac1": {"models": {"moved": {"repo": "lab/moved-GGUF", "ctx_size": 256}}}}
    assert fleet.deploy(**data).code == 0
    inventory = fleet.inventory(**data)
    last.write_bytes(last.read_bytes() + bytes(32))
    before = fleet.deploy(**data)

    run = fleet.lock(inventory, "moved")
    after = fleet.deploy(**data)

    fetched = "Models | Fetch the models' files"
    assert fetched not in before.changed("mac1")
    moved, written = run.out.splitlines()
    assert re.fullmatch(r"moved: changed: commit \w{12} -> \w{12}, 1 of 3 files .*", moved)
    assert written == f"{inventory.with_name('models.lock')} is written; it belongs in git"
    assert fetched in after.changed("mac1"), after.err
    assert fleet.says(model="moved") == SENTENCE
    assert fleet.deploy().code == 0


def test_lock_errors_are_one_line(fleet: Fleet) -> None:
    refused(fleet.herd("lock", "none"), "no host declares 'none'; declared are recite")
    nobody = fleet.lab.directory / "nobody.py"
    nobody.write_text("macs = []\n")
    refused(fleet.herd("lock", inventory=nobody), "nobody.py names no host")


# -- dashboard


ADMIN = "sk-admin-EXAMPLE-not-a-secret-01234"


@pytest.mark.skipif(not Path("/usr/bin/ssh").exists(), reason="this workstation has no ssh")
def test_dashboard_is_llama_swaps_own_page_behind_the_proxys_login(fleet: Fleet) -> None:
    """Through a tunnel, and nothing without a login: neither the page nor what it can do."""
    inventory = fleet.inventory(
        mac1={"api_keys": [entry("anna", KEY), entry("root", ADMIN, ["admin"])]}
    )
    assert fleet.pyinfra("-y", str(inventory), "deploy.py").code == 0
    try:
        with under_way(fleet, "dashboard", inventory=inventory) as (process, descriptor):
            output = Output(descriptor)
            found = until(
                lambda: output.has(
                    r"(http://127\.0\.0\.1:(\d+))/ui/ shows mac1 until Ctrl\+C. "
                    r"Log in with the key of root\."
                )
            )
            # Its own is taken here, by the Mac itself, so the tunnel begins at another.
            assert int(found[2]) != fleet["mac1"].ports["proxy"]
            until(lambda: is_served(int(found[2])))
            with httpx2.Client(base_url=found[1], headers={"Accept": "text/html"}) as browser:
                assert browser.get("/ui/").headers["Location"] == "/login"
                for path in ("/unload", "/running", "/logs"):
                    assert browser.get(path, headers={"Accept": "*/*"}).status_code == 401
                own = {"Origin": found[1]}
                assert browser.post("/login", data={"key": KEY}, headers=own).status_code == 401
                assert browser.post("/login", data={"key": ADMIN}, headers=own).status_code == 303
                assert "llama-swap" in browser.get("/ui/").text

            process.send_signal(signal.SIGINT)
            process.wait(10)

        assert not is_served(int(found[2]))
    finally:
        assert fleet.deploy().code == 0


def test_without_a_key_that_opens_it_the_dashboard_says_so(fleet: Fleet) -> None:
    refused(fleet.herd("dashboard"), "no key of this host has the scope admin")


def entry(name: str, key: str, scopes: Sequence[str] = ("inference",)) -> dict[str, Any]:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return {"name": name, "sha256": digest, "scopes": list(scopes)}


# -- key


def key(directory: Path, name: str) -> Run:
    words = [str(PROJECT / "llama_herd.py"), "key", name]
    done = preloaded.run(words, cwd=directory, env=os.environ, timeout=60)
    return Run(done.returncode, done.stdout, done.stderr)


def test_key_shows_one_once_and_keeps_its_hash(tmp_path: Path) -> None:
    first, second = key(tmp_path, "me"), key(tmp_path, "my-Phone_2")

    file = tmp_path / "config.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    entries = json.loads(file.read_text())["apiKeys"]
    assert [entry["name"] for entry in entries] == ["me", "my-Phone_2"]
    for run, entry in zip((first, second), entries, strict=True):
        (made,) = re.findall(r"^  (sk-herd-\S{43})$", run.out, re.MULTILINE)
        assert hashlib.sha256(made.encode()).hexdigest() == entry["sha256"]
        assert made not in file.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.soak
def test_key_refuses_a_name_twice_bad_names_and_a_broken_file(tmp_path: Path) -> None:
    assert key(tmp_path, "me").code == 0
    before = (tmp_path / "config.json").read_text()

    refused(key(tmp_path, "me"), "a key of me already", "--rotate")
    bad = key(tmp_path, "../me")
    assert bad.code == 2
    assert "not a name: letters, digits" in bad.err
    assert (tmp_path / "config.json").read_text() == before

    (tmp_path / "config.json").write_text('{"apiKeys": [')
    refused(key(tmp_path, "you"), "config.json")
    assert (tmp_path / "config.json").read_text() == '{"apiKeys": ['


# -- which hosts


@pytest.fixture
def two(fleet: Fleet) -> Path:
    """An inventory with a second host that is switched off, in groups."""
    scope: dict[str, Any] = {}
    exec(fleet.lab.inventory.read_text(), scope)
    ((name, data),) = scope["macs"]
    other = data | {
        "ssh_port": data["ssh_port"] + 5,
        "proxy_port": data["proxy_port"] + 5,
        "llama_swap_port": data["llama_swap_port"] + 5,
        "llama_server_start_port": data["llama_server_start_port"] + 5,
    }
    path = fleet.lab.directory / "two.py"
    path.write_text(f"studios = [{(name, data)!r}]\nminis = [{('mac2', other)!r}]\n")
    return path


@pytest.mark.parametrize("limit", [["mac1", "nobody"], ["*1"], ["studios"]], ids=str)
def test_limit_takes_hosts_patterns_and_groups(fleet: Fleet, two: Path, limit: list[str]) -> None:
    options = [word for name in limit for word in ("--limit", name)]

    run = fleet.herd("chat", *options, inventory=two)

    assert run.code == 0, run.err
    assert run.out.count("[mac") == 1


@pytest.mark.parametrize("limit", [[], ["--limit", "minis"]], ids=str)
def test_hosts_that_do_not_answer_are_named(fleet: Fleet, two: Path, limit: list[str]) -> None:
    run = fleet.herd("status", *limit, inventory=two)

    assert run.code == 1
    reason, last = run.err.splitlines()
    assert "[mac2] Could not connect" in reason
    assert last == "cannot connect to mac2"
    assert ("mac1  http" in run.out) is not bool(limit)


@pytest.mark.soak
def test_the_others_are_done(fleet: Fleet, two: Path) -> None:
    for verb, words in (
        ("usage", "[mac1] "),
        ("logs", "[mac1] proxy: "),
        ("unload", "is unloaded"),
    ):
        run = fleet.herd(verb, inventory=two)

        assert run.code == 1
        assert words in run.out + run.err
        assert run.err.splitlines()[-1] == "cannot connect to mac2"
        assert "Traceback" not in run.err


@pytest.mark.soak
def test_an_alias_of_the_ssh_configuration_is_the_address_that_ssh_takes(fleet: Fleet) -> None:
    """For status, chat and whoever else asks the endpoint; behind a jump host it is to be said."""
    scope: dict[str, Any] = {}
    exec(fleet.lab.inventory.read_text(), scope)
    ((_, data),) = scope["macs"]
    config = fleet.lab.directory / "ssh_config of a person"
    del data["ssh_hostname"]
    del data["ssh_port"]
    path = fleet.lab.directory / "alias.py"
    path.write_text(f"macs = [{('studio', data | {'ssh_config_file': str(config)})!r}]\n")
    port = fleet["mac1"].ssh_port
    config.write_text(f"Host studio\n  HostName 127.0.0.1\n  Port {port}\n")

    status, chat = fleet.herd("status", inventory=path), fleet.herd("chat", inventory=path)

    assert status.code == chat.code == 0, status.err + chat.err
    assert "studio  http://127.0.0.1:" in status.out
    assert SENTENCE in chat.out
    config.write_text(f"{config.read_text()}  ProxyJump bastion.example.com\n")
    run = fleet.herd("chat", inventory=path)
    assert run.code == 1
    assert "studio: proxy_address" in run.err
    assert "ssh reaches it by ProxyJump bastion.example.com" in run.err


def test_chat_goes_on_to_the_next_host(fleet: Fleet, two: Path) -> None:
    run = fleet.herd("chat", inventory=two)

    assert run.code == 1
    assert SENTENCE in run.out
    (line,) = run.err.splitlines()
    assert line.startswith("[mac2] ")


def test_verbs_for_one_host_say_so(fleet: Fleet, two: Path) -> None:
    refused(fleet.herd("dashboard", inventory=two), "one host at a time", "--limit")
    refused(fleet.herd("logs", "-f", inventory=fleet.lab.directory / "none.py"), "no inventory")


def test_wrong_inventories_and_limits_are_one_line(fleet: Fleet, tmp_path: Path) -> None:
    broken, empty = tmp_path / "broken.py", tmp_path / "empty.py"
    broken.write_text("macs = [(")
    empty.write_text("macs = []\n")

    refused(fleet.herd("status", "--limit", "mac9"), "no host matches mac9", "hosts: mac1")
    refused(fleet.herd("status", inventory=tmp_path / "nowhere.py"), "no inventory", "nowhere.py")
    refused(fleet.herd("status", inventory=empty), "names no host")
    refused(fleet.herd("status", inventory=broken), "broken.py cannot be read: SyntaxError")


def test_settings_errors_are_the_report_of_a_deploy(fleet: Fleet) -> None:
    run = fleet.herd("status", inventory=fleet.inventory(mac1={"proxy_port": 80}))

    assert run.code == 1
    assert "1 problem in the settings" in run.err
    assert "mac1: proxy_port" in run.err
    assert "Traceback" not in run.err


# -- help and make


def test_every_verb_explains_itself() -> None:
    """All in one process, as each takes a while to start."""
    program = """
import sys
from herd.__main__ import main
for verb in sys.argv[1:]:
    try:
        main([verb, "--help"])
    except SystemExit as ended:
        print(f"== {verb} {ended.code}")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *VERBS], cwd=PROJECT, capture_output=True, text=True
    )

    assert done.stderr == ""
    rest = done.stdout
    for verb, options in VERBS.items():
        text, _, rest = rest.partition(f"== {verb} 0\n")
        assert f"python -m herd {verb}" in text
        for option in options:
            assert option in text


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., list[str]]:
    """Runs a make target; the words that `python -m herd` would get."""
    typed.workshop(tmp_path)

    def run(*words: str) -> list[str]:
        (tmp_path / "calls").unlink(missing_ok=True)
        done = subprocess.run(["make", *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        (call,) = typed.recorded(tmp_path)
        assert call[:3] == ["python", "-m", "herd"]
        return call[3:]

    return run


@pytest.mark.parametrize("verb", VERBS)
def test_make_has_an_alias_for_every_verb(make: Callable[..., list[str]], verb: str) -> None:
    values = {"key": ["NAME=me"], "fetch": ["REPO=owner/name"], "load": ["ARGS=m"]}.get(verb, [])

    of_all = verb in ("key", "lock")

    words = make(verb, *values, *([] if of_all else ["LIMIT=mac1"]))

    assert words[:2] == [verb, "--inventory=inventory.py"]
    assert of_all or words[2] == "--limit=mac1"
    listed = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True).stdout
    assert re.search(rf"^{verb} ", listed, re.MULTILINE)


HOSTILE = ["it's", 'say "hi"', "a & b; c | d", "<x> `y` \\ z", "#1", "*", "ü 🐑"]


@pytest.mark.parametrize("text", HOSTILE)
def test_make_passes_values_through(make: Callable[..., list[str]], text: str) -> None:
    assert make("chat", f"PROMPT={text}")[2:] == ["--", text]
    assert make("fetch", "REPO=o/r", f"INCLUDE={text}")[2:] == [f"--include={text}", "--", "o/r"]
    assert make("lock", f"MODEL={text}")[2:] == ["--", text]


def test_make_passes_options_and_a_pattern_of_hosts_through(
    make: Callable[..., list[str]],
) -> None:
    assert make("logs", "ARGS=proxy -n 5", "LIMIT=mac*")[2:] == [
        "--limit=mac*",
        *("proxy", "-n", "5"),
    ]
    assert make("unload", "ARGS='my model'")[2:] == ["my model"]
    assert make("status", "INVENTORY=other.py")[1:] == ["--inventory=other.py"]
