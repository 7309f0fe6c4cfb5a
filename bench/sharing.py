"""What a fleet saves by sharing: `python bench/sharing.py --macs 1 4 8 --mib 200`.

For each size of fleet, deployed for real to simulated Macs: how often a model left the Hub. Then
its way from the one Mac that has it to all others, by the fetchers that a deploy runs, against one
plain copy with curl from that Mac's proxy. All is loopback and shares the cores of this machine,
so a fan-out to seven is seven times the work of a copy; on a network, each Mac has its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).parents[1]))

from herd.core.models.fetch_request import Peers, Wanted, grant, job
from herd.core.models.missing_files import Resolved
from herd.workstation import lock_models
from lab.lab import PROJECT, Lab, Mac
from lab.reciter import write_model

PYINFRA = str(Path(sys.executable).with_name("pyinfra"))
REPO, KEY = "lab/recite-GGUF", "key-of-this-bench-0123456789"


def sent(lab: Lab) -> int:
    """Bytes that left the Hub since it was last reset."""
    with urlopen(f"{lab.hub_url}/_lab/stats", timeout=10) as answer:
        return int(json.load(answer)["bytes"])


def reset(lab: Lab) -> None:
    urlopen(Request(f"{lab.hub_url}/_lab/reset", b"{}", {"Content-Type": "application/json"}))


def url(mac: Mac) -> str:
    return f"http://127.0.0.1:{mac.ports['proxy']}"


def directory(mac: Mac) -> Path:
    return mac.home / "llama-swap/models"


def forget(mac: Mac, model: Resolved) -> None:
    """It has nothing of the model any more."""
    subprocess.run(["rm", "-rf", directory(mac) / model.directory], check=True)


def fan_out(lab: Lab, model: Resolved) -> float:
    """Seconds until all Macs but the first have what the first has."""
    macs = list(lab.macs.values())
    for mac in macs:
        now = datetime.now(UTC)
        text = grant(KEY, now + timedelta(hours=1), now)
        (mac.home / "llama-swap/peers.json").write_text(text)
    for mac in macs[1:]:
        forget(mac, model)
    began, fetchers = time.monotonic(), []
    for mac in macs[1:]:
        others = {other.name: url(other) for other in macs if other is not mac}
        said = job(
            [Wanted(model, model.files)],
            directory=str(directory(mac)),
            connections=8,
            token=None,
            client=None,
            peers=Peers(mac.name, others, KEY),
        )
        fetcher = subprocess.Popen(
            [sys.executable, "-m", "fetcher"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert fetcher.stdin
        fetcher.stdin.write(said.getvalue().encode())
        fetcher.stdin.close()
        fetchers.append(fetcher)
    assert [fetcher.wait() for fetcher in fetchers] == [0] * len(fetchers)
    return time.monotonic() - began


def plain_copy(lab: Lab, model: Resolved) -> float:
    """Seconds of the same bytes by curl, once, from the first Mac's proxy."""
    (mac, *_) = lab.macs.values()
    target = Path(lab.directory) / "copy"
    began = time.monotonic()
    for file in model.files:
        command = ["curl", "-sSf", "-o", str(target), "-H", f"Authorization: Bearer {KEY}"]
        subprocess.run([*command, f"{url(mac)}/files/{file.sha256}"], check=True)
    return time.monotonic() - began


def measure(macs: int, mib: int) -> None:
    """Print one row."""
    with tempfile.TemporaryDirectory(prefix="herd-", dir="/tmp") as root:
        lab = Lab(root, [f"mac{number}" for number in range(1, macs + 1)])
        write_model(lab.hub_root / REPO, pad_bytes=mib << 20)
        environment = os.environ | {"HF_ENDPOINT": lab.hub_url, "API_KEYS": "sk-bench-0123456789"}
        with lab:
            lab.lock()
            reset(lab)
            command = [PYINFRA, "-y", str(lab.inventory), "deploy.py"]
            subprocess.run(command, cwd=PROJECT, env=environment, check=True, capture_output=True)
            (locked,) = lock_models.read(lock_models.beside(str(lab.inventory))).models
            model, copies = locked.resolved(lab.hub_url), sent(lab) / locked.size
            row = f"{macs:>4} {copies:>16.3f}"
            if macs > 1:
                spread = min(fan_out(lab, model) for _ in range(3))
                copy = min(plain_copy(lab, model) for _ in range(3))
                each = spread / copy / (macs - 1)
                row += f" {spread:>9.2f} s {copy:>9.2f} s {spread / copy:>7.2f} {each:>12.2f}"
    print(row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--macs", type=int, nargs="+", default=[1, 4, 8], help="default: 1 4 8")
    parser.add_argument("--mib", type=int, default=200, help="size of the model; default: 200")
    options = parser.parse_args()
    print("macs  models from Hub     fan-out       copy   ratio  ratio / copy", flush=True)
    for macs in options.macs:
        measure(macs, options.mib)


if __name__ == "__main__":
    main()
