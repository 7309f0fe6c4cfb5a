"""What is said while the proxy comes up is heard, and by the one that runs."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from proxy.exchange import Reply
from proxy.readiness import availability
from proxy.readiness.availability import READY, State
from proxy.readiness.control_client import ask, beside
from proxy.readiness.readiness import Readiness
from proxy.readiness.service import Service


async def nobody(*_: object) -> Reply:
    raise AssertionError("nobody is asked")


def test_a_word_that_was_taken_back_before_anybody_listened_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "availability.json"
    availability.write(path, availability.word(State.DRAIN, "a change"))
    readiness = Readiness(path)
    # As `python -m proxy ready`, to a socket that one which was killed has left.
    availability.write(path, READY)

    async def situation() -> None:
        service = Service(readiness, nobody, deadline=1)  # type: ignore[arg-type]
        await service.start(None)
        service.close()

    assert readiness.refuses(owner=False)
    asyncio.run(situation())
    assert readiness.refuses(owner=False) == ""


def test_another_proxy_beside_the_same_file_takes_nothing_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the first could not be told any more that it is to take requests again."""
    readiness, other = (Readiness(tmp_path / "availability.json") for _ in range(2))
    path = beside(tmp_path / "availability.json")

    async def situation() -> None:
        service = Service(readiness, nobody, deadline=1)  # type: ignore[arg-type]
        await service.start(None)
        second = Service(other, nobody, deadline=1)  # type: ignore[arg-type]
        await second.start(None)
        second.close()
        availability.write(tmp_path / "availability.json", availability.word(State.MAINT, ""))
        said = await asyncio.to_thread(ask, path, "look", 5)
        assert said == {"state": "maint", "open": 0, "unheard": 0}
        service.close()

    asyncio.run(situation())
    assert readiness.word.state is State.MAINT
    assert other.word == READY
    assert "another proxy takes commands at" in caplog.text
    assert not path.exists()


def test_the_owner_reads_the_numbers_without_a_key(tmp_path: Path) -> None:
    """As `make top` does, with curl; another page is not there."""
    readiness = Readiness(tmp_path / "availability.json")
    numbers = b"proxy_requests_total 7.0\n" * 5000
    readiness.numbers = lambda: numbers

    def curl(page: str) -> bytes:
        where = ["--unix-socket", str(tmp_path / "availability.sock"), f"http://proxy{page}"]
        return subprocess.run(["curl", "-sf", *where], capture_output=True).stdout

    async def situation() -> list[bytes]:
        service = Service(readiness, nobody, deadline=1)  # type: ignore[arg-type]
        await service.start(None)
        found = [await asyncio.to_thread(curl, page) for page in ("/metrics", "/usage")]
        service.close()
        return found

    assert asyncio.run(situation()) == [numbers, b""]
