"""What hosts declare, and the lab's Hub that has it, asked by the real client."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp import web

from herd.core.models.models_lock import Locked
from herd.core.settings.schema import Model
from herd.workstation import hugging_face, lock_models
from lab.hub import create_app
from lab.reciter import write_model
from tests.core.samples import settings

MIB = 1 << 20


class Fleet:
    """What hosts declare, and the Hub that has it."""

    def __init__(self, root: Path, path: Path, url: str) -> None:
        self.root, self.path, self.url = root, path, url
        self.said: list[str] = []

    def lock(self, *chosen: str, **hosts: dict[str, dict[str, Any]]) -> dict[str, Locked]:
        """Lock what hosts declare; the models of the lock, by name."""
        hugging_face._repository.cache_clear()
        self.said.clear()
        declared: dict[str, list[Model]] = {
            host: list(settings(models={"gpt-oss-120b": None, **models}).models.values())
            for host, models in hosts.items()
        }
        lock_models.make(self.path, declared, chosen, self.said.append)
        return {model.name: model for model in lock_models.read(self.path).models}

    def control(self, route: str, data: Any = None) -> None:
        httpx2.post(f"{self.url}/_lab/{route}", json=data).raise_for_status()

    @property
    def stats(self) -> dict[str, Any]:
        return dict(httpx2.get(f"{self.url}/_lab/stats").json())

    def file(self, locked: Locked, number: int) -> Path:
        return self.root / locked.repo / locked.files[number].path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of three splits."""
    directory = tmp_path_factory.mktemp("model")
    write_model(directory, "m", pad_bytes=4 * MIB)
    return directory


@pytest.fixture
def fleet(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    root = tmp_path / "hub"
    for folder in ("me/two-GGUF/Q4", "me/two-GGUF/Q8", "me/three-GGUF"):
        shutil.copytree(model, root / folder)
    (root / "me/two-GGUF/README.md").write_text("# Two\n")
    (root / "me/two-GGUF/empty.txt").write_text("")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = web.AppRunner(create_app(root))

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    def wait(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

    url = f"http://127.0.0.1:{wait(start())}"
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield Fleet(root, tmp_path / "models.lock", url)
    wait(runner.cleanup())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
