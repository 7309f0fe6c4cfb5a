"""What a roll costs those who ask meanwhile: `python bench/roll.py --macs 4 --parallel 2`.

Simulated Macs with real proxies and, behind a real HAProxy, as one service; and some without a
gateway, each asked by itself. Wanted: no stream that had begun is cut, and no request fails. Who
could go nowhere else is refused, and told when to return.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.proxy_peers import free_port
from bench.streams import CUT, FAILED, REFUSED, WHOLE, Streams
from tests.e2e.fleet import KEY, Fleet
from tests.e2e.releases import llama_cpp, llama_swaps

HEADER = (
    f"{'':34}{'requests':>9}{'whole':>7}{'refused':>9}{'failed':>8}{'cut':>5}"
    f"{'seconds':>9}{'first byte p50':>16}{'max':>7}"
)


class Herd:
    """Lab Macs, deployed as their data says."""

    def __init__(self, directory: Path, macs: int, *, gateway: bool) -> None:
        self.fleet = Fleet(directory, *(f"mac{number + 1}" for number in range(macs)))
        self.data: dict[str, dict[str, Any]] = {name: {} for name in self.fleet.lab.macs}
        self.ports = [self.fleet[name].ports["proxy"] for name in self.data]
        self.groups = ""
        if gateway:
            for data in self.data.values():
                data["proxy_agent_port"] = free_port()
            self.ports = [free_port()]
            own = {"gateway_port": self.ports[0], "gateway_haproxy_port": free_port()}
            self.data["mac1"] |= own
            self.groups = "gateways = ['mac1']\n"

    @property
    def inventory(self) -> Path:
        path = self.fleet.inventory(**self.data)
        path.write_text(path.read_text() + self.groups)
        return path

    def everywhere(self, **settings: Any) -> None:
        """Have these on every Mac with the next run."""
        for data in self.data.values():
            data |= settings

    def deploy(self) -> None:
        run = self.fleet.pyinfra("-y", str(self.inventory), "deploy.py", timeout=1200)
        if run.code:
            sys.exit(run.out + run.err)

    def under_streams(self, title: str, verb: str, *options: str, clients: int) -> None:
        """One row."""
        inventory = self.inventory
        with Streams(self.ports, KEY, clients=clients, model="recite") as streams:
            time.sleep(3)
            began = time.monotonic()
            run = self.fleet.herd(verb, *options, inventory=inventory)
            took = time.monotonic() - began
            time.sleep(1)
        if run.code:
            sys.exit(run.out + run.err)
        counts = "".join(
            f"{streams.became[how]:>{wide}}"
            for how, wide in ((WHOLE, 7), (REFUSED, 9), (FAILED, 8), (CUT, 5))
        )
        half = f"{statistics.median(streams.seconds) * 1000:.0f} ms"
        most = f"{max(streams.seconds):.1f} s"
        print(f"{title:34}{streams.asked:>9}{counts}{took:>9.0f}{half:>16}{most:>7}", flush=True)
        for wrong in streams.wrong[:5]:
            print(f"  {wrong}", file=sys.stderr)


def behind_a_gateway(directory: Path, macs: int, parallel: int) -> None:
    """Settings, then Homebrew's packages, from Mac to Mac, while clients ask the one endpoint."""
    herd = Herd(directory, macs, gateway=True)
    try:
        herd.deploy()
        more = [f"--parallel={parallel}"]
        herd.everywhere(models={"recite": {"ctx_size": 1024}})
        herd.under_streams(f"roll of {macs}, one endpoint", "roll", *more, clients=macs)
        for name in herd.data:
            herd.fleet[name].set(formulae={"llama.cpp": "0.9.9"})
        herd.under_streams(f"upgrade of {macs}, one endpoint", "upgrade", *more, clients=macs)
    finally:
        herd.fleet.stop()


def each_by_itself(directory: Path, macs: int) -> None:
    """Pinned releases, and back, while clients ask each Mac."""
    herd = Herd(directory, macs, gateway=False)
    try:
        swap = llama_swaps(herd.fleet, "v1")
        for version in ("b1", "b2"):
            release = llama_cpp(herd.fleet, version)
            herd.everywhere(llama_swap_release=swap, llama_cpp_release=release)
            if version == "b1":
                herd.deploy()
        herd.under_streams(f"upgrade of {macs}, each asked", "upgrade", clients=2 * macs)
        herd.under_streams(f"rollback of {macs}, each asked", "rollback", clients=2 * macs)
    finally:
        herd.fleet.stop()


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--macs", type=int, default=4, help="behind a gateway; 0 leaves it out")
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--alone", type=int, default=3, help="without one; 0 leaves it out")
    args = parser.parse_args()
    parts: list[Callable[[Path], None]] = []
    if args.macs:
        parts.append(lambda directory: behind_a_gateway(directory, args.macs, args.parallel))
    if args.alone:
        parts.append(lambda directory: each_by_itself(directory, args.alone))
    print(HEADER)
    for part in parts:
        directory = Path(tempfile.mkdtemp(prefix="herd-"))
        try:
            part(directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
