"""slots-save.sh and slots-restore.sh against one small server in place of llama-swap and of the
llama-servers. With real ones: docs/decisions/0037-slots-over-a-restart.md."""

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.scripts.conftest import Machine, Server


class Serving:
    """Models with the states of their slots ("idle", "busy"), which save so many bytes."""

    def __init__(
        self, serve: Callable[..., Server], directory: Path, states: Mapping[str, str], size: int
    ) -> None:
        self.directory, self.states, self.size = directory, states, size
        self.slots = ["idle", "busy", "idle"]
        self.restores = True
        self.build = "b1-571d0d5"
        self.server = serve(self.answer)

    def answer(self, path: str, handler: Any) -> tuple[int, bytes]:
        if handler.headers["Authorization"] != "Bearer secret":
            return 401, b"{}"
        if path == "/running":
            return 200, self.told(
                {
                    "running": [
                        {"model": name, "state": state, "cmd": 'x \'{"a":[{},{}]}\'',
                         "proxy": self.server.url, "ttl": 0}
                        for name, state in self.states.items()
                    ]
                }
            )  # fmt: skip
        if path.endswith("/props"):
            return 200, self.told({"total_slots": 3, "build_info": self.build})
        if path == "/slots":
            return 200, self.told(
                [
                    {"id": number, "n_ctx": 512, "speculative": False,
                     "is_processing": state == "busy", "params": {"n_ctx": 1}}
                    for number, state in enumerate(self.slots)
                ]
            )  # fmt: skip
        body = json.loads(self.server.bodies[-1])
        file = self.directory / body["filename"]
        if path.endswith("action=save"):
            file.write_bytes(b"x" * self.size)
            return 200, self.told({"filename": body["filename"], "n_saved": 7, "n_written": 1})
        there = self.restores and file.is_file()
        return (200, b'{"id_slot":0,"n_restored":7}') if there else (400, b'{"error":{}}')

    def told(self, what: Any) -> bytes:
        return json.dumps(what, separators=(",", ":")).encode()

    def asked(self, action: str) -> list[str]:
        return [path for path, _ in self.server.asked if path.endswith(f"action={action}")]


CONFIG = """
models:
  "a/b c":
    # content 1: another one is to be loaded anew
    cmd: |
      llama-server --port ${PORT}
  "m":
    cmd: |
      llama-server --port ${PORT} --ctx-size 512

groups:
  "all": {}
"""


class Restart:
    """Both scripts on one machine, around a restart that a test makes as it likes."""

    def __init__(self, machine: Machine, serving: Serving, *models: tuple[str, Path]) -> None:
        self.machine, self.root = machine, machine.home
        self.serving, self.port = serving, serving.server.port
        (self.root / "llama-swap.key").write_text("secret")
        self.config = self.root / "config.yaml"
        self.configure(CONFIG)
        self.runs_for("02:00")
        # As herd/core/mac/saved_slots.py has them.
        self.models = [
            word
            for name, directory in models
            for word in (name, quote(name, safe=""), f'  "{name}":', directory)
        ]

    def configure(self, text: str, seconds_ago: int = 500) -> None:
        self.config.write_text(text)
        changed = time.time() - seconds_ago
        os.utime(self.config, (changed, changed))

    def runs_for(self, etime: str) -> None:
        """As ps has it."""
        self.machine.program(
            "ps", f"echo '   00:01 sh -c x'; echo '{etime} llama-server --port {self.port} --x'"
        )

    def save(self, most: int = 1000) -> str:
        return self._run("slots-save", most)

    def restore(self) -> str:
        said = self._run("slots-restore")
        assert not self.noted
        return said

    @property
    def noted(self) -> bool:
        return (self.root / "saved-slots").exists()

    def _run(self, name: str, *most: int) -> str:
        key = self.root / "llama-swap.key"
        done = self.machine.run(name, self.root, self.port, key, 5, *most, *self.models)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "my slots"
    path.mkdir()
    return path


