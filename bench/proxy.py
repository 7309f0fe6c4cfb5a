"""What the proxy costs beside nginx and Node: `python bench/proxy.py --rounds 5`. Linux only.

Each proxy alone on one core, clients and a fake llama-swap on another, one proxy after the other
in each round, so that a noisy moment hits one figure and not one program. Medians over the rounds;
the ratios are the result, for no absolute figure survives another machine. Ours runs as deployed:
keys hashed, usage counted, log written.
"""

import argparse
import asyncio
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.proxy_load import QUESTION, Client, Upstream, events
from bench.proxy_peers import Peer, missing, new_keys, start

OURS = "proxy"
WRK = """wrk.method = "POST"
wrk.body = [[%s]]
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
"""
# measure: (unit, at most x nginx, at most x node), as issue 3 has it
BOUNDS: dict[str, tuple[str, float | None, float | None]] = {
    "chunk, 16 x 100/s": ("us CPU", 1.3, 0.7),
    "chunk, 200 x 50/s": ("us CPU", 1.3, 0.7),
    "request, 32 at once": ("us CPU", 3.5, 0.5),
    "first byte added, p50": ("us", None, 1.0),
    "memory idle": ("MB", None, None),
    "memory, 1000 streams": ("MB", None, None),
    "chunk, 1000 x 1/s": ("us CPU", None, None),
}


async def connect(port: int, key: str, count: int) -> list[Client]:
    """So many clients."""
    return [await Client(key).connect(port) for _ in range(count)]


async def streams(peer: Peer, key: str, count: int, rate: int, seconds: float) -> float:
    """CPU per chunk in microseconds; every stream is compared byte by byte."""
    clients = await connect(peer.port, key, count)
    length = int(rate * (seconds + 1.5))
    waiting = []
    for client in clients:  # spread over one pause between tokens
        waiting.append(client.ask(length, rate))
        await asyncio.sleep(1 / rate / count)
    await asyncio.sleep(0.5)
    cpu, sent = peer.cpu(), Upstream.sent
    await asyncio.sleep(seconds)
    cpu, sent = peer.cpu() - cpu, Upstream.sent - sent
    await asyncio.gather(*waiting)
    expected = events(length)
    if not all(client.body() == expected for client in clients):
        raise AssertionError(f"{peer.name}: a stream is not what was sent")
    for client in clients:
        client.transport.close()
    return cpu / sent * 1e6


async def requests(peer: Peer, key: str, seconds: float) -> float:
    """CPU per request in microseconds, 32 at a time; asked by wrk where it is installed, which
    leaves more of its core to the upstream."""
    if shutil.which("wrk"):
        cpu = peer.cpu()
        done = await wrk(peer.port, key, seconds)
        return (peer.cpu() - cpu) / done * 1e6
    clients = await connect(peer.port, key, 32)
    done, until = 0, time.perf_counter() + seconds

    async def ask(client: Client) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await client.ask()
            done += 1

    cpu = peer.cpu()
    await asyncio.gather(*map(ask, clients))
    cpu = peer.cpu() - cpu
    for client in clients:
        client.transport.close()
    return cpu / done * 1e6


async def wrk(port: int, key: str, seconds: float) -> int:
    """How many requests wrk had answered."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(WRK % (QUESTION.decode(), key))
        script.flush()
        process = await asyncio.create_subprocess_exec(
            "wrk", "-t1", "-c32", f"-d{seconds:.0f}s", "-s", script.name,
            f"http://127.0.0.1:{port}/v1/chat/completions",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said = (await process.communicate())[0].decode()
    if "Non-2xx" in said or not (found := re.search(r"(\d+) requests in", said)):
        raise AssertionError(said)
    return int(found[1])


async def first_byte(port: int, key: str, count: int) -> float:
    """The median time to the first byte of a stream, in microseconds."""
    [client] = await connect(port, key, 1)
    times = []
    for _ in range(count):
        began = time.perf_counter()
        await client.ask(1, 1000)
        times.append((client.first - began) * 1e6)
    client.transport.close()
    return statistics.median(times)


async def crowd(peer: Peer, key: str) -> tuple[float, float]:
    """Memory with 1000 streams open, and CPU per chunk of theirs."""
    clients = await connect(peer.port, key, 1000)
    waiting = [client.ask(4, 1) for client in clients]
    await asyncio.sleep(1.5)
    cpu, sent, memory = peer.cpu(), Upstream.sent, peer.memory()
    await asyncio.sleep(2)
    cpu, sent = peer.cpu() - cpu, Upstream.sent - sent
    await asyncio.gather(*waiting)
    expected = events(4)
    if not all(client.body() == expected for client in clients):
        raise AssertionError(f"{peer.name}: a stream is not what was sent")
    for client in clients:
        client.transport.close()
    return memory, cpu / sent * 1e6


async def measure(names: list[str], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """For each measure and proxy the median."""
    cores = sorted(os.sched_getaffinity(0))
    proxies_on = {cores[-1]} if len(cores) > 1 else set[int]()
    os.sched_setaffinity(0, {cores[0]})
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=2048)
    port, keys = server.sockets[0].getsockname()[1], new_keys()
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            with tempfile.TemporaryDirectory(prefix="herd-") as directory:
                peer = start(name, port, keys, Path(directory), proxies_on)
                try:
                    figures = await figures_of(peer, port, keys[-1], seconds)
                finally:
                    peer.stop()
            for title, value in figures.items():
                found[title][name].append(value)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    server.close()
    return {
        title: {name: statistics.median(values) for name, values in by_name.items()}
        for title, by_name in found.items()
    }


async def figures_of(peer: Peer, upstream: int, key: str, seconds: float) -> dict[str, float]:
    """All measures, once."""
    figures = {"memory idle": peer.memory()}
    await first_byte(peer.port, key, 50)  # warm
    direct = await first_byte(upstream, key, 300)
    figures["first byte added, p50"] = await first_byte(peer.port, key, 300) - direct
    figures["request, 32 at once"] = await requests(peer, key, seconds)
    figures["chunk, 16 x 100/s"] = await streams(peer, key, 16, 100, seconds)
    figures["chunk, 200 x 50/s"] = await streams(peer, key, 200, 50, seconds)
    figures["memory, 1000 streams"], figures["chunk, 1000 x 1/s"] = await crowd(peer, key)
    return figures


def show(found: dict[str, dict[str, float]], names: list[str]) -> None:
    """The table, as Markdown."""
    print("| measure | " + " | ".join(names) + " | x nginx (want) | x node (want) |")
    print("|---|" + "--:|" * (len(names) + 2))
    for title, (unit, *wanted) in BOUNDS.items():
        cells = [f"{found[title][name]:.1f}" for name in names]
        for other, want in zip(("nginx", "node"), wanted, strict=True):
            ratio = found[title][OURS] / found[title][other] if other in names else None
            bound = f" ({want})" if want else ""
            cells.append(f"{ratio:.2f}{bound}" if ratio is not None else "-")
        print(f"| {title}, {unit} | " + " | ".join(cells) + " |")


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measure")
    args = parser.parse_args()
    absent = missing()
    names = [OURS] + [name for name in ("nginx", "node") if name not in absent]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measure(names, args.rounds, args.seconds))
    show(found, names)
    print(f"\nEvery event of every stream arrived in order and byte-exact. {args.rounds} rounds.")
    if absent:
        print(f"Left out, because not installed: {', '.join(absent)}.")


if __name__ == "__main__":
    main()
