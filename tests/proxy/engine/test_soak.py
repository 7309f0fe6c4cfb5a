"""A thousand streams for a minute through the program itself, while its keys change and llama-swap
is restarted under it: no wrong byte, nothing that grows, and books that add up."""

import asyncio
import json
import os
import random
import re
import resource
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.accounting.usage import read
from tests.proxy.support.crowd import OPEN, ConnectionShares, Server
from tests.proxy.support.policy import entry
from tests.proxy.support.proxy import ROOT, command, run, until

STREAMS = int(os.environ.get("PROXY_SOAK_STREAMS", "1000"))
SECONDS = int(os.environ.get("PROXY_SOAK_SECONDS", "60"))
STEADY = [f"sk-herd-steady-{number}-0123456789-abcdefgh" for number in range(4)]
GUESTS = [f"sk-herd-guest-{number:02}-0123456789-abcdefghi" for number in range(40)]
GRACE = 3.0  # seconds in which a revoked key's streams must be over, on a busy machine
LINE = re.compile(r" access .* key=(\S+) .* status=(\d+) .*?(?: in=(\d+) out=(\d+))?(?: note=.*)?$")


@pytest.fixture
def many_files() -> Iterator[None]:
    """Each stream takes two files of this process and two of the proxy."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = STREAMS * 2 + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"{wanted} open files are needed, and this machine allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Keys:
    """The file of keys; guests come, and are thrown out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.here = GUESTS[:3]
        self.revoked: dict[str, float] = {}
        self.write()

    def write(self) -> None:
        entries = [entry(f"s{STEADY.index(key)}", key) for key in STEADY]
        entries += [entry(f"g{GUESTS.index(key)}", key) for key in self.here]
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"apiKeys": entries}))
        new.replace(self.path)

    def current(self) -> list[str]:
        """Also one that was revoked, which somebody goes on using."""
        return STEADY * 2 + self.here * 2 + list(self.revoked)[-1:]

    def change(self, now: float) -> None:
        """The oldest guest goes, another one comes."""
        gone = self.here.pop(0)
        self.here.append(GUESTS[(GUESTS.index(self.here[-1]) + 1) % len(GUESTS)])
        self.write()
        self.revoked[gone] = now


def memory(process: int) -> int:
    """Resident, in KB."""
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(process)], capture_output=True, check=True)
    return int(told.stdout)


@pytest.mark.soak
def test_a_thousand_streams_for_a_minute(tmp_path: Path, many_files: None) -> None:
    """And what the proxy says at its end is what its clients saw."""
    run(situation(tmp_path), SECONDS + 120)


async def situation(directory: Path) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0, backlog=2048)
    upstream = server.sockets[0].getsockname()[1]
    keys = Keys(directory / "config.json")
    log = directory / "log"
    process = await asyncio.create_subprocess_exec(
        *command("serve", "--config", str(keys.path), "--listen", "127.0.0.1:0"),
        "--upstream", f"http://127.0.0.1:{upstream}", cwd=ROOT, stderr=log.open("w"),
    )  # fmt: skip
    try:
        await until(lambda: port_in(log), 10)
        crowd = ConnectionShares(port_in(log), keys.current)
        clients = [asyncio.create_task(crowd.client()) for _ in range(STREAMS)]
        sizes, most = [], 0
        chance = random.Random(7)
        for second in range(SECONDS):
            await asyncio.sleep(1)
            most = max(most, len(crowd.running))
            if second % 2 == 0:
                keys.change(loop.time())
            if second % 5 == 1:
                process.send_signal(signal.SIGHUP)
            if second % 11 == 7:
                keys.path.write_text("{")  # the old keys stay
                await asyncio.sleep(0.2)
                keys.write()
            if second % 10 == 5:
                server.close()
                for connection in list(OPEN):
                    connection.transport.abort()
                await asyncio.sleep(chance.random())
                server = await loop.create_server(Server, "127.0.0.1", upstream, backlog=2048)
            if second >= SECONDS / 4:
                sizes.append(memory(process.pid))
            broken = [task for task in clients if task.done()]
            assert not broken, broken[0].exception()
            assert not crowd.faults
        crowd.ending = True
        await asyncio.gather(*clients)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        server.close()

    statuses = Counter(stream.status for stream in crowd.done)
    print(
        f"{most} at once, {len(crowd.done)} streams {dict(statuses)}, RSS {sizes[0]}..{sizes[-1]}"
    )
    assert most > STREAMS * 0.8
    assert not crowd.faults
    assert set(statuses) <= {0, 200, 401, 502, 503}
    assert sum(stream.clean and stream.status == 200 for stream in crowd.done) > STREAMS
    assert sum(not stream.clean and stream.status == 200 for stream in crowd.done) > STREAMS / 10
    assert max(sizes[-5:]) < min(sizes[:5]) * 1.15 + 2000
    check_revoked(crowd, keys)
    check_books(directory, log.read_text().splitlines())


def check_revoked(crowd: ConnectionShares, keys: Keys) -> None:
    """A revoked key's streams are over soon, and broken off."""
    broken = 0
    for stream in crowd.done:
        at = keys.revoked.get(stream.key)
        if at is None or stream.ended <= at:
            continue
        if stream.began > at + GRACE:
            assert stream.status in (0, 401, 502, 503), "let in by a revoked key"
        elif stream.ended > at + GRACE:
            assert stream.status == 401, f"went on for {stream.ended - at:.1f} s"
        elif stream.status == 200 and not stream.clean:
            broken += 1
    assert broken > len(keys.revoked)


def check_books(directory: Path, lines: list[str]) -> None:
    """The log has no fault in it, and the file with the usage has its sums."""
    assert not [line for line in lines if "Traceback" in line or "bug" in line or "File " in line]
    assert "sk-herd" not in "\n".join(lines)
    told: dict[str, Counter[str]] = {}
    for line in lines:
        if not (found := LINE.search(line)) or found[2] == "401":
            continue
        sums = told.setdefault(found[1], Counter())
        sums["requests"] += 1
        sums["prompt"] += int(found[3] or 0)
        sums["completion"] += int(found[4] or 0)
    written: dict[str, Counter[str]] = {}
    for row in read(directory / "usage.db"):
        sums = written.setdefault(row.key, Counter())
        sums["requests"] += row.requests
        sums["prompt"] += row.prompt
        sums["completion"] += row.completion
    assert written == told


def port_in(log: Path) -> int:
    """Where the proxy listens; 0 until it says so."""
    found = re.search(r"listening on \S+:(\d+),", log.read_text())
    return int(found[1]) if found else 0
