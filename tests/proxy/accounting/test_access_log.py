"""The access log's lines: what they hold, and that nobody can forge one."""

import asyncio
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from proxy.accounting.access_log import AccessLog, Line


def line(**more: Any) -> Line:
    known: dict[str, Any] = {
        "id": "ab12", "client": "::1", "key": "-", "method": "GET", "path": "/", "model": None,
        "status": 401, "seconds": 0.0,
    }  # fmt: skip
    return Line(**known | more)


@pytest.mark.parametrize(
    "hostile",
    ["a b", 'x" status=200 "', "a\nid=1", "a\r\n", "\u2028\u202e", "\udcff", "\x1b[2J", "x" * 999,
     "a\\", ""],
)  # fmt: skip
def test_log_line_cannot_be_forged(hostile: str) -> None:
    """Whatever a client chose stays one word, or one quoted one."""
    text = line(path=hostile, model=hostile, method=hostile).text()
    fields = re.findall(r'(\w+)=("(?:[^"\\]|\\u[0-9a-f]{4})*"|[^\s"]+)(?: |$)', text)

    assert text.isascii()
    assert text.isprintable()
    assert " ".join(f"{name}={value}" for name, value in fields) == text
    assert [name for name, _ in fields] == [
        "id", "client", "key", "method", "path", "status", "time", "sent", "model"
    ]  # fmt: skip
    assert len(text) < 5000


def test_a_key_in_the_wrong_place_is_not_told() -> None:
    """Somebody mistook it for a part of the address, or for a model."""
    key = "sk-herd-" + "aB3_-" * 8
    text = line(path=f"/v1/models/{key}", model=key).text()

    assert "aB3" not in text
    assert "path=/v1/models/sk-... " in text


def test_log_is_written_at_once_and_whole(tmp_path: Path) -> None:
    """All lines of one turn of the loop together."""
    path = tmp_path / "log"

    async def situation() -> None:
        with path.open("wb") as file:
            log = AccessLog(file.fileno())
            log.write(line())
            log.write(line(note="over limit"))
            await asyncio.sleep(0)

    asyncio.run(situation())
    first, second = path.read_text().splitlines()
    assert first.endswith("Z INFO access id=ab12 client=::1 key=- method=GET path=/ status=401 "
                          "time=0.000 sent=0")  # fmt: skip
    assert second.endswith(' note="over limit"')


class TestManyRefusals:
    """Somebody without a key sends as many as the network takes."""

    def test_they_are_summed_up(self, tmp_path: Path) -> None:
        """Nothing is lost: lines and sums are all of them, by client and status."""
        path = tmp_path / "log"

        async def situation() -> None:
            with path.open("wb") as file:
                log = AccessLog(file.fileno())
                for _ in range(5000):
                    log.write(line(client="10.0.0.9", status=404), minor=True)
                log.write(line(client="10.0.0.7", status=404), minor=True)
                await asyncio.sleep(1.2)
                for _ in range(100):
                    log.write(line(client="10.0.0.9", status=401), minor=True)
                log.close()

        asyncio.run(situation())
        lines = path.read_text().splitlines()
        assert len(lines) < 40
        counted: Counter[tuple[str, str]] = Counter()
        for one in lines:
            found = re.search(r" client=(\S+) key=- .*?status=(\d+)(?: count=(\d+))?", one)
            assert found, one
            counted[found[1], found[2]] += int(found[3] or 1)
        assert counted == {
            ("10.0.0.9", "404"): 5000, ("10.0.0.7", "404"): 1, ("10.0.0.9", "401"): 100,
        }  # fmt: skip
        assert " client=10.0.0.7 key=- method=GET " in path.read_text()

    def test_what_is_no_request_is_summed_up_with_them(self, tmp_path: Path) -> None:
        """It costs a connection each, of which there are thousands a second."""
        path = tmp_path / "log"

        async def situation() -> None:
            with path.open("wb") as file:
                log = AccessLog(file.fileno())
                for number in range(5000):
                    log.refused(f"{number:x}", "10.0.0.9", 400, "bad_request")
                    log.write(line(client="10.0.0.9", status=404), minor=True)
                log.close()

        asyncio.run(situation())
        text = path.read_text()
        assert len(text.splitlines()) < 40
        assert " INFO refused id=0 client=10.0.0.9 status=400 note=bad_request\n" in text
        told = text.count(" refused id=") + text.count(" access ")
        assert told + sum(map(int, re.findall(r" count=(\d+)", text))) == 10_000

    def test_from_many_addresses_too(self, tmp_path: Path) -> None:
        """What cannot be told apart is told together."""
        path = tmp_path / "log"

        async def situation() -> None:
            with path.open("wb") as file:
                log = AccessLog(file.fileno())
                for number in range(9000):
                    log.write(line(client=f"fe80::{number:x}"), minor=True)
                log.close()

        asyncio.run(situation())
        text = path.read_text()
        assert len(text) < 40_000
        told = text.count(" access ") + sum(map(int, re.findall(r" count=(\d+)", text)))
        assert told == 9000
        assert " INFO summed client=others key=- status=401 count=" in text

    def test_what_llama_swap_answered_has_its_line(self, tmp_path: Path) -> None:
        """Whoever has a key is somebody."""
        path = tmp_path / "log"

        async def situation() -> None:
            with path.open("wb") as file:
                log = AccessLog(file.fileno())
                for _ in range(500):
                    log.write(line(status=200))
                log.close()

        asyncio.run(situation())
        assert path.read_text().count(" access ") == 500
