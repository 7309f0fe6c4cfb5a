"""What a run that changes nothing costs: `make bench`, or `python bench/noop.py --macs 1 10`.

Remote commands per host, and wall time with TCP_NODELAY as we set it against the SSH client's
default, in alternating runs. On simulated Macs: their commands are slower than a Mac's, and all
share the cores of this machine, so only counts and ratios mean anything.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lab.lab import PROJECT, Lab
from lab.reciter import write_model

PYINFRA = str(Path(sys.executable).with_name("pyinfra"))
WITHOUT_NODELAY = """
import click
from herd.connections import hooks
from pyinfra import state
hooks.Connected.host_connect = staticmethod(lambda state, host: None)
hooks.install(state, check=True, inventory=click.get_current_context().params["inventory"])
"""


def run(lab: Lab, environment: dict[str, str], config: str = "config.py") -> float:
    """Seconds of one `pyinfra -y`; ends the benchmark when it fails."""
    command = [PYINFRA, "-y", "--config", config, str(lab.inventory), "deploy.py"]
    began = time.monotonic()
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, capture_output=True)
    return time.monotonic() - began


def measure(macs: int, rounds: int) -> None:
    """Print one row."""
    with tempfile.TemporaryDirectory(prefix="herd-", dir="/tmp") as directory:
        lab = Lab(directory, [f"mac{number}" for number in range(1, macs + 1)])
        write_model(lab.hub_root / "lab" / "recite-GGUF")
        default = Path(directory) / "config-without-nodelay.py"
        default.write_text(WITHOUT_NODELAY)
        environment = os.environ | {"HF_ENDPOINT": lab.hub_url, "API_KEYS": "sk-bench-0123456789"}
        with lab:
            lab.lock()
            run(lab, environment)
            for mac in lab.macs.values():
                mac.clear_log()
            run(lab, environment)
            counts = [len(mac.log) for mac in lab.macs.values()]
            ours, theirs = [], []
            for _ in range(rounds):
                ours.append(run(lab, environment))
                theirs.append(run(lab, environment, str(default)))
    wall, without = statistics.median(ours), statistics.median(theirs)
    print(f"{macs:>4} {max(counts):>9} {wall:>8.1f} s {without:>13.1f} s {without / wall:>7.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--macs", type=int, nargs="+", default=[1, 10], help="default: 1 10")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    options = parser.parse_args()
    print("macs  commands    no-op   without NODELAY   ratio", flush=True)
    for macs in options.macs:
        measure(macs, options.rounds)


if __name__ == "__main__":
    main()
