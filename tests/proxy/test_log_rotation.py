"""Logs that others hold open stay small, with their last part, for their owner only."""

import os
import re
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from proxy.log_rotation import MOST, Keeper, keep_small
from tests.proxy.support.policy import PLAIN, until
from tests.proxy.support.proxy import ROOT, command


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fill(path: Path, lines: int, first: int = 0) -> None:
    with path.open("ab") as file:
        file.write(b"".join(b"line %06d\n" % number for number in range(first, first + lines)))


class TestKeepSmall:
    """One look at one file."""

    def test_small_file_stays(self, tmp_path: Path) -> None:
        """Or none."""
        log = tmp_path / "a.log"
        keep_small(log, 1000)
        fill(log, 10)
        keep_small(log, 1000)

        assert [path.name for path in tmp_path.iterdir()] == ["a.log"]
        assert log.stat().st_size == 120

    def test_large_file_is_emptied_and_its_last_part_kept(self, tmp_path: Path) -> None:
        """Whole lines of it; the writer goes on in the same file."""
        log, old = tmp_path / "a.log", tmp_path / "a.log.1"
        with log.open("ab", buffering=0) as writer:
            fill(log, 1000)
            keep_small(log, 1200)
            assert log.stat().st_size == 0
            kept = old.read_text().splitlines()
            assert kept == [f"line {number:06}" for number in range(901, 1000)]
            assert mode(old) == 0o600
            writer.write(b"goes on\n")
            assert log.read_bytes() == b"goes on\n"
            fill(log, 1000, 5000)
            keep_small(log, 1200)
        assert old.read_text().endswith("line 005999\n")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1"]

    def test_copy_is_there_before_the_log_is_emptied(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who is killed in between loses nothing; the next look ends it."""
        log, old = tmp_path / "a.log", tmp_path / "a.log.1"
        fill(log, 1000)

        def killed(*_: int) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(os, "ftruncate", killed)
            with pytest.raises(KeyboardInterrupt):
                keep_small(log, 1200)
        assert log.read_text().endswith("line 000999\n")
        assert old.read_text().endswith("line 000999\n")
        keep_small(log, 1200)

        assert log.stat().st_size == 0
        assert old.read_text().endswith("line 000999\n")

    def test_as_many_copies_are_kept_as_is_said(self, tmp_path: Path) -> None:
        """The newest is 1; those of a time when more were kept go."""
        log = tmp_path / "a.log"
        for first in range(5):
            fill(log, 100, first * 100)
            keep_small(log, 600, kept=3)

        def last(number: int) -> str:
            return (tmp_path / f"a.log.{number}").read_text().splitlines()[-1]

        assert [last(number) for number in (1, 2, 3)] == [
            "line 000499",
            "line 000399",
            "line 000299",
        ]
        assert len(list(tmp_path.iterdir())) == 4
        fill(log, 100, 500)
        keep_small(log, 600, kept=1)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1"]
        assert last(1) == "line 000599"
        fill(log, 100, 600)
        keep_small(log, 600, kept=0)
        assert [path.name for path in tmp_path.iterdir()] == ["a.log"]
        assert log.stat().st_size == 0

    def test_no_link_is_followed(self, tmp_path: Path) -> None:
        """Neither for the log nor for what is kept of it."""
        precious = tmp_path / "precious"
        precious.write_bytes(b"x" * 5000)
        log = tmp_path / "a.log"
        log.symlink_to(precious)
        keep_small(log, 1)
        log.unlink()
        fill(log, 1000)
        for name in ("a.log.1", "a.log.new"):
            (tmp_path / name).symlink_to(precious)
        keep_small(log, 1200)

        assert precious.read_bytes() == b"x" * 5000
        assert not (tmp_path / "a.log.1").is_symlink()

    def test_pipe_is_no_log(self, tmp_path: Path) -> None:
        """And does not hold anything up."""
        os.mkfifo(tmp_path / "a.log")
        keep_small(tmp_path / "a.log", -1)


def test_one_that_cannot_be_kept_small_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the others are."""
    bad, good = tmp_path / "none" / "a.log", tmp_path / "b.log"
    bad.parent.write_text("")
    fill(good, 1000)
    keeper = Keeper([bad, good], most=1200, seconds=0.01)
    until(lambda: good.stat().st_size == 0)
    time.sleep(0.1)
    keeper.close()

    assert [record.message for record in caplog.records] == [
        "a.log cannot be kept small: Not a directory"
    ]


def test_where_nothing_comes_it_is_looked_at_ever_more_rarely(tmp_path: Path) -> None:
    """And often again once something does."""
    log = tmp_path / "a.log"
    keeper = Keeper([], most=10_000, seconds=1)
    keeper._paths = [log]
    waits: list[float] = []

    class Ending:
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            if len(waits) == 9:
                fill(log, 1)
            return len(waits) == 11

    keeper._ending = Ending()  # type: ignore[assignment]
    keeper._run()

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 1, 2]


def test_program_keeps_its_own_log_and_another_small(tmp_path: Path) -> None:
    """As launchd runs it: both files are opened once, to append; somebody follows one."""
    config, own, other = tmp_path / "config.json", tmp_path / "proxy.log", tmp_path / "swap.log"
    config.write_text(f'{{"apiKeys": ["{PLAIN}"]}}')
    with own.open("ab") as log, other.open("ab", buffering=0) as swap:
        process = subprocess.Popen(
            [*command("serve", "--config", str(config), "--listen", "127.0.0.1:0"),
             "--log-file", str(own), "--log-file", str(other)],
            cwd=ROOT, stdout=log, stderr=log,
        )  # fmt: skip
        follower = subprocess.Popen(["tail", "-n", "1", "-F", str(other)], stdout=subprocess.PIPE)
        try:
            until(lambda: "listening on" in own.read_text(), 20)
            swap.write(b"\x1b[2J" * (MOST // 4) + b"\nthe last line\n")
            os.truncate(own, MOST + 1)
            until(lambda: other.stat().st_size == 0 and own.stat().st_size < 1000, 20)
            assert (tmp_path / "swap.log.1").read_bytes().endswith(b"\nthe last line\n")
            assert mode(tmp_path / "swap.log.1") == 0o600
            swap.write(b"it goes on\n")
            assert other.read_bytes() == b"it goes on\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert re.search(r"\A\S+ INFO ending", own.read_text()), "it writes behind the end"
            assert follower.stdout
            until_seen(follower.stdout.fileno(), b"it goes on\n")
        finally:
            for each in (process, follower):
                if each.poll() is None:
                    each.kill()
                each.wait()


def until_seen(descriptor: int, text: bytes) -> None:
    seen, end = b"", time.monotonic() + 10
    os.set_blocking(descriptor, False)
    while not seen.endswith(text):
        assert time.monotonic() < end, seen[-200:]
        try:
            seen = (seen + os.read(descriptor, 65536))[-1000:]
        except BlockingIOError:
            time.sleep(0.05)
