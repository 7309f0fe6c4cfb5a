"""answers.sh and verify.sh against small servers in place of llama-swap and the proxy."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from herd.core.endpoints import completion
from herd.core.secrets import key_options
from herd.facts.answers import Served, parse
from tests.scripts.conftest import Done, Machine, Server

# Any printable ASCII may be in a key.
KEY = 'sk-me-"quoted"\\n$HOME\'&'


@pytest.fixture
def machine(one_machine: Machine) -> Machine:
    """One shell will do."""
    return one_machine


@dataclass
class Stack:
    """What the two servers answer; `later` is how many looks it takes until they do."""

    serve: Callable[..., Server]
    health: int = 200
    anonymous: int = 401
    with_key: int = 200
    completes: int = 200
    later: int = 0
    running: Any = field(default_factory=lambda: [{"model": "a", "state": "ready"}])

    def __post_init__(self) -> None:
        self.swap = self.serve(self._swap)
        self.proxy = self.serve(self._proxy)

    def _swap(self, path: str, request: Any) -> tuple[int, bytes]:
        if path == "/v1/models":
            return 200, json.dumps({"data": [{"id": "a"}]}).encode()
        if path == "/v1/chat/completions":
            return 200, b"{}"
        if path == "/running":
            return 200, json.dumps({"running": self.running}, indent=2).encode()
        self.later -= 1
        return (self.health if self.later < 0 else 503), b"OK"

    def _proxy(self, path: str, request: Any) -> tuple[int, bytes]:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return self.anonymous, b'{"error": {}}'
        if path == "/v1/chat/completions":
            return self.completes, b'{"error": "no memory"}'
        return self.with_key, json.dumps({"data": [{"id": "a"}]}).encode()


@pytest.fixture
def stack(serve: Callable[..., Server]) -> Stack:
    return Stack(serve)


@pytest.fixture
def curl_calls(machine: Machine) -> Path:
    """The arguments that curl was run with, by a curl of ours that runs the real one."""
    path = machine.home / "curl.calls"
    machine.program("curl", f'printf "%s\\n" "$@" >>{path}\nPATH=${{PATH#*:}}\nexec curl "$@"')
    return path


# -- answers.sh


def answers(machine: Machine, stack: Stack, key: str = KEY) -> Served:
    stdin = key_options(key).getvalue()
    log = machine.home / "my proxy.log"
    done = machine.run("answers", stack.swap.port, stack.proxy.url, log, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    return parse(done.stdout.splitlines())


def test_a_stack_that_serves_is_told(machine: Machine, stack: Stack, curl_calls: Path) -> None:
    assert answers(machine, stack) == Served(200, 401, 200, frozenset({"a"}), {"a": "ready"})
    assert "sk-me" not in curl_calls.read_text()


def test_without_a_key_only_what_is_open_is_asked(machine: Machine, stack: Stack) -> None:
    assert answers(machine, stack, "") == Served(200, 401, None, frozenset({"a"}), {"a": "ready"})
    assert len(stack.proxy.asked) == 1


def test_a_wrong_key_is_told(machine: Machine, stack: Stack) -> None:
    assert answers(machine, stack, "sk-wrong").with_key == 401


def test_silence_is_told(machine: Machine, free_port: int) -> None:
    done = machine.run(
        *("answers", free_port, f"http://127.0.0.1:{free_port}", "/no/log"),
        stdin=key_options(KEY).getvalue(),
    )

    assert done.returncode == 0
    assert parse(done.stdout.splitlines()) == Served(with_key=0)


KEPT = "2026-11-22T20:00:01Z ERROR the old keys stay in force (1 key from x): it is not valid JSON"
TAKEN = "2026-11-22T20:00:02Z INFO keys read again: 1 key from x"


# What a client chose stands in the log, too.
LIE = '2026-11-22T20:00:03Z INFO access id=1 status=404 model="ERROR the old keys stay in force"'


@pytest.mark.parametrize(
    ("lines", "refused"), [([TAKEN, KEPT], KEPT), ([KEPT, TAKEN], ""), ([TAKEN, LIE], "")]
)
def test_keys_that_the_proxy_did_not_take_are_told(
    machine: Machine, stack: Stack, lines: list[str], refused: str
) -> None:
    log = machine.home / "my proxy.log"
    log.write_text("".join(f"{line}\n2026-11-22T20:00:03Z INFO GET /x\n" for line in lines))

    assert answers(machine, stack).refused == refused


# -- verify.sh


@pytest.fixture
def logs(machine: Machine) -> tuple[Path, Path]:
    paths = machine.home / "my swap.log", machine.home / "my proxy.log"
    for path in paths:
        path.write_text("".join(f"{path.stem} {n}\n" for n in range(100)))
    return paths


def verify(
    machine: Machine,
    stack: Stack,
    logs: tuple[Path, Path],
    *models: str,
    limit: int = 20,
    key: str | None = KEY,
    url: str = "",
) -> Done:
    bodies = {m: completion(m, "Hi", max_tokens=1, stream=False) for m in models}
    words = [word for m, body in bodies.items() for word in (m, url or stack.proxy.url, body)]
    return machine.run(
        *("verify", limit, 30, stack.swap.port, stack.proxy.url, *logs, *words),
        stdin=key_options(key).getvalue(),
    )


def test_a_stack_that_serves_is_proved_at_once(
    machine: Machine, stack: Stack, logs: tuple[Path, Path], curl_calls: Path
) -> None:
    done = verify(machine, stack, logs)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "sk-me" not in curl_calls.read_text()
    assert not list(machine.home.parent.glob("herd-verify*"))


def test_a_stack_that_comes_up_is_waited_for(
    machine: Machine, stack: Stack, logs: tuple[Path, Path]
) -> None:
    stack.later = 5
    done = verify(machine, stack, logs)

    assert (done.returncode, done.stderr) == (0, "")
    assert len(stack.swap.asked) == 6


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"health": 500}, "llama-swap does not answer on http://127.0.0.1:SWAP (HTTP 500)"),
        ({"anonymous": 200}, "the proxy on PROXY answers HTTP 200 without a key, not 401"),
        ({"with_key": 401}, "the proxy on PROXY answers HTTP 401 with a key, not 200"),
        ({"with_key": 502}, "the proxy on PROXY answers HTTP 502 with a key, not 200"),
    ],
)
def test_a_stack_that_never_serves_fails_with_the_reason_and_the_ends_of_the_logs(
    machine: Machine,
    stack: Stack,
    logs: tuple[Path, Path],
    curl_calls: Path,
    state: dict[str, int],
    reason: str,
) -> None:
    for key, value in state.items():
        setattr(stack, key, value)
    done = verify(machine, stack, logs, limit=0)

    reason = reason.replace("SWAP", str(stack.swap.port)).replace("PROXY", stack.proxy.url)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == f"After 0 s: {reason}. If a service hangs, `make restart` ends it."
    assert lines[1] == f"The last lines of {logs[0]}:"
    assert lines[2:14] == [f"my swap {n}" for n in range(88, 100)]
    assert lines[14] == f"The last lines of {logs[1]}:"
    assert lines[-1] == "my proxy 99"
    assert "sk-me" not in done.stdout + done.stderr + curl_calls.read_text()


def test_nothing_listens(machine: Machine, stack: Stack, logs: tuple[Path, Path]) -> None:
    stack.swap.close()
    done = verify(machine, stack, logs, limit=0)

    assert done.returncode == 1
    assert "(HTTP 000)" in done.stderr


def test_missing_logs_do_not_hide_the_reason(machine: Machine, stack: Stack) -> None:
    stack.health = 500
    done = verify(machine, stack, (machine.home / "no", machine.home / "none"), limit=0)

    assert done.returncode == 1
    assert done.stderr.startswith("After 0 s: llama-swap does not answer")


def test_models_to_preload_complete_with_the_key(
    machine: Machine, stack: Stack, logs: tuple[Path, Path], curl_calls: Path
) -> None:
    done = verify(machine, stack, logs, "it's my model", "b")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "loading it's my model"
    assert re.search(r"^b completes, after \d s$", done.stdout, re.MULTILINE)
    bodies = [json.loads(body) for body in stack.proxy.bodies if body]
    assert [body["model"] for body in bodies] == ["it's my model", "b"]
    assert {body["max_tokens"] for body in bodies} == {1}
    assert "sk-me" not in curl_calls.read_text()


def test_without_a_key_all_else_is_proved(
    machine: Machine, stack: Stack, logs: tuple[Path, Path]
) -> None:
    """And llama-swap, which needs none, loads the models."""
    stack.with_key = 500
    done = verify(machine, stack, logs, "a", key=None, url=f"http://127.0.0.1:{stack.swap.port}")

    assert (done.returncode, done.stderr) == (0, "")
    assert "a completes" in done.stdout
    assert [path for path, _ in stack.proxy.asked] == ["/v1/models"]
    asked = [headers for path, headers in stack.swap.asked if path == "/v1/chat/completions"]
    assert len(asked) == 1
    assert "Authorization" not in asked[0]


def test_a_key_at_its_limit_does_not_keep_a_model_from_loading(
    machine: Machine, stack: Stack, logs: tuple[Path, Path]
) -> None:
    stack.completes = 429
    done = verify(machine, stack, logs, "a")

    assert (done.returncode, done.stderr) == (0, "")
    assert "the key is over its limit: asking llama-swap itself" in done.stdout


def test_a_model_that_does_not_complete_fails_with_the_answer_and_the_log(
    machine: Machine, stack: Stack, logs: tuple[Path, Path]
) -> None:
    stack.completes = 500
    done = verify(machine, stack, logs, "a", "b")

    assert done.returncode == 1
    assert 'a does not complete (HTTP 500): {"error": "no memory"}' in done.stderr
    assert "my swap 99" in done.stderr
    assert "loading b" not in done.stdout


def test_a_reload_is_waited_for_only_where_somebody_reloads(
    machine: Machine, stack: Stack, free_port: int
) -> None:
    machine.program("sleep", f'echo "$@" >{machine.home}/slept')
    assert machine.run("await-reload", free_port).returncode == 0
    assert not os.path.exists(machine.home / "slept")
    assert machine.run("await-reload", stack.swap.port).returncode == 0

    assert (machine.home / "slept").read_text() == "3\n"
