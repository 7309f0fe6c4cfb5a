"""A lab with its workstation: runs the real pyinfra and the verbs on it, as a user would."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openai import OpenAI

from lab.lab import Lab, Mac
from lab.reciter import SENTENCE, write_model

PROJECT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
KEY = "sk-test-EXAMPLE-not-a-secret-0123456789"
REPO = "lab/recite-GGUF"


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
        self.lab.start()

    def __getitem__(self, name: str) -> Mac:
        return self.lab[name]

    def stop(self) -> None:
        self.lab.stop()

    @property
    def environment(self) -> dict[str, str]:
        """Of the workstation: an empty home, and no token or key of whoever runs the tests."""
        home = self.lab.directory / "workstation"
        home.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "PYINFRA_"))}
        return kept | {"HOME": str(home), "HF_ENDPOINT": self.lab.hub_url, "API_KEYS": KEY}

    def inventory(self, **data: dict[str, Any]) -> Path:
        """The lab's inventory with further data for hosts, by name."""
        scope: dict[str, Any] = {}
        exec(self.lab.inventory.read_text(), scope)
        hosts = [(name, {**given, **data.get(name, {})}) for name, given in scope["macs"]]
        for name, given in hosts:
            # Models are merged over those of the lab, as over group_data.
            lab_models = dict(scope["macs"])[name]["models"]
            given["models"] = {
                model: {**(lab_models.get(model) or {}), **settings} if settings else settings
                for model, settings in {**lab_models, **given["models"]}.items()
            }
        path = self.lab.directory / "inventory-of-a-test.py"
        path.write_text(f"macs = {hosts!r}\n")
        return path

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
        done = subprocess.run(
            [str(PROGRAMS / "pyinfra"), *options],
            cwd=PROJECT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def deploy(self, *options: str, environment: dict[str, str] | None = None, **data: Any) -> Run:
        """`pyinfra -y --json INVENTORY deploy.py`, with data for hosts by name."""
        inventory = self.inventory(**data) if data else self.lab.inventory
        run = self.pyinfra(
            "-y", "--json", *options, str(inventory), "deploy.py", **(environment or {})
        )
        operations = {}
        if run.out.strip():
            operations = {o["name"]: o for o in json.loads(run.out)["results"]["operations"]}
        return Run(run.code, run.out, run.err, operations)

    def settles(self, **data: Any) -> Run:
        """Deploy, and again: the second run must change nothing. Returns the first."""
        first = self.deploy(**data)
        assert first.code == 0, first.err
        second = self.deploy(**data)
        assert second.code == 0, second.err
        assert {name: second.changed(name) for name in self.lab.macs if second.changed(name)} == {}
        return first

    def herd(self, *words: str, inventory: Path | None = None, **environment: str) -> Run:
        """`python -m herd VERB …` on the lab's inventory."""
        verb, *rest = words
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "herd",
                verb,
                "--inventory",
                str(inventory or self.lab.inventory),
                *rest,
            ],
            cwd=PROJECT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
        return Run(done.returncode, done.stdout, done.stderr)

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


def plain(text: str) -> str:
    """Without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


__all__ = ["KEY", "PROJECT", "REPO", "SENTENCE", "Fleet", "Run", "is_served", "plain", "until"]
