"""slots-save.sh and slots-restore.sh against one small server in place of llama-swap and of the
llama-servers. With real ones: docs/decisions/0037-slots-over-a-restart.md."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.conftest import Machine, Server

MARK = "0123456789abcdef"


class Serving:
    """Models with the states of their slots ("idle", "busy"), which save so many bytes."""

    def __init__(
        self, serve: Callable[..., Server], directory: Path, states: Mapping[str, str], size: int
    ) -> None:
        self.directory, self.states, self.size = directory, states, size
        self.slots = ["idle", "busy", "idle"]
        self.restores = True
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


@pytest.fixture
def key(one_machine: Machine) -> Path:
    path = one_machine.home / "llama-swap.key"
    path.write_text("secret")
    return path


def save(machine: Machine, serving: Serving, key: Path, *words: object, most: int = 1000) -> str:
    done = machine.run("slots-save", serving.server.port, key, 5, most, *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_idle_slots_of_loaded_models_are_saved_and_read_again_and_no_file_stays(
    one_machine: Machine, serve: Callable[..., Server], key: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "my slots"
    directory.mkdir()
    (directory / "mine.slot").touch()
    (directory / "herd-0-0.slot").touch()  # of a run that was cut off
    serving = Serving(serve, directory, {"a/b c": "ready", "other": "starting"}, 10)
    models = ("a/b c", directory, MARK, "other", directory, "ff", "none", directory, "ee")

    said = save(one_machine, serving, key, *models)

    assert said == "a/b c: 14 tokens of its prompt caches are saved\n"
    assert serving.asked("save") == ["/slots/0?action=save", "/slots/2?action=save"]
    saved = {f"herd-{MARK}-0.slot", f"herd-{MARK}-2.slot"}
    assert {path.name for path in directory.iterdir()} == {"mine.slot", *saved}

    words = ("a%2Fb%20c", directory, MARK, "other", directory, "ff")
    done = one_machine.run("slots-restore", serving.server.port, key, 5, *words)

    assert done.returncode == 0
    assert done.stdout == "a%2Fb%20c: 14 tokens of its prompt caches are there again\n"
    assert len(serving.asked("restore")) == 2
    assert all(path.startswith("/upstream/a/b c/slots/") for path in serving.asked("restore"))
    assert [path.name for path in directory.iterdir()] == ["mine.slot"]


def test_what_is_too_large_is_not_kept_and_what_is_refused_goes(
    one_machine: Machine, serve: Callable[..., Server], key: Path, tmp_path: Path
) -> None:
    serving = Serving(serve, tmp_path, {"m": "ready"}, 3000)

    said = save(one_machine, serving, key, "m", tmp_path, MARK, most=4)

    assert re.findall(r"m: (.*)", said) == [
        "a prompt cache of 3 KiB is too large to be saved",
        "7 tokens of its prompt caches are saved",
    ]
    assert [path.name for path in tmp_path.glob("*.slot")] == [f"herd-{MARK}-0.slot"]

    serving.restores = False
    done = one_machine.run("slots-restore", serving.server.port, key, 5, "m", tmp_path, MARK)
    assert done.stdout == "m: 0 tokens of its prompt caches are there again\n"
    assert list(tmp_path.glob("*.slot")) == []


def test_nobody_there_and_no_directory_are_no_failure(
    one_machine: Machine, serve: Callable[..., Server], key: Path, tmp_path: Path, free_port: int
) -> None:
    done = one_machine.run("slots-save", free_port, key, 5, 9, "m", tmp_path, MARK)
    assert (done.returncode, done.stdout) == (0, "")

    serving = Serving(serve, tmp_path, {"m": "ready"}, 10)
    assert save(one_machine, serving, key, "m", tmp_path / "none", MARK) == ""
    assert serving.asked("save") == []
