"""What a gateway costs and gives: `python bench/gateway.py --rounds 5`. Linux only.

Our proxy, HAProxy with our configuration and the Macs' proxies, all on one core; clients and fake
llama-servers on another. What a gateway adds is measured against the same Mac's proxy alone, and
beside nginx in its place; what it gives, as tokens of four Macs against four times those of one,
with slots of a fixed pace, since all share this machine. Ratios are the result.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.gateway_parts import Fleet, Paced, Slots, until_served
from bench.proxy_load import Client, Upstream, events
from bench.proxy_peers import Peer

MACS, SLOTS, RATE, TOKENS = 4, 4, 20, 40
WARM = 50
Figures = dict[str, dict[str, float]]


async def listen(slots: int) -> tuple[asyncio.Server, int]:
    """A fake llama-swap, and its port."""
    those = Slots(slots)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Paced(those), "127.0.0.1", 0, backlog=2048)
    return server, server.sockets[0].getsockname()[1]


async def first_bytes(ways: dict[str, int], key: str, count: int) -> dict[str, list[float]]:
    """Milliseconds to the first byte of each of so many streams on each way, in turns: a noisy
    moment hits all of them."""
    clients = {name: await Client(key).connect(port) for name, port in ways.items()}
    times: dict[str, list[float]] = defaultdict(list)
    for number in range(WARM + count):
        for name, client in clients.items():
            began = time.perf_counter()
            await client.ask(1, 1000)
            if number >= WARM:
                times[name].append((client.first - began) * 1e3)
    for client in clients.values():
        client.transport.close()
    return times


async def chunk(peers: list[Peer], port: int, key: str, seconds: float) -> dict[str, float]:
    """Microseconds of processor time for each chunk of 16 streams, by program; each stream is
    compared, byte by byte."""
    count, rate = 16, 100
    clients = [await Client(key).connect(port) for _ in range(count)]
    length, waiting = int(rate * (seconds + 1.5)), []
    for number, client in enumerate(clients):
        waiting.append(client.ask(length, rate, f"X-Session-Id: {number}\r\n"))
        await asyncio.sleep(1 / rate / count)
    await asyncio.sleep(0.5)
    before, sent = [peer.cpu() for peer in peers], Upstream.sent
    await asyncio.sleep(seconds)
    after, sent = [peer.cpu() for peer in peers], Upstream.sent - sent
    await asyncio.gather(*waiting)
    for client in clients:
        assert client.body() == events(length), "a stream is not what was sent"
        client.transport.close()
    pairs = zip(peers, before, after, strict=True)
    return {peer.name: (late - early) / sent * 1e6 for peer, early, late in pairs}


async def cost(cpus: set[int], seconds: float) -> Figures:
    """What is added to one Mac, once."""
    server, upstream = await listen(1000)
    with tempfile.TemporaryDirectory(prefix="herd-") as directory:
        fleet = Fleet(Path(directory), cpus)
        try:
            mac = fleet.mac("mac", upstream)
            front, behind = fleet.gateway([mac], 1000, 64)
            await until_served(front.port, fleet.key)
            ways = {"gateway": (front.port, [front, behind])}
            if shutil.which("nginx"):
                nginx = fleet.nginx(mac.port)
                ways["nginx"] = nginx.port, [nginx]
            found: Figures = defaultdict(dict)
            ports = {"alone": mac.port, **{name: port for name, (port, _) in ways.items()}}
            times = await first_bytes(ports, fleet.key, 600)
            for name, (port, peers) in ways.items():
                for title, at in (("p50", 0.5), ("p99", 0.99)):
                    added = at_share(times[name], at) - at_share(times["alone"], at)
                    found[f"first byte added, {title}, ms"][name] = added
                for peer, cpu in (await chunk(peers, port, fleet.key, seconds)).items():
                    found["chunk, 16 x 100/s, us CPU"][peer] = cpu
            each = found["chunk, 16 x 100/s, us CPU"]
            found["of which HAProxy"] = {**each, "gateway": each.pop("haproxy")}
            each["gateway"] += found["of which HAProxy"]["gateway"]
            return found
        finally:
            fleet.stop()
            server.close()


def at_share(values: list[float], share: float) -> float:
    """The value below which so much of them is."""
    return sorted(values)[int(len(values) * share)]


async def tokens(port: int, key: str, clients: int, rounds: int) -> float:
    """Per second, of so many clients that each ask again as soon as they are answered."""

    async def talk(number: int) -> None:
        client = await Client(key).connect(port)
        for turn in range(rounds):
            await client.ask(TOKENS, RATE, f"X-Session-Id: {number}-{turn}\r\n")
            assert client.body() == events(TOKENS), "a stream is not what was sent"
        client.transport.close()

    began = time.perf_counter()
    await asyncio.gather(*(talk(number) for number in range(clients)))
    return clients * rounds * TOKENS / (time.perf_counter() - began)


async def throughput(cpus: set[int], rounds: int) -> float:
    """Tokens of all Macs behind a gateway, of as many times those of one alone."""
    servers = [await listen(SLOTS) for _ in range(MACS)]
    with tempfile.TemporaryDirectory(prefix="herd-") as directory:
        fleet = Fleet(Path(directory), cpus)
        try:
            macs = [fleet.mac(f"mac{n}", port) for n, (_, port) in enumerate(servers, start=1)]
            front, _ = fleet.gateway(macs, SLOTS, 64)
            await until_served(front.port, fleet.key)
            one = await tokens(macs[0].port, fleet.key, SLOTS, rounds)
            every = await tokens(front.port, fleet.key, SLOTS * MACS, rounds)
            return every / (MACS * one)
        finally:
            fleet.stop()
            for server, _ in servers:
                server.close()


async def measure(rounds: int, seconds: float) -> tuple[Figures, float]:
    """Medians over the rounds."""
    cores = sorted(os.sched_getaffinity(0))
    cpus = {cores[-1]} if len(cores) > 1 else set[int]()
    os.sched_setaffinity(0, {cores[0]})
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    shares = []
    for _ in range(rounds):
        for title, by_name in (await cost(cpus, seconds)).items():
            for name, value in by_name.items():
                found[title][name].append(value)
        shares.append(await throughput(cpus, 4))
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    medians = {
        title: {name: statistics.median(values) for name, values in by_name.items()}
        for title, by_name in found.items()
    }
    return medians, statistics.median(shares)


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of the streams")
    args = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found, share = runner.run(measure(args.rounds, args.seconds))
    print("| added to a Mac's own proxy | gateway | nginx | x nginx |\n|---|--:|--:|--:|")
    for title, by_name in found.items():
        ours, theirs = by_name["gateway"], by_name.get("nginx")
        cells = f"{theirs:.2f} | {ours / theirs:.2f}" if theirs else "- | -"
        print(f"| {title} | {ours:.2f} | {cells} |")
    what = f"{MACS} Macs behind a gateway, of {MACS} x one alone ({SLOTS} slots each)"
    print(f"\nTokens per second, {what}: {share:.3f}. {args.rounds} rounds.")


if __name__ == "__main__":
    main()
