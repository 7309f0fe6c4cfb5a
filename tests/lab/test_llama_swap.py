"""Behaviour of llama-swap v250: of the stand-in, and of a real one that LAB_LLAMA_SWAP names."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import httpx2
import openai
import pytest
import yaml

from lab import ports
from lab.llama_server import write_wrapper as write_llama_server
from lab.llama_swap import write_wrapper
from lab.llama_swap.config import load
from lab.llama_swap.macros import ConfigError
from lab.reciter import write_model
from lab.sentence import SENTENCE
from tests import preloaded

ROOT = Path(__file__).resolve().parents[2]
RESPONDER = shlex.join([sys.executable, "-ISu", str(Path(__file__).with_name("responder.py"))])
REAL = os.environ.get("LAB_LLAMA_SWAP")
STAND_IN = [sys.executable, "-m", "lab.llama_swap"]
VARIANTS = [pytest.param(STAND_IN, id="stand-in")]
if REAL:
    VARIANTS.append(pytest.param([REAL], id="real"))

Json = dict[str, Any]


class Swap:
    """A llama-swap process under test."""

    def __init__(self, command: list[str], directory: Path) -> None:
        self.command = command
        self.config = directory / "config.yaml"
        self.output = directory / "stdout"
        self.errors = directory / "stderr"
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx2.Client(timeout=30)
        self.block = next(ports.free_blocks())
        self.ports = self.block.first

    def write(self, config: Json | str) -> None:
        if isinstance(config, dict):
            config = yaml.safe_dump({"startPort": self.ports + 1, **config})
        self.config.write_text(config)

    def start(self, config: Json | str, *flags: str, **environment: str) -> "Swap":
        self.write(config)
        address = f"127.0.0.1:{self.ports}"
        command = [*self.command, "-config", str(self.config), "-listen", address, *flags]
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            start = preloaded.Popen if self.command == STAND_IN else subprocess.Popen
            self.process = start(
                command, stdout=output, stderr=errors, cwd=ROOT, env={**os.environ, **environment}
            )
        self.client.base_url = httpx2.URL(f"http://{address}")
        self.until(lambda: self.get("/health").text == "OK")
        return self

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(40)
        self.process = None
        return code

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.client.get(path, **options)

    def post(self, path: str, **options: Any) -> httpx2.Response:
        return self.client.post(path, **options)

    def chat(self, model: str, **body: Any) -> httpx2.Response:
        return self.post("/v1/chat/completions", json={"model": model, **body})

    def running(self) -> dict[str, str]:
        return {each["model"]: each["state"] for each in self.get("/running").json()["running"]}

    def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        deadline = monotonic() + seconds
        while monotonic() < deadline:
            try:
                if condition():
                    return
            except httpx2.TransportError:
                pass
            sleep(0.02)
        pytest.fail(f"waited in vain; stdout: {self.logged()}\nstderr: {self.errors.read_text()}")

    def logged(self) -> str:
        return self.output.read_text()


@pytest.fixture(params=VARIANTS)
def swap(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Swap]:
    swap = Swap(request.param, tmp_path)
    yield swap
    if swap.process is not None:
        swap.stop()


def model(options: str = "", **settings: Any) -> Json:
    return {
        "cmd": f"{RESPONDER} --port=${{PORT}} {options}",
        "proxy": "http://127.0.0.1:${PORT}",
        "unloadTimeout": 2,
        **settings,
    }


def message(response: httpx2.Response) -> str:
    """v250 has a string where later commits have OpenAI's object."""
    body = response.json()
    assert body["src"] == "llama-swap"
    error = body["error"]
    return str(error if isinstance(error, str) else error["message"])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if os.path.exists("/proc") else True
    )


# -- flags and exit codes


@pytest.mark.parametrize("command", VARIANTS)
@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["-version"], 0, "version: "),
        (["--version"], 0, "version: "),
        (["-h"], 0, "-watch-config\n"),
        ([], 1, "ERROR at least one of -config or -config-dir must be provided\n"),
        (["-config", "x", "-tls-cert-file=y"], 1, "ERROR both -tls-cert-file and -tls-key-file"),
        (["--config=none.yaml"], 1, "open none.yaml: no such file or directory"),
        (["-bogus"], 2, "flag provided but not defined: -bogus\n"),
        (["-config"], 2, "flag needs an argument: -config\n"),
    ],
)
def test_flags_and_exit_codes(
    command: list[str], arguments: list[str], code: int, told: str
) -> None:
    result = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=10, check=False, cwd=ROOT
    )

    assert result.returncode == code
    assert told in result.stdout + result.stderr
    assert bool(result.stdout) is ("version" in "".join(arguments))


