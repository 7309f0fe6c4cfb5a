"""What fetching and verifying cost: `python bench/fetch.py`, with `--aria2 PROGRAM` to compare.

Over loopback, from a server that does nothing but sendfile: the fetcher over some connections,
each held to a rate as a CDN does, and not held at all, beside curl, which verifies nothing;
then hashing, by the fetcher and by each program that a Mac may have.
Client, server and disk share the cores of this machine, so only ratios mean anything.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from fetcher.hashing import Digest, Hashing  # noqa: E402

MIB = 1 << 20
NAMES = ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf")


class Hub:
    """Serves files of a directory, each connection at most `rate` bytes a second (0: any)."""

    def __init__(self, directory: Path) -> None:
        self.rate = 0.0
        self.first = self.last = 0.0  # when it was asked first, and sent its last byte
        self.busy = 0
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.first = hub.first or time.monotonic()
                hub.busy += 1
                self.send_file()
                hub.busy -= 1

            def send_file(self) -> None:
                with (directory / Path(self.path).name).open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                    at, end = (int(asked[1]), int(asked[2]) + 1) if asked else (0, size)
                    self.send_response(206 if asked else 200)
                    if asked:
                        self.send_header("Content-Range", f"bytes {at}-{end - 1}/{size}")
                    self.send_header("Content-Length", str(end - at))
                    self.end_headers()
                    self.wfile.flush()
                    most = int(hub.rate / 20) or 16 * MIB
                    while at < end:
                        began = time.monotonic()
                        step = min(most, end - at)
                        while step:
                            sent = os.sendfile(self.connection.fileno(), file.fileno(), at, step)
                            at, step = at + sent, step - sent
                        hub.last = time.monotonic()
                        if hub.rate:
                            time.sleep(max(0.0, began + 1 / 20 - time.monotonic()))

            def log_message(self, *_: object) -> None:
                pass

        # Its own backlog of 5 makes the sixth connection wait a second.
        backlog = type("Server", (ThreadingHTTPServer,), {"request_queue_size": 128})
        server = backlog(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()


class Bench:
    """A Hub that has a model of random bytes in two files, and a place for it."""

    def __init__(self, directory: Path, size: int) -> None:
        self.source, self.target, self.size = directory / "hub", directory / "target", size
        self.source.mkdir()
        self.sums = {}
        for name in NAMES:
            digest = hashlib.sha256()
            with (self.source / name).open("wb") as file:
                for _ in range(size // 2 // MIB):
                    data = os.urandom(MIB)
                    digest.update(data)
                    file.write(data)
            self.sums[name] = digest.hexdigest()
        self.hub = Hub(self.source)

    def timed(self, run: Callable[[], object]) -> tuple[float, float]:
        """Seconds from the first question to the last byte, and from the start to the end."""
        shutil.rmtree(self.target, ignore_errors=True)
        self.target.mkdir()
        os.sync()
        self.hub.first = 0.0
        began = time.monotonic()
        run()
        ended = time.monotonic()
        while self.hub.busy:
            time.sleep(0.01)
        return self.hub.last - self.hub.first, ended - began

    def ours(self, connections: int) -> None:
        """The fetcher, as a process of its own."""
        files = [
            {"path": n, "size": self.size // 2, "sha256": s, "url": f"{self.hub.url}/{n}"}
            for n, s in self.sums.items()
        ]
        spec = {
            **{"connections": connections, "again": False, "origin": "fetched", "token": None},
            "peers": None,
            "models": [{"name": "bench", "directory": str(self.target), "files": files}],
        }
        run([sys.executable, "-m", "fetcher"], json.dumps(spec))

    def curl(self, to: str) -> None:
        """One connection."""
        urls = [word for name in NAMES for word in ("-o", to, f"{self.hub.url}/{name}")]
        run(["curl", "-sSf", *urls])

    def aria2(self, program: str, connections: int) -> None:
        """Verifying what it fetched, too."""
        lines = []
        for name, digest in self.sums.items():
            lines += [f"{self.hub.url}/{name}", f"  checksum=sha-256={digest}"]
        options = [f"-x{connections}", f"-s{connections}", "-k1M", "-j1", "--file-allocation=none"]
        command = [program, *options, "-q", "--no-conf", "-d", str(self.target), "-i", "-"]
        run(command, "\n".join(lines))


def run(command: list[str], text: str = "") -> None:
    """Raises CalledProcessError."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, input=text, text=True, check=True, capture_output=True, env=environment)


def fetching(bench: Bench, aria2: str | None) -> None:
    """Rates until the last byte, and seconds until all is verified; ratios are to curl's rate."""
    mib = bench.size / MIB
    print(f"{mib:.0f} MiB in two files          fetching   to curl   and verified", flush=True)
    for rate in (8 * MIB, 0):
        held = f"{rate // MIB} MiB/s each" if rate else "not held"
        bench.hub.rate = rate
        alone, _ = bench.timed(lambda: bench.curl("/dev/null"))
        print(f"{held:<14} curl           {mib / alone:8.0f} MiB/s", flush=True)
        kept, _ = bench.timed(lambda: bench.curl(str(bench.target / "file")))
        print(f"{held:<14} curl to disk   {mib / kept:8.0f} MiB/s {alone / kept:8.2f}", flush=True)
        for connections in (1, 4, 8, 16):
            sent, whole = bench.timed(lambda n=connections: bench.ours(n))  # type: ignore[misc]
            told = f"{mib / sent:8.0f} MiB/s {alone / sent:8.2f} {whole:10.1f} s"
            if aria2:
                _, theirs = bench.timed(lambda n=connections: bench.aria2(aria2, n))  # type: ignore[misc]
                told += f"   aria2 {theirs:.1f} s"
            print(f"{held:<14} {connections:>2} connections {told}", flush=True)


def hashing(directory: Path, size: int) -> None:
    """Two files that are in memory; ratios are to the fetcher's rate for one."""
    files = [directory / name for name in ("one", "two")]
    for file in files:
        with file.open("wb") as output:
            for _ in range(size // MIB):
                output.write(os.urandom(MIB))

    def rate(work: Callable[[], object], count: int) -> float:
        began = time.monotonic()
        work()
        return count * size / MIB / (time.monotonic() - began)

    async def all_of(some: list[Path]) -> None:
        threads = Hashing()
        await asyncio.gather(
            *(threads.sha256(partial(os.open, file, os.O_RDONLY), Digest()) for file in some)
        )
        threads.close()

    ours = rate(lambda: asyncio.run(all_of(files[:1])), 1)
    print(f"\nhashing {size // MIB} MiB")
    print(f"{'the fetcher':<24} {ours:5.0f} MiB/s", flush=True)
    both = rate(lambda: asyncio.run(all_of(files)), 2)
    print(f"{'the fetcher, two files':<24} {both:5.0f} MiB/s {both / ours:6.2f}", flush=True)
    for program in ("openssl dgst -sha256 -r", "sha256sum", "shasum -a 256"):
        if shutil.which(program.split()[0]):
            theirs = rate(lambda p=program: run([*p.split(), str(files[0])]), 1)  # type: ignore[misc]
            print(f"{program:<24} {theirs:5.0f} MiB/s {theirs / ours:6.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=512, help="of the model; default: 512")
    parser.add_argument("--aria2", metavar="PROGRAM", help="to compare with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="herd-", dir="/tmp") as directory:
        fetching(Bench(Path(directory), options.mib * MIB), options.aria2)
        hashing(Path(directory), 1024 * MIB)


if __name__ == "__main__":
    main()
