"""A lab with its workstation: runs the real pyinfra and the verbs on it, as a user would."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from openai import OpenAI

from lab.lab import Lab, Mac
from lab.reciter import write_model
from lab.sentence import SENTENCE
from tests import preloaded

PROJECT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
KEY = "sk-test-EXAMPLE-not-a-secret-0123456789"
REPO = "lab/recite-GGUF"
# What opens the gated repositories of the tests.
TOKEN = "hf_EXAMPLEnotAsecretButNeverShown"


@dataclass(frozen=True)
class Run:
    """A finished run of pyinfra: its exit code, its words, and what became of each operation."""

    code: int
    out: str
    err: str
    operations: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def changed(self, host: str) -> set[str]:
        """Names of the operations that did something on a host."""
        return {name for name, hosts in self.operations.items() if host in hosts["success"]}

    def failed(self, host: str) -> set[str]:
        return {name for name, hosts in self.operations.items() if host in hosts["error"]}


class Fleet:
    """Simulated Macs and the workstation that deploys to them."""

    def __init__(self, directory: Path, *names: str, **facts: Any) -> None:
        self.lab = Lab(directory, names or ("mac1",), **facts)
        self.files = write_model(self.lab.hub_root / REPO)
        self.lab.start(popen=preloaded.Popen)
        self._locked = _terms(self._declared())
        # Every new lab declares the same, of a Hub with the same bytes: one lock is theirs all.
        lock, terms = self.lab.inventory.with_name("models.lock"), frozenset(self._locked)
        if terms not in _LOCKS:
            self.lock()
            _LOCKS[terms] = lock.read_text()
        lock.write_text(_LOCKS[terms])

    def __getitem__(self, name: str) -> Mac:
        return self.lab[name]

    def stop(self) -> None:
        self.lab.stop()

    @property
    def environment(self) -> dict[str, str]:
        """Of the workstation: an empty home, and nothing of whoever runs (tests/conftest.py)."""
        home = self.lab.directory / "workstation"
        home.mkdir(exist_ok=True)
        return os.environ | {"HOME": str(home), "HF_ENDPOINT": self.lab.hub_url, "API_KEYS": KEY}

    def inventory(self, **data: dict[str, Any]) -> Path:
        """The lab's inventory with further data for hosts, by name, and a lock for both."""
        declared = self._declared()
        hosts = [(name, {**given, **data.get(name, {})}) for name, given in declared]
        for name, given in hosts:
            # Models are merged over those of the lab, as over group_data.
            lab_models = dict(declared)[name]["models"]
            given["models"] = {
                model: {**(lab_models.get(model) or {}), **settings} if settings else settings
                for model, settings in {**lab_models, **given["models"]}.items()
            }
        path = self.lab.directory / "inventory-of-a-test.py"
        path.write_text(f"macs = {hosts!r}\n")
        if not _terms(hosts) <= self._locked and self.lock(path).code == 0:
            self._locked = _terms(hosts)
        return path

    def _declared(self) -> list[tuple[str, dict[str, Any]]]:
        scope: dict[str, Any] = {}
        exec(self.lab.inventory.read_text(), scope)
        hosts: list[tuple[str, dict[str, Any]]] = scope["macs"]
        return hosts

    def lock(self, inventory: Path | None = None, *words: str, **environment: str) -> Run:
        """`make lock`, with a token for what is gated; settings that are wrong leave no lock."""
        run = self.herd("lock", *words, inventory=inventory, **{"HF_TOKEN": TOKEN} | environment)
        self.hub("forget", {})  # so that the Hub's record is of the deploys
        return run

    def command(self, *options: str, inventory: Path | None = None) -> list[str]:
        """The command line of a deploy."""
        return [
            str(PROGRAMS / "pyinfra"),
            *options,
            str(inventory or self.lab.inventory),
            "deploy.py",
        ]

    def pyinfra(self, *options: str, timeout: float = 240, **environment: str) -> Run:
        """Any pyinfra command; output as it is."""
        done = preloaded.run(
            [str(PROGRAMS / "pyinfra"), *options],
            cwd=PROJECT,
            env=self.environment | environment,
            timeout=timeout,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def deploy(self, *options: str, environment: dict[str, str] | None = None, **data: Any) -> Run:
        """`pyinfra -y --json INVENTORY deploy.py`, with data for hosts by name."""
        return self._run("deploy.py", options, environment, data)

    def rollback(self, *options: str, **data: Any) -> Run:
        """The same of rollback.py."""
        return self._run("rollback.py", options, None, data)

    def _run(
        self,
        file: str,
        options: Iterable[str],
        environment: dict[str, str] | None,
        data: dict[str, Any],
    ) -> Run:
        inventory = self.inventory(**data) if data else self.lab.inventory
        words = ["-y", "--json", *options, str(inventory), file]
        run = self.pyinfra(*words, timeout=240, **(environment or {}))
        operations = {}
        if run.out.strip():
            operations = {o["name"]: o for o in json.loads(run.out)["results"]["operations"]}
        return Run(run.code, run.out, run.err, operations)

    def settles(self, **data: Any) -> Run:
        """Deploy, and again: the second run must change nothing. Returns the first."""
        first = self.deploy(**data)
        assert first.code == 0, first.err
        second = self.deploy("--diff", **data)
        assert second.code == 0, second.err
        changed = {name: found for name in self.lab.macs if (found := second.changed(name))}
        assert not changed, f"{changed}\n{second.out}\n{second.err}"
        return first

    def herd(self, *words: str, inventory: Path | None = None, **environment: str) -> Run:
        """`python -m herd VERB …` on the lab's inventory."""
        verb, *rest = words
        where = ["--inventory", str(inventory or self.lab.inventory)]
        done = preloaded.run(
            [sys.executable, "-m", "herd", verb, *where, *rest],
            cwd=PROJECT,
            env=self.environment | environment,
            timeout=600,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def hub(self, route: str = "stats", data: Any = None) -> Any:
        """The Hub's own record ("stats"), or `data` sent to "faults" or "reset"."""
        url = f"{self.lab.hub_url}/_lab/{route}"
        body = None if route == "stats" else json.dumps(data).encode()
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(url, body, headers), timeout=10) as answer:
            return json.load(answer)

    def begin(
        self, *options: str, environment: dict[str, str] | None = None, **data: Any
    ) -> "Deploying":
        """`pyinfra -y INVENTORY deploy.py`, running while the test goes on."""
        inventory = self.inventory(**data) if data else self.lab.inventory
        return self._begin(self.command("-y", *options, inventory=inventory), environment or {})

    def begin_herd(self, verb: str, *words: str, inventory: Path | None = None) -> "Deploying":
        """`python -m herd VERB …`, running while the test goes on."""
        where = ["--inventory", str(inventory or self.lab.inventory)]
        return self._begin([sys.executable, "-m", "herd", verb, *where, *words], {})

    def _begin(self, command: list[str], environment: dict[str, str]) -> "Deploying":
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        return Deploying(process)

    def client(self, name: str = "mac1", key: str = KEY, port: int | None = None) -> OpenAI:
        """The real openai client at a Mac's endpoint."""
        url = f"http://127.0.0.1:{port or self[name].ports['proxy']}/v1"
        return OpenAI(base_url=url, api_key=key, max_retries=0, timeout=60)

    def says(self, name: str = "mac1", model: str = "recite", **options: Any) -> str:
        """What a model answers through the whole chain."""
        answer = self.client(name, **options).chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hello"}]
        )
        return answer.choices[0].message.content or ""

    def ask(self, path: str, body: dict[str, Any], name: str = "mac1") -> dict[str, Any]:
        """Any other answer."""
        found = self.client(name).post(path.removeprefix("/v1"), cast_to=object, body=body)
        return dict(found)  # type: ignore[call-overload,no-any-return]