def test_an_invalid_configuration_is_told_and_exits_1(swap: Swap) -> None:
    swap.write("startPort: 0")
    result = subprocess.run(
        [*swap.command, "-config", str(swap.config)],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        cwd=ROOT,
    )

    assert result.returncode == 1
    assert result.stderr.endswith(
        f" ERROR failed to load config config={swap.config} "
        'config-dir="" error="startPort must be greater than 1"\n'
    )


def test_a_taken_address_exits_1(swap: Swap) -> None:
    swap.start({"models": {}})
    address = f"127.0.0.1:{swap.ports}"
    second = subprocess.run(
        [*swap.command, "-config", str(swap.config), "-listen", address],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        cwd=ROOT,
    )

    assert second.returncode == 1
    assert (
        f'ERROR http server error error="listen tcp {address}: bind: address already in use"\n'
        in second.stderr
    )


# -- the configuration


REFUSED = {
    "models: {a: [1": "failed to parse config",
    "models: {a: {cmd: x, proxy: y, aliases: [q]}, b: {cmd: x, proxy: y, aliases: [q]}}": (
        "duplicate alias q found in model: "
    ),
    "models: {a: {cmd: 'x ${foo}', proxy: y}}": "unknown macro '${foo}' found in a.cmd",
    "models: {a: {cmd: x, proxy: y, env: ['A=${foo}']}}": "model a env: unknown macro '${foo}'",
    "logLevel: '${foo}'": "logLevel: unknown macro '${foo}'",
    "models: {a: {cmd: 'x ${PID}', proxy: y}}": "unknown macro '${PID}' found in a.cmd",
    "models: {a: {cmd: x}}": (
        "model a: proxy uses ${PORT} but cmd does not - ${PORT} is only available when used in cmd"
    ),
    "startPort: 0": "startPort must be greater than 1",
    "globalTTL: -1": "globalTTL must be >= 0",
    "unloadTimeout: -1": "unloadTimeout must be >= 0",
    "models: {a: {cmd: x, proxy: y, ttl: -3}}": "model a: invalid TTL value -3",
    "models: {a: {cmd: x, proxy: y, unloadTimeout: -3}}": (
        "model a: invalid unloadTimeout value -3"
    ),
    "models: {a: {cmd: 'x ${env.LAB_NONE}', proxy: y}}": (
        "environment variable 'LAB_NONE' is not set"
    ),
    "models: {a: {cmd: 'x ${env.LAB_LINES}', proxy: y}}": (
        "environment variable 'LAB_LINES' contains newlines or null bytes "
        "which are not allowed in YAML substitution"
    ),
    "logToStdout: foo": "logToStdout must be one of: proxy, upstream, both, none",
    "performance: {every: 1s}": "performance: every must be at least 5s, got 1s",
    "groups: {g: {members: [x, x]}}": "duplicate model member x found in group: g",
    "groups: {g: {members: [x]}, h: {members: [x]}}": (
        "model member x is used in multiple groups: "
    ),
    "groups: {g: {members: []}}\nrouting: {router: {use: group}}": (
        "config uses both the legacy top-level 'matrix'/'groups' keys and the new"
    ),
    "routing: {router: {use: foo}}": (
        'routing.router.use: unknown router "foo" (valid: group, matrix)'
    ),
    "routing: {router: {use: matrix}}": (
        "routing.router.use is 'matrix' but routing.router.settings.matrix is not set"
    ),
    "matrix: {sets: {}}": "matrix: matrix must define at least one set",
    "matrix: {sets: {s: ' '}}": 'matrix: set "s": empty DSL expression',
    "matrix: {sets: {s: 'x'}}": 'matrix: set "s": unknown var or model "x"',
    "matrix: {sets: {s: '+t'}}": 'matrix: set "s" references undefined set "t"',
    "matrix: {sets: {s: '+t', t: '+s'}}": "matrix: circular reference detected involving set",
    "matrix: {sets: {s: 'x # y'}}": (
        "matrix: set \"s\": tokenize: unexpected character '#' at position 2"
    ),
    "matrix: {sets: {s: 'x & +'}}": (
        "matrix: set \"s\": tokenize: expected set name after '+' at position 5"
    ),
    "matrix: {sets: {s: '(x'}}": 'matrix: set "s": parse: missing closing parenthesis',
    "matrix: {sets: {s: 'x &'}}": 'matrix: set "s": parse: unexpected token ""',
    "matrix: {sets: {s: 'x y'}}": 'matrix: set "s": parse: unexpected token "y" after expression',
    "matrix: {vars: {a_b: x}, sets: {s: x}}": 'matrix: var key "a_b" must contain only',
    "matrix: {vars: {a: x}, sets: {s: a}}": 'matrix: var key "a" references unknown model "x"',
    "matrix: {evict_costs: {a: 0}, sets: {s: a}}": (
        'matrix: evict_cost for "a" must be a positive integer, got 0'
    ),
    "matrix: {evict_costs: {a: 2}, sets: {s: a}}": (
        'matrix: evict_costs: unknown var or model "a"'
    ),
    "matrix: {sets: {s: x}}\ngroups: {g: {members: []}}": (
        "config cannot use both 'groups' and 'matrix'"
    ),
    "matrix: {sets: {s: x}}\nrouting: {router: {use: matrix}}": (
        "config uses both the legacy top-level 'matrix'/'groups' keys and the new"
    ),
    "routing: {scheduler: {use: foo}}": (
        'routing.scheduler.use: unknown scheduler "foo" (valid: fifo)'
    ),
    "routing: {scheduler: {settings: {fifo: {priority: {foo: 1}}}}}": (
        'routing.scheduler.settings.fifo.priority references unknown model "foo"'
    ),
    "apiKeys: ['']": "empty api key found in apiKeys",
    "apiKeys: [a, 'b c']": "apiKeys[1]: api key cannot contain spaces",
    "macros: {PORT: 1}": "macro name 'PORT' is reserved",
    "macros: {a b: 1}": "macro name 'a b' contains invalid characters",
    "macros: {a: 'x${a}'}": "macro 'a' contains self-reference",
    "macros: {a: [1]}": "macro 'a' has invalid type []interface {}, must be a scalar type",
    "models: {a: {macros: {PID: 1}}}": "model a: macro name 'PID' is reserved",
    "models:\n  a: {cmd: x}\n  a: {cmd: x}": 'mapping key "a" already defined at line 2',
    "models: 3": "cannot unmarshal !!int `3` into map[string]config.modelMacroConfig",
    "healthCheckTimeout: abc": "cannot unmarshal !!str `abc` into int",
    "models: {a: {cmd: [x], proxy: y}}": "cannot unmarshal !!seq into string",
}


