"""answers.sh and verify.sh against small servers in place of llama-swap and the proxy."""

import json
import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from herd.core.mac.questions import question
from herd.core.mac.running_models import Running
from herd.core.text.secret import key_options
from herd.facts.answers import Served, parse
from herd.workstation import certificate_files
from tests.scripts.conftest import Done, Machine, Server, quoted
from tests.workstation.test_certificate_files import pair

# Any printable ASCII may be in a key.
KEY = 'sk-me-"quoted"\\n$HOME\'&'
SWAP_KEY = "5a" * 32
# Whose process listens on the proxy's port, as ps shows it, is said with ROOT for the stack's own.
OURS = "/x/env/bin/python -m proxy serve --config ROOT/config.json"


ANSWERS = {
    "/v1/chat/completions": b'{"choices":[{"message":{"content":""}}]}',
    "/v1/embeddings": b'{"data":[{"embedding":[0.5]}]}',
}


@pytest.fixture
def machine(one_machine: Machine) -> Machine:
    """One shell will do."""
    return one_machine


RUNS = {"cmd": "llama-server --alias 'a b' --port 10001", "proxy": "http://127.0.0.1:10001"}


@dataclass
class Stack:
    """What the two servers answer; `later` is how many looks it takes until they do."""

    serve: Callable[..., Server]
    health: int = 200
    anonymous: int = 401
    with_key: int = 200
    completes: int = 200
    says: bytes = b""
    later: int = 0
    running: Any = field(default_factory=lambda: [{"model": "a", "state": "ready", **RUNS}])
    locked: bool = True

    def __post_init__(self) -> None:
        self.swap = self.serve(self._swap)
        self.proxy = self.serve(self._proxy)

    def _swap(self, path: str, request: Any) -> tuple[int, bytes]:
        shown = request.headers.get("Authorization") == f"Bearer {SWAP_KEY}"
        if self.locked and path != "/health" and not shown:
            return 401, b'{"error": "no"}'
        if path == "/v1/models":
            return 200, json.dumps({"data": [{"id": "a"}]}).encode()
        if path in ANSWERS:
            return 200, ANSWERS[path]
        if path == "/running":
            return 200, json.dumps({"running": self.running}, indent=2).encode()
        self.later -= 1
        return (self.health if self.later < 0 else 503), b"OK"

    def _proxy(self, path: str, request: Any) -> tuple[int, bytes]:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return self.anonymous, b'{"error": {}}'
        if path in ANSWERS:
            good = self.completes == 200
            return self.completes, self.says or (
                ANSWERS[path] if good else b'{"error": "no memory"}'
            )
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


@pytest.fixture
def root(machine: Machine) -> Path:
    """The stack's directory, with llama-swap's key; its own process listens as the proxy."""
    path = machine.home / "my stack"
    path.mkdir()
    (path / "llama-swap.key").write_text(f"{SWAP_KEY}\n")
    listens(machine, path, OURS)
    return path


def listens(machine: Machine, root: Path, *commands: str) -> None:
    """What lsof and ps show of the proxy's port; without root, nothing of others."""
    rows = "".join(f"echo 'P {n} me 3u IPv4 0 0t0 TCP *:1'\n" for n in range(len(commands)))
    machine.program("lsof", f"echo COMMAND PID\n{rows}" if commands else "exit 1")
    lines = "".join(
        f"{n}) echo {quoted(command.replace('ROOT', str(root)))} ;;\n"
        for n, command in enumerate(commands)
    )
    machine.program("ps", f"for pid; do :; done\ncase $pid in\n{lines}esac")


# -- answers.sh

SERVES = Served(
    200, 401, 401, 200, frozenset({"a"}), {"a": "ready"}, running={"a": Running(**RUNS)}
)


