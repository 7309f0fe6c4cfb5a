"""What fetching and verifying cost: `python bench/fetch.py`, with `--aria2 PROGRAM` to compare.

Over loopback, against the lab's Hub: seconds with fetch.sh over some connections, each held to a
rate as a CDN does, and not held at all; then hashing, by each program that a Mac may have.
Client, Hub and disk share the cores of this machine, so only ratios mean anything.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).parents[1]))

from herd.core import scripts
from herd.core.transfers import File, Resolved
from lab.hub.store import load
from lab.lab import Lab

MIB = 1 << 20


class Bench:
    """A Mac with a Hub that has a model of random bytes in two files."""

    def __init__(self, lab: Lab, size: int) -> None:
        self.lab, self.size = lab, size
        repo = lab.hub_root / "lab/bench-GGUF"
        repo.mkdir(parents=True)
        for name in ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"):
            with (repo / name).open("wb") as file:
                for _ in range(size // 2 // MIB):
                    file.write(os.urandom(MIB))
        held = load(lab.hub_root, "lab/bench-GGUF")
        assert held
        self.files = [File(path, entry.size, entry.sha256) for path, entry in held.entries.items()]
        self.model = Resolved(
            *("bench", "lab/bench-GGUF", held.commit, "bench-GGUF", self.files[0].path),
            *(tuple(self.files), lab.hub_url),
        )
        self.target = Path(lab.directory) / "target"

    def hub(self, route: str, data: object) -> None:
        """Faults, or a fresh start."""
        body, kind = json.dumps(data).encode(), {"Content-Type": "application/json"}
        urlopen(Request(f"{self.lab.hub_url}/_lab/{route}", body, kind), timeout=10).close()

    def timed(self, rate: float | None, run: Callable[[], None]) -> float:
        """Seconds, with each connection held to so many bytes a second."""
        self.hub("reset", {})
        if rate:
            self.hub("faults", {"rate": rate})
        shutil.rmtree(self.target, ignore_errors=True)
        self.target.mkdir()
        began = time.monotonic()
        run()
        return time.monotonic() - began

    def ours(self, connections: int) -> None:
        """fetch.sh, on the Mac."""
        words = self.model.words(
            self.files, models=str(self.target), homebrew="/nowhere", connections=connections
        )
        command = [str(self.lab["mac1"].root / "bin/sh"), "-c", scripts.text("fetch"), "fetch"]
        self._run([*command, *map(str, words)], env=self.lab["mac1"].environment())

    def aria2(self, program: str, connections: int) -> None:
        """aria2, verifying what it fetched, too."""
        lines = []
        for file in self.files:
            lines += [
                self.model.url(file),
                f"  out={file.path}",
                f"  checksum=sha-256={file.sha256}",
            ]
        options = [f"-x{connections}", f"-s{connections}", "-k1M", "-j1", "--file-allocation=none"]
        command = [program, *options, "-q", "--no-conf", "-d", str(self.target), "-i", "-"]
        self._run(command, text="\n".join(lines), env=dict(os.environ))

    def _run(self, command: list[str], *, env: dict[str, str], text: str = "") -> None:
        subprocess.run(command, input=text, text=True, check=True, capture_output=True, env=env)


def hashing(directory: Path, size: int) -> None:
    """A file that is in memory, by each program; with dd before it, which tells how far it is."""
    file = directory / "hashed"
    with file.open("wb") as output:
        for _ in range(size // MIB):
            output.write(os.urandom(MIB))
    slices = "n=0; while [ $n -lt %d ]; do dd bs=1048576 count=128 2>/dev/null; n=$((n + 1)); done"
    piped = slices % -(-size // (128 * MIB))
    print(f"\nhashing {size // MIB} MiB      alone    behind dd")
    for program in ("openssl dgst -sha256 -r", "sha256sum", "shasum -a 256"):
        if not shutil.which(program.split()[0]):
            continue
        rates = []
        for command in (f"{program} {file}", f"{{ {piped}; }} <{file} | {program}"):
            began = time.monotonic()
            subprocess.run(["sh", "-c", command], check=True, capture_output=True)
            rates.append(size / MIB / (time.monotonic() - began))
        print(f"{program:<24} {rates[0]:5.0f} MiB/s {rates[1]:5.0f} MiB/s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256, help="of the model; default: 256")
    parser.add_argument("--aria2", metavar="PROGRAM", help="to compare with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="herd-", dir="/tmp") as directory:
        with Lab(directory) as lab:
            bench = Bench(lab, options.mib * MIB)
            print(f"{options.mib} MiB in two files          fetch.sh      aria2", flush=True)
            for rate in (8 * MIB, None):
                held = f"{rate // MIB} MiB/s each" if rate else "not held"
                for connections in (1, 4, 8, 16):
                    ours = bench.timed(rate, lambda n=connections: bench.ours(n))  # type: ignore[misc]
                    theirs = "-"
                    if options.aria2:
                        run = lambda n=connections: bench.aria2(options.aria2, n)  # noqa: E731
                        theirs = f"{bench.timed(rate, run):.1f} s"
                    print(
                        f"{held:<14} {connections:>2} connections {ours:>8.1f} s {theirs:>10}",
                        flush=True,
                    )
        hashing(Path(directory), 1024 * MIB)


if __name__ == "__main__":
    main()