@pytest.mark.parametrize(("text", "told"), REFUSED.items(), ids=lambda each: str(each)[:40])
@pytest.mark.parametrize("variant", ["stand-in", *(["real"] if REAL else [])])
def test_what_the_loader_refuses(
    variant: str, text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_LINES", "a\nb")
    path = tmp_path / "config.yaml"
    path.write_text(text)
    if variant == "stand-in":
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert told in str(caught.value)
        return
    result = subprocess.run(
        [str(REAL), "-config", str(path), "-listen", "127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert result.returncode == 1
    assert told in result.stderr.replace('\\"', '"')


def test_what_the_loader_lets_pass(swap: Swap) -> None:
    swap.start(
        "# ${env.LAB_NONE} in a comment\n"
        "unknownKey: 1\n"
        "healthCheckTimeout: 1\n"
        "hooks: {on_startup: {preload: [none, ' ']}}\n"
        "models:\n"
        "  a: {cmdd: typo, proxy: 'http://127.0.0.1:1', bogus: {x: 1}}\n"
    )

    assert [each["id"] for each in swap.get("/v1/models").json()["data"]] == ["a"]
    answer = swap.chat("a")
    assert answer.status_code == 500
    assert message(answer) == ("unspecific error: unable to get sanitized command: empty command")


def test_a_group_member_that_is_no_model_exits_1(swap: Swap) -> None:
    swap.write("groups: {g: {members: [x]}}")
    result = subprocess.run(
        [*swap.command, "-config", str(swap.config), "-listen", f"127.0.0.1:{swap.ports}"],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        cwd=ROOT,
    )

    assert result.returncode == 1
    assert (
        'ERROR failed to create server error="creating group router: no model config for \\"x\\""'
        in result.stderr
    )


def test_macros_ports_and_commands_as_they_are_run(swap: Swap) -> None:
    swap.start(
        {
            "macros": {"first": "one", "second": "${first} two", "number": 7},
            "groups": {"all": {"swap": False, "members": ["b", "a"]}},
            "models": {
                "b": model(
                    "# not a comment here\n"
                    "   # ${none} of this\n"
                    "--x='${second}' \"a\\\"b\\$c\\d\" e\\ f '' g'h'\"i\" ~ $HOME *.yaml \\\n"
                    '--m=${MODEL_ID} --own=${number} it\\\'s && | "two\nlines" "open',
                    macros={"number": 8},
                    env=["LAB_FROM_CONFIG=${second}", "LAB_EMPTY="],
                    name="${first}",
                ),
                "a": model("${env.LAB_VALUE}"),
            },
        },
        LAB_VALUE='back\\slash"quote',
        LAB_INHERITED="yes",
    )

    told = swap.get("/upstream/b/").json()
    other = swap.get("/upstream/a/").json()
    assert told["arguments"] == [
        f"--port={swap.ports + 2}",
        *("#", "not", "a", "comment", "here", "--x=one two", 'a"b$c\\d', "e f", "", "ghi"),
        *("~", "$HOME", "*.yaml", "--m=b", "--own=8", "it's", "&&", "|", "two\nlines", "open"),
    ]
    assert other["arguments"][0] == f"--port={swap.ports + 1}"
    assert told["environment"]["LAB_FROM_CONFIG"] == "one two"
    assert told["environment"]["LAB_EMPTY"] == ""
    assert told["environment"]["LAB_INHERITED"] == "yes"
    assert told["group"] == told["pid"]
    shown = {each["model"]: each for each in swap.get("/running").json()["running"]}
    assert "${none}" not in shown["b"]["cmd"]
    assert "--x='one two'" in shown["b"]["cmd"]
    assert (shown["b"]["name"], shown["b"]["ttl"]) == ("one", 0)
    assert shown["b"]["proxy"] == f"http://127.0.0.1:{swap.ports + 2}"


# -- starting and stopping


def test_a_model_is_started_by_its_first_request(swap: Swap) -> None:
    swap.start({"models": {"a": model("--loading=0.5"), "hidden": model(unlisted=True)}})
    assert swap.running() == {}
    listed = swap.get("/v1/models").json()
    assert listed["object"] == "list"
    (entry,) = listed["data"]
    assert entry["status"] == {"value": "unloaded"}
    assert (entry["object"], entry["owned_by"]) == ("model", "llama-swap")
    assert entry["meta"] == {"llamaswap": {"type": "model"}}

    answers: list[httpx2.Response] = []
    asking = threading.Thread(target=lambda: answers.append(swap.chat("a")))
    asking.start()
    swap.until(lambda: swap.running() == {"a": "starting"})
    assert swap.get("/v1/models").json()["data"][0]["status"] == {"value": "loaded"}
    asking.join()

    assert answers[0].json()["path"] == "/v1/chat/completions"
    assert swap.running() == {"a": "ready"}
    assert f"<a> Health check passed on http://127.0.0.1:{swap.ports + 1}/health" in swap.logged()


def test_of_two_models_in_one_request_the_first_counts(swap: Swap) -> None:
    swap.start({"models": {"a": model(), "b": model()}})

    body = b'{"model": "a", "model": "b"}'
    told = swap.post("/v1/completions", content=body, headers={"Content-Type": "application/json"})

    assert told.status_code == 200
    assert swap.running() == {"a": "ready"}


def test_unloading_waits_until_the_process_is_gone(swap: Swap) -> None:
    swap.start({"models": {"a": model(aliases=["x/y"])}})
    for method, path, answer in (
        ("GET", "/unload", "OK"),
        ("POST", "/api/models/unload", '{"msg":"ok"}'),
        ("POST", "/api/models/unload/x/y", "OK"),
    ):
        pid = swap.chat("a").json()["pid"]
        response = swap.client.request(method, path)
        assert (response.status_code, response.text.strip()) == (200, answer)
        assert not alive(pid)
        assert swap.running() == {}


@pytest.mark.soak
def test_a_deaf_process_is_killed_after_unload_timeout(swap: Swap) -> None:
    swap.start({"models": {"a": model("--deaf=1", unloadTimeout=1)}})
    pid = swap.chat("a").json()["pid"]

    began = monotonic()
    swap.get("/unload")

    assert 0.9 < monotonic() - began < 3
    assert not alive(pid)


def test_the_whole_process_group_is_stopped(swap: Swap, tmp_path: Path) -> None:
    command = f"sleep 60 & echo $! > {tmp_path}/pid; exec {RESPONDER} --port=$0"
    swap.start({"models": {"a": model(cmd=f"sh -c {shlex.quote(command)} ${{PORT}}")}})
    swap.chat("a")
    grandchild = int((tmp_path / "pid").read_text())
    assert alive(grandchild)

    swap.get("/unload")

    swap.until(lambda: not alive(grandchild))


def test_cmd_stop_replaces_the_signal(swap: Swap, tmp_path: Path) -> None:
    stop = f"sh -c 'echo $0 > {tmp_path}/stopped; kill $0' ${{PID}}"
    swap.start({"models": {"a": model(cmdStop=stop)}})
    pid = swap.chat("a").json()["pid"]

    swap.get("/unload")

    assert (tmp_path / "stopped").read_text() == f"{pid}\n"


def test_failures_to_start_are_500(swap: Swap) -> None:
    swap.start(
        {
            "models": {
                "exits": model(cmd="sh -c 'echo no such flag; exit 1' ${PORT}"),
                "absent": model(cmd="lab-none --port ${PORT}"),
                "nowhere": model(cmd="/lab/none --port ${PORT}"),
            }
        }
    )

    failed = swap.chat("exits")
    assert failed.status_code == 500
    assert message(failed) == "unspecific error: upstream command exited prematurely"
    assert "group: starting exits failed: upstream command exited prematurely" in swap.logged()
    assert message(swap.chat("absent")) == (
        f"unspecific error: failed to start command 'lab-none --port {swap.ports + 1}': "
        'exec: "lab-none": executable file not found in $PATH'
    )
    assert message(swap.chat("nowhere")).endswith(
        "': fork/exec /lab/none: no such file or directory"
    )
    assert swap.running() == {}


@pytest.mark.soak
def test_a_model_that_never_gets_healthy_is_given_up(swap: Swap) -> None:
    swap.start({"healthCheckTimeout": 1, "models": {"a": model("--loading=60")}})

    answer = swap.chat("a")

    assert message(answer) == "unspecific error: health check timed out after 15s"
    assert swap.running() == {}


def test_no_check_endpoint_means_ready_at_once(swap: Swap) -> None:
    swap.start({"models": {"a": model(cmd="sleep ${PORT}", checkEndpoint="none")}})

    assert swap.chat("a").status_code == 502  # nothing listens
    assert swap.running() == {"a": "ready"}


def test_an_exit_nobody_asked_for_leaves_the_model_stopped(swap: Swap) -> None:
    swap.start({"models": {"a": model()}})
    first = swap.chat("a").json()["pid"]

    assert swap.get("/upstream/a/die").status_code == 502
    swap.until(lambda: swap.running() == {})

    assert "[WARN] <a> upstream process exited unexpectedly" in swap.logged()
    assert swap.chat("a").json()["pid"] != first


def test_unloading_turns_away_who_waits_for_a_start(swap: Swap) -> None:
    swap.start({"models": {"a": model("--loading=30")}})
    answers: list[httpx2.Response] = []
    asking = threading.Thread(target=lambda: answers.append(swap.chat("a")))
    asking.start()
    swap.until(lambda: swap.running() == {"a": "starting"})

    swap.get("/unload")
    asking.join()

    assert message(answers[0]) == "unspecific error: group: model unloaded"
    assert swap.running() == {}


@pytest.mark.soak
def test_an_idle_model_is_unloaded_after_its_ttl(swap: Swap) -> None:
    swap.start({"globalTTL": 100, "models": {"a": model(ttl=1), "b": model(ttl=0)}})
    swap.chat("a")

    swap.until(lambda: swap.running() == {}, 6)

    assert "[INFO] <a> Unloading model, TTL of 1s reached" in swap.logged()


def test_preload_starts_models_without_a_request(swap: Swap) -> None:
    swap.start(
        {
            "hooks": {"on_startup": {"preload": ["alias", "a"]}},
            "models": {"a": model(aliases=["alias"])},
        }
    )

    swap.until(lambda: swap.running() == {"a": "ready"})

    assert "[INFO] preloading model: a" in swap.logged()


# -- groups


def test_by_default_one_model_runs_at_a_time(swap: Swap) -> None:
    swap.start({"models": {"a": model(), "b": model()}})
    swap.chat("a")
    swap.chat("b")

    assert swap.running() == {"b": "ready"}


@pytest.mark.soak
def test_groups_say_who_is_stopped(swap: Swap) -> None:
    groups = {
        "together": {"swap": False, "members": ["a", "b"]},
        "kept": {"persistent": True, "swap": False, "exclusive": False, "members": ["p"]},
        "modest": {"exclusive": False, "members": ["m"]},
    }
    names = ("a", "b", "p", "m", "other")
    swap.start(
        {
            "routing": {"router": {"use": "group", "settings": {"groups": groups}}},
            "models": {name: model() for name in names},
        }
    )

    seen = {}
    for name in ("a", "b", "p", "m", "other", "a"):
        swap.chat(name)
        seen[name] = "".join(sorted(each[0] for each in swap.running()))
    assert seen == {"a": "ap", "b": "ab", "p": "abp", "m": "abmp", "other": "op"}


@pytest.mark.soak
@pytest.mark.parametrize("place", ["legacy", "routing"])
def test_a_matrix_says_who_may_stay(swap: Swap, place: str) -> None:
    """The cheapest way is taken, the first of equals; who is in no set is alone."""
    matrix = {
        "vars": {"x": "a"},
        "evict_costs": {"b": 5},
        "sets": {"one": "x & (b | c)", "two": "+one & d", "three": "b & e"},
    }
    routing = {"router": {"use": "matrix", "settings": {"matrix": matrix}}}
    swap.start(
        {
            **({"matrix": matrix} if place == "legacy" else {"routing": routing}),
            "models": {name: model() for name in "abcdef"},
        }
    )

    seen = []
    for name in "abdecabf":
        swap.chat(name)
        seen.append(name + ":" + "".join(sorted(swap.running())))
    assert seen == ["a:a", "b:ab", "d:abd", "e:be", "c:c", "a:ac", "b:ab", "f:f"]


def test_a_busy_model_is_not_stopped_for_another(swap: Swap) -> None:
    swap.start({"models": {"a": model(), "b": model()}})
    swap.chat("a")
    events: list[str] = []

    def listen() -> None:
        answer = swap.chat("a", stream=4, pause=0.2)
        events.append(f"a: {answer.text.count('data')}")

    listening = threading.Thread(target=listen)
    listening.start()
    sleep(0.2)
    swap.chat("b")
    events.append("b")
    listening.join()

    assert events == ["a: 4", "b"]


def test_too_many_requests_for_one_model_are_429(swap: Swap) -> None:
    swap.start({"models": {"a": model(concurrencyLimit=1)}})
    swap.chat("a")
    with swap.client.stream(
        "POST", "/v1/chat/completions", json={"model": "a", "stream": 9, "pause": 0.2}
    ) as stream:
        chunks = stream.iter_bytes()
        next(chunks)
        answer = swap.chat("a")

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert message(answer) == "Too many requests"


# -- requests and answers


def test_a_stream_is_not_held_back(swap: Swap) -> None:
    swap.start({"models": {"a": model()}})
    swap.chat("a")
    arrived = []
    body = {"model": "a", "stream": 3, "pause": 0.3}
    with swap.client.stream("POST", "/v1/chat/completions", json=body) as stream:
        assert stream.headers["X-Accel-Buffering"] == "no"
        for chunk in stream.iter_bytes():
            arrived.append((time(), chunk))

    assert [chunk for _, chunk in arrived] == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]
    assert arrived[2][0] - arrived[0][0] > 0.4


def test_a_client_that_leaves_is_told_to_the_model(swap: Swap) -> None:
    swap.start({"logToStdout": "both", "models": {"a": model()}})
    body = {"model": "a", "stream": 1000, "pause": 0.05}
    with swap.client.stream("POST", "/v1/chat/completions", json=body) as stream:
        next(stream.iter_bytes())

    swap.until(lambda: "client gone" in swap.logged())


def test_an_answer_cut_short_looks_whole(swap: Swap) -> None:
    """Only what the protocol inside lacks, as "[DONE]", tells a client that the model died."""
    swap.start({"models": {"a": model()}})

    answer = swap.chat("a", stream=5, die=2)

    assert (answer.status_code, answer.text) == (200, "data: 0\n\ndata: 1\n\n")
    swap.until(lambda: "recovered from upstream disconnection during streaming" in swap.logged())


def test_headers_and_path_reach_the_model(swap: Swap) -> None:
    swap.start({"models": {"a": model()}})

    told = swap.client.post(
        "/v/chat/completions?x=1",
        json={"model": "a"},
        headers={"Authorization": "Bearer k", "X-Mine": "1", "Connection": "X-Mine"},
    ).json()

    assert told["path"] == "/chat/completions?x=1"
    assert told["headers"]["authorization"] == "Bearer k"
    assert told["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert told["headers"]["host"] == f"127.0.0.1:{swap.ports}"
    assert "x-mine" not in told["headers"]


def test_the_model_is_found_wherever_a_route_keeps_it(swap: Swap) -> None:
    swap.start(
        {
            "models": {
                "org/a": model(
                    aliases=["short"],
                    useModelName="inner",
                    filters={"stripParams": "seed, model", "setParams": {"top_k": 3}},
                )
            }
        }
    )

    told = swap.post("/v1/messages", json={"model": "short", "seed": 1, "x": 2}).json()
    assert json.loads(told["body"]) == {"model": "inner", "x": 2, "top_k": 3}
    form = swap.post(
        "/v1/audio/transcriptions", data={"model": "short"}, files={"file": b"RIFF"}
    ).json()
    assert form["path"] == "/v1/audio/transcriptions"
    assert "inner" in form["body"]
    assert swap.get("/props", params={"model": "org/a"}).json()["path"] == "/props?model=org%2Fa"
    told = swap.get("/upstream/org/a/some/%2F?q=1").json()
    assert told["path"] == "/some/%2F?q=1"
    assert swap.client.get("/upstream/short").headers["Location"] == "/upstream/short/"
    assert swap.client.post("/upstream/short").status_code == 308
    assert swap.get("/upstream/org/a/x.css").status_code == 200
    swap.get("/unload")
    refused = swap.get("/upstream/org/a/x.css")
    assert refused.status_code == 409
    assert message(refused) == "model org/a is not loaded; path matches upstream.ignorePaths"


def test_errors_and_small_routes(swap: Swap) -> None:
    swap.start({"models": {"a": model(name=" A ", metadata={"k": 1}, aliases=["b"])}})

    def status(response: httpx2.Response) -> tuple[int, str]:
        return response.status_code, message(response)

    nothing = (404, "no model id could be identified")
    assert status(swap.chat("none")) == (404, "no router for requested model")
    assert status(swap.post("/v1/chat/completions", json={})) == nothing
    assert status(swap.post("/v1/chat/completions", content='{"model":"a"}')) == nothing
    assert status(swap.get("/props")) == nothing
    assert status(swap.post("/api/models/unload/none")) == (404, "model not found")
    assert status(swap.get("/upstream/none/")) == (404, "model not found")
    assert status(swap.get("/logs/stream/none"))[0] == 400
    for path in ("/models/unload", "/none"):
        gone = swap.post(path)
        assert (gone.status_code, gone.text) == (404, "404 page not found\n")
    wrong = swap.get("/v1/chat/completions")
    assert (wrong.status_code, wrong.text, wrong.headers["Allow"]) == (
        405,
        "Method Not Allowed\n",
        "POST",
    )
    plain = swap.get("/upstream/none/", headers={"Accept": "text/plain"})
    assert plain.text == "llama-swap: model not found"
    page = swap.get("/upstream/none/", headers={"Accept": "text/html"})
    assert page.text == "<html><body><h1>llama-swap</h1><p>model not found</p></body></html>"
    assert swap.get("/wol-health").text == "OK"
    moved = {path: swap.get(path) for path in ("/", "/ui", "/upstream")}
    assert {path: (each.status_code, each.headers["Location"]) for path, each in moved.items()} == {
        "/": (302, "/ui"),
        "/ui": (307, "/ui/"),
        "/upstream": (302, "/ui/models"),
    }
    options = swap.client.options("/v1/models")
    assert (options.status_code, options.headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert set(swap.get("/api/version").json()) == {"version", "commit", "build_date"}
    assert swap.get("/metrics").status_code == 200
    (entry,) = swap.get("/models").json()["data"]
    assert entry["name"] == "A"
    assert entry["meta"]["llamaswap"] == {"type": "model", "k": 1, "aliases": ["b"]}


def test_api_keys_guard_all_but_health(swap: Swap) -> None:
    swap.start({"apiKeys": ["right"], "models": {}})

    refused = swap.get("/v1/models")
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == 'Basic realm="llama-swap"'
    assert message(refused) == "unauthorized: invalid or missing API key"
    assert swap.get("/health").status_code == 200
    assert swap.get("/running", auth=("any", "right")).status_code == 200
    for headers in ({"Authorization": "Bearer right"}, {"x-api-key": "right"}):
        assert swap.get("/running", headers=headers).status_code == 200
    both = {"Authorization": "Bearer wrong", "x-api-key": "right"}
    assert swap.get("/running", headers=both).status_code == 401


@pytest.mark.parametrize(
    ("setting", "proxy", "upstream"),
    [
        ("proxy", True, False),
        ("upstream", False, True),
        ("both", True, True),
        ("none", False, False),
    ],
)
def test_log_to_stdout(swap: Swap, setting: str, proxy: bool, upstream: bool) -> None:
    swap.start({"logToStdout": setting, "models": {"a": model()}})
    swap.chat("a")
    swap.until(lambda: not upstream or "responder --port" in swap.logged(), 2)

    for text in (swap.logged(), swap.get("/logs").text):
        assert ("[INFO] llama-swap listening on http://127.0.0.1:" in text) is proxy
        assert ("responder --port" in text) is upstream
    if proxy:
        assert 'Request 127.0.0.1 "POST /v1/chat/completions HTTP/1.1" 200 ' in swap.logged()


def test_the_log_of_a_model_is_streamed_with_its_history(swap: Swap) -> None:
    swap.start({"models": {"a": model()}})
    swap.chat("a")
    with swap.client.stream("GET", "/logs/stream/a") as stream:
        first = next(stream.iter_bytes())
    threading.Timer(0.3, swap.get, ["/health"]).start()
    with swap.client.stream("GET", "/logs/stream/proxy?no-history") as stream:
        second = next(each for each in stream.iter_bytes() if b"/health" in each)

    assert first.startswith(b"responder --port")
    assert b'"GET /health HTTP/1.1" 200 2 ' in second
    assert swap.get("/logs", headers={"Accept": "text/html"}).status_code == 302


# -- reloading and the end


def test_a_reload_stops_models_and_their_streams(swap: Swap) -> None:
    swap.start({"models": {"a": model()}})
    pid = swap.chat("a").json()["pid"]
    body = {"model": "a", "stream": 1000, "pause": 0.05}
    with swap.client.stream("POST", "/v1/chat/completions", json=body) as stream:
        chunks = stream.iter_bytes()
        next(chunks)
        swap.write({"models": {"b": model()}})
        swap.signal(signal.SIGHUP)
        assert len(list(chunks)) < 100

    swap.until(lambda: "[INFO] configuration reloaded" in swap.logged())
    assert "[INFO] received SIGHUP, reloading config" in swap.logged()
    assert not alive(pid)
    assert [each["id"] for each in swap.get("/v1/models").json()["data"]] == ["b"]
    assert swap.chat("a").status_code == 404


@pytest.mark.soak
def test_a_reload_preloads_before_the_old_process_has_left(swap: Swap) -> None:
    """So a process that is slow to leave keeps the port, and nothing tries a second time."""
    preload = {"hooks": {"on_startup": {"preload": ["a"]}}, "models": {"a": model("--linger=4")}}
    swap.start(preload)
    swap.until(lambda: swap.running() == {"a": "ready"})

    swap.signal(signal.SIGHUP)
    swap.until(lambda: "[INFO] configuration reloaded" in swap.logged())

    assert "[ERROR] failed to preload model a: status 500" in swap.logged()
    assert swap.running() == {}


@pytest.mark.parametrize("text", ["startPort: 0", "models: [", "groups: {g: {members: [x]}}"])
def test_an_invalid_reload_changes_nothing(swap: Swap, text: str) -> None:
    swap.start({"models": {"a": model()}})
    pid = swap.chat("a").json()["pid"]
    swap.write(text)
    swap.signal(signal.SIGHUP)

    swap.until(lambda: "[WARN] failed to " in swap.logged())

    told = (
        "failed to build new server during reload: " if "x" in text else "failed to reload config: "
    )
    assert f"[WARN] {told}" in swap.logged()
    assert swap.chat("a").json()["pid"] == pid


@pytest.mark.soak
def test_the_watcher_sees_a_new_time_and_not_a_missing_file(swap: Swap) -> None:
    swap.start({"models": {"a": model()}}, "-watch-config")
    swap.chat("a")
    same = swap.config.read_text()
    swap.config.unlink()
    sleep(2.2)
    assert swap.running() == {"a": "ready"}

    swap.config.write_text(same)
    swap.until(lambda: swap.logged().count("configuration reloaded") == 1, 5)
    assert swap.running() == {}

    os.utime(swap.config, (1, 1))
    swap.until(lambda: swap.logged().count("configuration reloaded") == 2, 5)


def test_the_end_lets_requests_finish_and_stops_the_models(swap: Swap) -> None:
    swap.start({"models": {"a": model()}})
    pid = swap.chat("a").json()["pid"]
    answers: list[str] = []
    asking = threading.Thread(
        target=lambda: answers.append(swap.chat("a", stream=5, pause=0.1).text)
    )
    asking.start()
    sleep(0.2)

    assert swap.stop() == 0
    asking.join()

    assert answers[0].count("data") == 5
    assert not alive(pid)
    assert "[INFO] received signal terminated, shutting down\n" in swap.logged()
    assert swap.logged().endswith("[INFO] shutdown complete\n")


# -- with its neighbours in the lab


def test_llama_server_answers_through_it(swap: Swap, tmp_path: Path) -> None:
    server, splits = tmp_path / "llama-server", write_model(tmp_path)
    write_llama_server(server)
    flags = f"-m {splits[0]} --host 127.0.0.1 --port ${{PORT}} -c 512 --load-mode none -ngl 99"
    swap.start({"models": {"recite": model(cmd=f"{server} {flags}")}})
    client = openai.OpenAI(
        base_url=f"http://127.0.0.1:{swap.ports}/v1", api_key="none", max_retries=0
    )

    answer = client.chat.completions.create(
        model="recite", messages=[{"role": "user", "content": "hello"}]
    )
    stream = client.chat.completions.create(
        model="recite", messages=[{"role": "user", "content": "hello"}], stream=True
    )

    assert answer.choices[0].message.content == SENTENCE
    assert "".join(each.choices[0].delta.content or "" for each in stream) == SENTENCE
    began = monotonic()
    swap.get("/unload")
    assert monotonic() - began < 1.5


def test_the_wrapper_runs_the_real_one_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "real"
    real.write_text("#!/bin/sh\necho real $1\n")
    real.chmod(0o755)
    monkeypatch.setenv("LAB_LLAMA_SWAP", str(real))
    write_wrapper(tmp_path / "llama-swap")
    assert run(tmp_path / "llama-swap") == "real -version\n"

    monkeypatch.delenv("LAB_LLAMA_SWAP")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")  # where the only one is a wrapper
    write_wrapper(tmp_path / "llama-swap")
    assert run(tmp_path / "llama-swap").startswith("version: 250 ")


def run(command: Path) -> str:
    return subprocess.run(
        [command, "-version"], capture_output=True, text=True, check=True, cwd="/", timeout=10
    ).stdout