def answers(machine: Machine, stack: Stack, root: Path, key: str = KEY, pin: str = "") -> Served:
    stdin = key_options(key).getvalue()
    words = (stack.proxy.url, pin, root, stack.swap.port, root / "llama-swap.key", root / "my.log")
    done = machine.run("answers", *words, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    return parse(done.stdout.splitlines())


def test_a_stack_that_serves_is_told(
    machine: Machine, stack: Stack, root: Path, curl_calls: Path
) -> None:
    assert answers(machine, stack, root) == SERVES
    assert "sk-me" not in curl_calls.read_text()
    assert SWAP_KEY not in curl_calls.read_text()


def test_how_the_last_request_of_a_model_ended_is_told_if_badly(
    machine: Machine, stack: Stack, root: Path
) -> None:
    lines = [
        "2026-11-23T00:07:20.803Z INFO access id=1 key=#1 status=502 time=1.3 model=a in=3",
        "2026-11-23T00:07:21.803Z INFO access id=2 key=#1 status=200 time=1.3 model=a in=3",
        "2026-11-23T00:07:22.803Z INFO access id=3 key=#1 status=200 time=1.3 model=b in=3",
        "2026-11-23T00:07:23.803Z INFO access id=4 key=#1 status=500 time=1.3 model=b in=3",
        "2026-11-23T00:07:24.803Z INFO access id=5 key=#1 status=429 time=1.3 model=c in=3",
        "said by somebody INFO access id=6 status=502 model=a",
    ]
    (root / "my.log").write_text("".join(f"{line}\n" for line in lines))

    assert answers(machine, stack, root).failed == {"b": "HTTP 500 at 2026-11-23T00:07:23.803Z"}


def test_without_a_key_only_what_is_open_is_asked(
    machine: Machine, stack: Stack, root: Path
) -> None:
    assert answers(machine, stack, root, "") == replace(SERVES, with_key=None)
    assert len(stack.proxy.asked) == 1


def test_a_llama_swap_that_lets_everybody_in_is_told(
    machine: Machine, stack: Stack, root: Path
) -> None:
    """As one that an earlier deploy left, where there is no file either."""
    stack.locked = False
    (root / "llama-swap.key").unlink()

    assert answers(machine, stack, root) == replace(SERVES, keyless=200)


STRANGERS: dict[str, list[str]] = {
    "another user's": [],
    "a program of the same user": ["node server.js"],
    "one beside ours": [OURS, "node server.js"],
    "another stack's": ["/x/env/bin/python -m proxy serve --config ROOT-2/config.json"],
}


@pytest.mark.parametrize("whose", STRANGERS)
def test_a_stranger_on_the_proxys_port_is_shown_no_key(
    machine: Machine, stack: Stack, root: Path, whose: str
) -> None:
    listens(machine, root, *STRANGERS[whose])

    assert answers(machine, stack, root) == replace(SERVES, with_key=None, stranger=True)
    assert all("Authorization" not in headers for _, headers in stack.proxy.asked)


@pytest.fixture
def secured(stack: Stack, tmp_path: Path) -> tuple[str, str]:
    """The proxy of the stack speaks TLS; its pin, and that of another certificate."""
    pins = []
    for name in ("mine", "other"):
        own = pair(tmp_path, name)
        pins.append(certificate_files.pin(certificate_files.shown(own)))
        if name == "mine":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(str(own.proxy_tls_certificate), str(own.proxy_tls_key))
            stack.proxy.http.socket = context.wrap_socket(stack.proxy.http.socket, server_side=True)
    stack.proxy.url = stack.proxy.url.replace("http:", "https:")
    return pins[0], pins[1]


def test_the_deployed_certificate_is_shown_the_key(
    machine: Machine, stack: Stack, root: Path, secured: tuple[str, str]
) -> None:
    """It is for a name that is not this Mac's own address."""
    assert answers(machine, stack, root, pin=secured[0]) == SERVES


def test_another_certificate_is_shown_no_key(
    machine: Machine, stack: Stack, root: Path, secured: tuple[str, str]
) -> None:
    found = answers(machine, stack, root, pin=secured[1])

    assert found.other_certificate
    assert found.with_key == 0
    assert stack.proxy.asked == []


def test_a_wrong_key_is_told(machine: Machine, stack: Stack, root: Path) -> None:
    assert answers(machine, stack, root, "sk-wrong").with_key == 401


def test_silence_is_told(machine: Machine, root: Path, free_port: int) -> None:
    done = machine.run(
        *("answers", f"http://127.0.0.1:{free_port}", "", root, free_port, "/no/key", "/no/log"),
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
    machine: Machine, stack: Stack, root: Path, lines: list[str], refused: str
) -> None:
    log = root / "my.log"
    log.write_text("".join(f"{line}\n2026-11-22T20:00:03Z INFO GET /x\n" for line in lines))

    assert answers(machine, stack, root).refused == refused


# -- verify.sh


@pytest.fixture
def logs(machine: Machine, root: Path) -> tuple[Path, Path]:
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
    pin: str = "",
    task: str = "chat",
) -> Done:
    root = machine.home / "my stack"
    words = []
    for number, model in enumerate(models):
        asked = question(task, model, "Hi", max_tokens=1)
        words += [model, f"mark{number}", url or stack.proxy.url]
        words += [asked.path, asked.body, asked.holds]
    return machine.run(
        *("verify", limit, 30, stack.proxy.url, pin, root),
        *(stack.swap.port, root / "llama-swap.key", *logs, *words),
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
    assert len([path for path, _ in stack.swap.asked if path == "/health"]) == 6


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"health": 500}, "llama-swap does not answer on http://127.0.0.1:SWAP (HTTP 500)"),
        ({"locked": False}, "llama-swap answers HTTP 200 without its key, not 401"),
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


def test_a_key_that_is_not_llama_swaps_own_fails_with_the_reason(
    machine: Machine, stack: Stack, logs: tuple[Path, Path], root: Path
) -> None:
    (root / "llama-swap.key").write_text("another\n")
    done = verify(machine, stack, logs, limit=0)

    assert done.stderr.startswith("After 0 s: llama-swap answers HTTP 401 with its key, not 200.")


