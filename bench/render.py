"""What a rendering costs: `make figures`, or `python bench/render.py --hosts 1 10 100`.

Wall time of the commands as a person runs them, on a project of so many Macs with two models each
and a setting of their own; the middle of three runs.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from herd.core.mac import facts_lock
from tests.checks import sample


def project(root: Path, hosts: int) -> None:
    """The sample project with so many Macs."""
    sample.make(root)
    names = [f"mac{number}" for number in range(hosts)]
    rows = [
        f'    ("{name}", {{"models": {{"tiny": {{"ctx_size": {4096 + number}}}}}}}),\n'
        for number, name in enumerate(names)
    ]
    (root / "inventory.py").write_text(f"macs = [\n{''.join(rows)}]\n")
    path = root / "facts.lock"
    facts = facts_lock.parse(path.read_text())
    macs = {name: sample.mac(name) for name in names}
    path.write_text(facts_lock.dump(facts.model_copy(update={"hosts": macs})))


def seconds(root: Path, verb: str) -> float:
    """The middle of three runs; ends the benchmark when one fails."""
    times = []
    for _ in range(3):
        began = time.monotonic()
        done = sample.herd(root, verb)
        times.append(time.monotonic() - began)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 10, 100])
    for hosts in parser.parse_args().hosts:
        with tempfile.TemporaryDirectory() as folder:
            project(Path(folder), hosts)
            render, check = (seconds(Path(folder), verb) for verb in ("render", "check-configs"))
            print(f"{hosts:>4} hosts: render {render:5.2f} s, check-configs {check:5.2f} s")


if __name__ == "__main__":
    main()