_LOCKS: dict[frozenset[str], str] = {}


_TERMS = (
    *("repo", "revision", "include", "mmproj", "draft", "lora", "control_vector"),
    "chat_template_file",
)


def _terms(hosts: Iterable[tuple[str, dict[str, Any]]]) -> set[str]:
    """What of a declaration a lock depends on."""
    return {
        repr(
            (name, *map(model.get, _TERMS), [w for w in model.get("extra_args", ()) if "://" in w])
        )
        for _, given in hosts
        for name, model in given["models"].items()
        if model
    }


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Polls until a condition holds, and returns its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)
    return value


def is_served(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Deploying:
    """A deploy that runs in the background; its output as it comes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(plain(line))

    @property
    def out(self) -> str:
        """All that it has printed so far."""
        return "".join(self.lines)

    def await_line(self, text: str, timeout: float = 300) -> None:
        """Wait until it has printed a line with this text."""
        deadline = time.monotonic() + timeout
        while text not in self.out:
            over = self.process.poll() is not None and not self._reader.is_alive()
            assert text in self.out or not over, f"it ended without {text!r}:\n{self.out}"
            assert time.monotonic() < deadline, f"no {text!r} in {timeout} s:\n{self.out}"
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL to all of it, as when the workstation loses its power."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()

    def wait(self, timeout: float = 240) -> int:
        """Its exit code, once it has ended."""
        code = self.process.wait(timeout)
        self._reader.join(10)
        return code


def plain(text: str) -> str:
    """Without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


__all__ = [
    "KEY",
    "PROJECT",
    "REPO",
    "SENTENCE",
    "TOKEN",
    "Fleet",
    "Run",
    "is_served",
    "plain",
    "until",
]