@pytest.mark.parametrize("whose", STRANGERS)
def test_a_deploy_shows_no_key_to_a_stranger(
    machine: Machine, stack: Stack, logs: tuple[Path, Path], root: Path, whose: str
) -> None:
    listens(machine, root, *STRANGERS[whose])
    done = verify(machine, stack, logs, "a", limit=0)

    assert done.returncode == 1
    words = f"After 0 s: somebody else listens on {stack.proxy.url}, who gets no key."
    assert done.stderr.startswith(words)
    assert all("Authorization" not in headers for _, headers in stack.proxy.asked)


def test_a_deploy_shows_no_key_to_another_certificate(
    machine: Machine, stack: Stack, logs: tuple[Path, Path], secured: tuple[str, str]
) -> None:
    done = verify(machine, stack, logs, "a", limit=0, pin=secured[1])

    assert "shows another certificate than the deployed one" in done.stderr
    assert stack.proxy.asked == []
    assert verify(machine, stack, logs, "a", pin=secured[0]).returncode == 0


def test_missing_logs_do_not_hide_the_reason(machine: Machine, stack: Stack, root: Path) -> None:
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
    assert re.search(r"^b answers, after \d s$", done.stdout, re.MULTILINE)
    bodies = [json.loads(body) for body in stack.proxy.bodies if body]
    assert [body["model"] for body in bodies] == ["it's my model", "b"]
    assert {body["max_tokens"] for body in bodies} == {1}
    assert "sk-me" not in curl_calls.read_text()


def test_without_a_key_all_else_is_proved(
    machine: Machine, stack: Stack, logs: tuple[Path, Path]
) -> None:
    """And llama-swap, by its own key, loads the models."""
    stack.with_key = 500
    done = verify(machine, stack, logs, "a", key=None, url=f"http://127.0.0.1:{stack.swap.port}")

    assert (done.returncode, done.stderr) == (0, "")
    assert "a answers" in done.stdout
    assert [path for path, _ in stack.proxy.asked] == ["/v1/models"]
    asked = [headers for path, headers in stack.swap.asked if path == "/v1/chat/completions"]
    assert len(asked) == 1
    assert asked[0]["Authorization"] == f"Bearer {SWAP_KEY}"


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
    words = 'a does not answer on /v1/chat/completions (HTTP 500): {"error": "no memory"}'
    assert words in done.stderr
    assert "my swap 99" in done.stderr
    assert "loading b" not in done.stdout


def test_what_answered_is_noted_and_looked_at_again(
    machine: Machine, stack: Stack, logs: tuple[Path, Path], root: Path
) -> None:
    verify(machine, stack, logs, "a", "b")
    assert answers(machine, stack, root).answered == {"mark0", "mark1"}

    stack.says = b'{"choices":[]}'
    done = verify(machine, stack, logs, "a", "b")

    assert done.returncode == 1
    assert 'a answers nothing on /v1/chat/completions: {"choices":[]}' in done.stderr
    assert "my swap 99" in done.stderr
    assert answers(machine, stack, root).answered == set()


def test_a_model_is_asked_in_its_own_way(
    machine: Machine, stack: Stack, logs: tuple[Path, Path]
) -> None:
    done = verify(machine, stack, logs, "a", task="embedding")

    assert (done.returncode, done.stderr) == (0, "")
    assert [path for path, _ in stack.proxy.asked][-1] == "/v1/embeddings"
    stack.says = b'{"data":[{"embedding":[null]}]}'
    assert "a answers nothing on" in verify(machine, stack, logs, "a", task="embedding").stderr


def test_a_reload_is_waited_for_only_where_somebody_reloads(
    machine: Machine, stack: Stack, free_port: int
) -> None:
    machine.program("sleep", f'echo "$@" >{machine.home}/slept')
    assert machine.run("await-reload", free_port).returncode == 0
    assert not os.path.exists(machine.home / "slept")
    assert machine.run("await-reload", stack.swap.port).returncode == 0

    assert (machine.home / "slept").read_text() == "3\n"


# -- unload.sh


@pytest.mark.parametrize(("path", "asked"), [("", ""), ("/my%20model", "/my model")])
def test_llama_swap_is_told_to_unload_with_its_key(
    machine: Machine, stack: Stack, root: Path, curl_calls: Path, path: str, asked: str
) -> None:
    done = machine.run("unload", stack.swap.port, root / "llama-swap.key", path)

    assert (done.returncode, done.stderr) == (0, "")
    ((found, headers),) = stack.swap.asked
    assert found == f"/api/models/unload{asked}"
    assert headers["Authorization"] == f"Bearer {SWAP_KEY}"
    assert SWAP_KEY not in curl_calls.read_text()


def test_without_the_key_nothing_is_unloaded(machine: Machine, stack: Stack) -> None:
    done = machine.run("unload", stack.swap.port, "/no/key", "")

    assert done.returncode != 0
    assert "401" in done.stderr
