"""Who is asked follows the file of the others."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from proxy.gateways.asking import Asking
from proxy.gateways.sharing import Sharing
from proxy.keys.key import Keys
from proxy.keys.shared_limits import SharedMeters
from tests.proxy.support.proxy import Seen, Upstream, Wire, listening, run, until


class Herd:
    """A gateway that shares its limits with those of a file."""

    def __init__(self, directory: Path) -> None:
        self.file, key = directory / "others.json", directory / "gateway.key"
        key.write_text("f" * 64)
        self.sharing = Sharing(self.file, key)
        self.sharing.serve(SharedMeters(lambda _: 0), lambda: Keys([]), time.monotonic)

    def told(self, urls: Mapping[str, str]) -> None:
        self.file.write_text(json.dumps({"apiKeys": [], "urls": urls}))
        self.sharing.look()


def test_each_of_the_file_is_asked_where_it_is_now(tmp_path: Path) -> None:
    left: list[str] = []

    async def silent(asked: Seen, wire: Wire) -> None:
        await wire.closed_by_peer()
        left.extend(asked.all("Host"))

    async def situation() -> None:
        herd = Herd(tmp_path)
        async with listening(Upstream(silent)) as old, listening(Upstream(silent)) as new:
            first, second = (f"127.0.0.1:{each.port}" for each in (old, new))
            herd.told({"gateway-gw2": f"http://{first}"})
            await until(lambda: bool(old.seen))
            herd.told({"gateway-gw2": f"http://{second}"})
            await until(lambda: left == [first] and bool(new.seen))
            assert herd.sharing.heard == {"gateway-gw2": False}
            herd.told({})
            await until(lambda: left == [first, second])
            assert herd.sharing.heard == {}
        herd.sharing.close()

    run(situation())


def test_who_asks_is_begun_anew_when_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However: limits would be each gateway's own from then on, and nobody would be told."""
    begun: list[str] = []

    async def ends(self: Asking) -> None:
        begun.append(self.url)

    async def situation() -> None:
        herd = Herd(tmp_path)
        monkeypatch.setattr(Asking, "run", ends)
        herd.told({"gateway-gw2": "http://127.0.0.1:9"})
        await asyncio.sleep(0)
        herd.sharing.look()
        await asyncio.sleep(0)
        herd.sharing.close()

    run(situation())

    assert begun == 2 * ["http://127.0.0.1:9"]
