"""What it costs that gateways share limits: `python bench/limits.py --rounds 5`. Linux only.

A gateway's proxy alone and one that another one hears, interleaved, each with a limited key and 32
requests at once to a fake HAProxy: processor time of a request there, and of the same at the one
that hears it. Then how long it takes until another gateway knows of a request, from when a client
sends it; and what two cost that nobody asks. `--before DIR` has an older checkout beside it, alone.
"""

import argparse
import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import aiohttp
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.proxy import connect, requests
from bench.proxy_load import Upstream
from bench.proxy_peers import PROJECT, Peer, free_port, new_keys
from proxy.gateways.message import PATH, read, target

LIMITS = dict.fromkeys(("rpm", "tpm", "tpd", "parallel"), 10**9)


def started(
    name: str, upstream: int, key: str, place: Path, cores: set[int],
    others: list[tuple[str, str, int]] | None = None, port: int = 0, project: Path = PROJECT,
) -> Peer:  # fmt: skip
    """A gateway's proxy, and the names, keys and ports of those with which it shares."""
    port, here = port or free_port(), place / name
    here.mkdir()
    entry = {"name": "bench", "sha256": digest(key), **LIMITS}
    (here / "config.json").write_text(json.dumps({"apiKeys": [entry]}))
    (here / "gateway.key").write_text(f"key-of-{name}")
    command = [sys.executable, "-m", "proxy", "serve", "--gateway", "--listen", f"127.0.0.1:{port}"]
    command += ["--config", str(here / "config.json"), "--upstream", f"http://127.0.0.1:{upstream}"]
    command += ["--upstream-key-file", str(here / "gateway.key")]
    if others:
        keys = [{"name": name, "sha256": digest(secret)} for name, secret, _ in others]
        urls = {name: f"http://127.0.0.1:{where}" for name, _, where in others if where}
        (here / "others.json").write_text(json.dumps({"apiKeys": keys, "urls": urls}))
        command += ["--other-gateways", str(here / "others.json")]
    with (here / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=project, stdout=log, stderr=log)
    peer = Peer(name, port, process)
    peer.ready(cores)
    return peer


def digest(secret: str) -> str:
    """Of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def lag(gateway: Peer, key: str, asking: str, count: int) -> list[float]:
    """Milliseconds from a client's request to another gateway's knowledge of it."""
    [client] = await connect(gateway.port, key, 1)
    url, times = f"http://127.0.0.1:{gateway.port}", []
    headers = {"Authorization": f"Bearer {asking}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def told(after: str) -> bytes:
            async with session.get(url + after) as answer:
                return await answer.read()

        heard = read(await told(PATH))
        for _ in range(count):
            waiting = asyncio.create_task(told(target(heard.now)))
            await asyncio.sleep(0.03)
            began = time.perf_counter()
            answered = client.ask()
            await waiting
            times.append((time.perf_counter() - began) * 1e3)
            await answered
            await asyncio.sleep(0.02)
            heard = read(await told(PATH))
    client.transport.close()
    return times


async def measure(rounds: int, seconds: float, before: Path | None) -> dict[str, list[float]]:
    """By what is measured, a figure for each round."""
    cores = sorted(os.sched_getaffinity(0))
    theirs = {cores[-1]} if len(cores) > 1 else set[int]()
    os.sched_setaffinity(0, {cores[0]})
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=2048)
    upstream, key = server.sockets[0].getsockname()[1], new_keys()[-1]
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="herd-") as directory:
            place, port = Path(directory), free_port()
            alone = started("alone", upstream, key, place, theirs)
            peers = [alone]
            if before is not None:
                peers.append(started("before", upstream, key, place, theirs, project=before))
            two = started("two", upstream, key, place, theirs, [("one", "key-of-one", port)])
            asked = [("two", "key-of-two", two.port), ("bench", "key-of-bench", 0)]
            one = started("one", upstream, key, place, theirs, asked, port)
            peers += [one, two]
            try:
                await asyncio.sleep(3)
                for peer in peers if number % 2 else reversed(peers):
                    if peer is not two:
                        await requests(peer, key, 1)
                        heard = two.cpu()
                        found[f"{peer.name}, us a request"].append(
                            await requests(peer, key, seconds)
                        )
                        found[f"two, ms a second of {peer.name}'s"].append(
                            (two.cpu() - heard) / seconds * 1e3
                        )
                times = sorted(await lag(one, key, "key-of-bench", 100))
                found["lag p50, ms"].append(statistics.median(times))
                found["lag p99, ms"].append(times[98])
                idle = two.cpu()
                await asyncio.sleep(seconds)
                found["two, ms a second of nothing"].append((two.cpu() - idle) / seconds * 1e3)
            finally:
                for peer in peers:
                    peer.stop()
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    server.close()
    return found


def main() -> None:
    """Measures, and prints medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measure")
    parser.add_argument("--before", type=Path, help="an older checkout")
    args = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measure(args.rounds, args.seconds, args.before))
    for what, figures in found.items():
        print(f"{what:32} {statistics.median(figures):9.2f}")
    for name in ("before", "one"):
        if other := found.get(f"{name}, us a request"):
            pairs = zip(found["alone, us a request"], other, strict=True)
            ratios = [b / a if name == "one" else a / b for a, b in pairs]
            words = "one of two / alone" if name == "one" else "alone / before"
            print(f"{words:32} {statistics.median(ratios):9.3f}")


if __name__ == "__main__":
    main()
