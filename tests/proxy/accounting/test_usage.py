"""The usage file: behind by less than a second, whole after a kill, and readable meanwhile."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from proxy.__main__ import main
from proxy.accounting import usage
from proxy.accounting.usage import Usage, read, today
from tests.proxy.support.policy import until
from tests.proxy.support.proxy import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.db"


def rows(path: Path) -> list[tuple[object, ...]]:
    return [tuple(row)[1:] for row in read(path)]


def test_sums_per_key_and_model_come_into_the_file_soon(path: Path) -> None:
    """One row each, and only its owner may read the file."""
    books = Usage(path)
    for _ in range(3):
        books.add("anna", "gpt", requests=1, prompt=10, completion=5)
    books.add("anna", "qwen", requests=1, errors=1)
    started = time.monotonic()
    until(lambda: rows(path))

    assert time.monotonic() - started < 1
    assert rows(path) == [("anna", "gpt", 3, 0, 30, 15), ("anna", "qwen", 1, 1, 0, 0)]
    assert path.stat().st_mode & 0o777 == 0o600
    books.close()


def test_restart_goes_on_counting(path: Path) -> None:
    """What is left is written at the end; corrections are negative."""
    for completion in (8, -3):
        books = Usage(path)
        books.add("anna", "gpt", completion=completion)
        books.close()

    assert rows(path) == [("anna", "gpt", 0, 0, 0, 5)]


PROGRAM = """
import sys, time
from pathlib import Path
from proxy.accounting.usage import Usage
books = Usage(Path(sys.argv[1]))
for number in range(10**9):
    books.add("anna", "gpt", requests=1)
    print(number + 1, flush=True)
    time.sleep(0.001)
"""


def test_kill_loses_no_more_than_a_second(path: Path) -> None:
    """At any moment, and the file is whole."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    told: list[tuple[float, int]] = []
    assert process.stdout
    for line in process.stdout:
        told.append((time.monotonic(), int(line)))
        if told[-1][0] > told[0][0] + 1.3:
            break
    process.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    process.wait()
    process.stdout.close()

    (row,) = read(path)
    assert row.requests >= max(number for at, number in told if at < killed - 1)
    with sqlite3.connect(path) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_file_that_cannot_be_written_for_a_while_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and requests go on."""
    monkeypatch.setattr(usage, "RETRY", 0.05)
    monkeypatch.setattr(usage, "DELAY", 0.01)
    books = Usage(path)
    books._file.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    books.add("anna", "gpt", requests=1)
    until(lambda: "kept in memory" in caplog.text)
    books.add("anna", "gpt", requests=1)
    time.sleep(0.2)
    other.execute("ROLLBACK")
    until(lambda: rows(path) == [("anna", "gpt", 2, 0, 0, 0)])

    assert caplog.text.count("kept in memory") == 1
    other.close()
    books.close()


def test_threads_may_add_at_the_same_time(path: Path) -> None:
    """Nothing is lost between them."""
    books = Usage(path)
    adding = [
        threading.Thread(target=lambda: [books.add("a", "m", requests=1) for _ in range(500)])
        for _ in range(4)
    ]
    for thread in adding:
        thread.start()
    for thread in adding:
        thread.join()
    books.close()

    assert rows(path) == [("a", "m", 2000, 0, 0, 0)]


def test_directory_that_is_not_there_is_told_in_one_line(path: Path) -> None:
    """Before the proxy listens."""
    with pytest.raises(ValueError, match=r"usage\.db cannot be used for the usage: No such file"):
        Usage(path.parent / "none" / path.name)


@pytest.mark.parametrize("content", [b"no database at all, but long enough to look at" * 100])
def test_file_that_is_none_is_refused_in_one_line(path: Path, content: bytes) -> None:
    """Before the proxy listens."""
    path.write_bytes(content)

    with pytest.raises(ValueError, match=r"usage\.db cannot be used for the usage: "):
        Usage(path)
    with pytest.raises(ValueError, match=r"usage\.db cannot be read: "):
        read(path)


@pytest.fixture
def filled(path: Path) -> Path:
    books = Usage(path)
    books.add("anna", "gpt", requests=2, prompt=100, completion=50)
    books.add("bob", "gpt", requests=1, prompt=7)
    books.close()
    with sqlite3.connect(path) as file:
        file.execute("INSERT INTO usage VALUES ('2001-01-01', 'anna', 'old', 1, 0, 1, 1)")
    return path


class TestCommand:
    """`python -m proxy usage`."""

    def test_table(self, filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """With its sum."""
        assert main(["usage", "--db", str(filled), "--since", "2001-01-01"]) == 0
        first, old, *_, last = capsys.readouterr().out.splitlines()

        assert first.split() == [
            "day", "key", "model", "requests", "errors", "prompt", "completion"
        ]  # fmt: skip
        assert old.split() == ["2001-01-01", "anna", "old", "1", "0", "1", "1"]
        assert last.split() == ["total", "4", "0", "108", "51"]

    def test_json_of_one_key_since_a_day(
        self, filled: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """For programs."""
        main(["usage", "--db", str(filled), "--json", "--key", "anna", "--since", "7d"])

        assert json.loads(capsys.readouterr().out) == [
            {"day": today(), "key": "anna", "model": "gpt", "requests": 2, "errors": 0,
             "prompt": 100, "completion": 50}
        ]  # fmt: skip

    def test_nothing_and_no_file(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """An empty answer and a mistake are told apart."""
        assert main(["usage", "--db", str(path)]) == 1
        assert "does not exist" in capsys.readouterr().err
        Usage(path).close()
        assert main(["usage", "--db", str(path)]) == 0
        assert capsys.readouterr().out == "nothing was used\n"

    def test_nonsense_is_refused(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """With what was meant."""
        with pytest.raises(SystemExit):
            main(["usage", "--since", "yesterday"])
        assert "neither days as 90d nor a date" in capsys.readouterr().err


def test_reading_works_while_a_proxy_writes(path: Path) -> None:
    """And never makes a file by itself."""
    books = Usage(path)
    for _ in range(20):
        books.add("a", "m", requests=1)
        read(path)
    books.close()

    assert rows(path) == [("a", "m", 20, 0, 0, 0)]
    assert not os.path.exists(f"{path}-journal")