def test_idle_slots_of_loaded_models_are_saved_and_read_again_and_no_file_stays(
    one_machine: Machine, serve: Callable[..., Server], directory: Path
) -> None:
    (directory / "mine.slot").touch()
    (directory / "herd-0-0.slot").touch()  # of a run that was cut off
    serving = Serving(serve, directory, {"a/b c": "ready", "m": "starting"}, 10)
    restart = Restart(one_machine, serving, ("a/b c", directory), ("m", directory))

    said = restart.save()

    assert said == "a/b c: 14 tokens of its prompt caches are saved\n"
    assert serving.asked("save") == ["/slots/0?action=save", "/slots/2?action=save"]
    assert restart.noted
    first, second, mine = files(directory)
    assert re.fullmatch(r"herd-[0-9a-f]{16}-[0-9a-f]{16}-0\.slot", first)
    assert (second, mine) == (first.replace("-0.", "-2."), "mine.slot")

    said = restart.restore()

    assert said == "a/b c: 14 tokens of its prompt caches are there again\n"
    assert len(serving.asked("restore")) == 2
    assert all(path.startswith("/upstream/a/b c/slots/") for path in serving.asked("restore"))
    assert files(directory) == ["mine.slot"]


@pytest.mark.parametrize(
    ("what", "is_offered"),
    [
        ("another build", False),
        ("other files", False),
        ("another context", False),
        ("another model beside it", True),
        ("an hour", False),
    ],
)
def test_only_its_own_model_and_build_is_offered_what_was_saved(
    one_machine: Machine, serve: Callable[..., Server], directory: Path, what: str, is_offered: bool
) -> None:
    """llama-server takes what has another meaning, and what it refuses can spoil its cache."""
    name = "a/b c" if what == "other files" else "m"
    serving = Serving(serve, directory, {name: "ready"}, 10)
    restart = Restart(one_machine, serving, (name, directory))
    assert "14 tokens" in restart.save()

    match what:
        case "another build":
            serving.build = "b2-0000000"
        case "other files":
            restart.configure(CONFIG.replace("content 1:", "content 2:"))
        case "another context":
            restart.configure(CONFIG.replace("--ctx-size 512", "--ctx-size 1024"))
        case "another model beside it":
            restart.configure(CONFIG.replace("\ngroups", '  "n":\n    cmd: x\n\ngroups'))
        case "an hour":
            for path in directory.iterdir():
                os.utime(path, (time.time() - 3700,) * 2)
    said = restart.restore()

    assert len(serving.asked("restore")) == (2 if is_offered else 0)
    assert ("14 tokens" in said) == is_offered
    assert files(directory) == []


@pytest.mark.parametrize(
    ("etime", "is_asked"),
    [("06:39", True), ("20:00", False), ("01:00:00", False), ("1-00:00:00", False)],
)
def test_a_llama_server_that_is_older_than_its_configuration_saves_nothing(
    one_machine: Machine,
    serve: Callable[..., Server],
    directory: Path,
    etime: str,
    is_asked: bool,
) -> None:
    serving = Serving(serve, directory, {"m": "ready"}, 10)
    restart = Restart(one_machine, serving, ("m", directory))
    restart.runs_for(etime)

    restart.save()

    assert bool(serving.asked("save")) == is_asked == restart.noted


def test_what_is_too_large_is_not_kept_and_what_is_refused_goes(
    one_machine: Machine, serve: Callable[..., Server], directory: Path
) -> None:
    serving = Serving(serve, directory, {"m": "ready"}, 3000)
    restart = Restart(one_machine, serving, ("m", directory))

    said = restart.save(most=4)

    assert re.findall(r"m: (.*)", said) == [
        "a prompt cache of 3 KiB is too large to be saved",
        "7 tokens of its prompt caches are saved",
    ]
    assert len(files(directory)) == 1

    serving.restores = False
    assert restart.restore() == "m: 0 tokens of its prompt caches are there again\n"
    assert files(directory) == []


def test_nobody_there_and_no_directory_are_no_failure(
    one_machine: Machine, serve: Callable[..., Server], directory: Path, free_port: int
) -> None:
    serving = Serving(serve, directory, {"m": "ready"}, 10)
    restart = Restart(one_machine, serving, ("m", directory / "none"))

    assert (restart.save(), serving.asked("save"), restart.noted) == ("", [], False)
    assert restart.restore() == ""
    restart.port = free_port
    assert restart.save() == ""
