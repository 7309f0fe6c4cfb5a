"""The access log's lines: what they hold, and that nobody can forge one."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from proxy.accesslog import AccessLog, Line


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
