"""What a Mac on which nothing happens costs: `python bench/idle.py --seconds 600`.

CPU and wake-ups of every process that a deploy keeps running on a Mac, by what the kernel counts
for each thread, once a model was asked and has fallen silent. Nothing of ours is to look at
anything more often than once a minute, so wake-ups are told as a multiple of that, beside those of
the whole Mac. `LAB_LLAMA_SWAP` and `LAB_LLAMA_SERVER` name real programs; without them their rows
are of stand-ins, and say so. On Linux, whose /proc has the counts.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.noop import KEY, Herd
from lab.lab import Lab, Mac
from lab.reciter import write_model

HEADER = "process                    CPU, ms/min   share of a core   wake-ups/min   x one a minute"
SETTLE = 20
"""Seconds from the last answer to the first look: loaded, answered, written down."""


@dataclass(frozen=True)
class Counts:
    """Of a process since its start: nanoseconds on a CPU, and how often a thread of it was woken
    (each time it waits of its own accord, something wakes it)."""

    nanoseconds: int
    wakeups: int


def counts(pid: int) -> Counts:
    """By its threads; raises OSError when it is gone."""
    nanoseconds = wakeups = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        nanoseconds += int((task / "schedstat").read_text().split()[0])
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                wakeups += int(line.split()[1])
    return Counts(nanoseconds, wakeups)


def name(pid: int) -> str:
    """What a process is: its program, and that of a Python one."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    if "-m" in words:
        return " ".join(words[words.index("-m") + 1 :][:2]) + (
            " --gateway" if "--gateway" in words else ""
        )
    scripts = [Path(word).name for word in words[1:2] if "python" in words[0]]
    return f"{scripts[0]} (stand-in)" if scripts else Path(words[0]).name


def ask(mac: Mac) -> None:
    """One short answer, so a model is loaded."""
    body = {"model": "recite", "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{mac.ports['proxy']}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        answer.read()


def measure(mac: Mac, seconds: float) -> None:
    """Print a row for each process, and one for all."""
    before = {pid: counts(pid) for pid in mac.processes()}
    names = {pid: name(pid) for pid in before}
    time.sleep(seconds)
    if set(mac.processes()) != set(before):
        sys.exit("the Mac was not idle: processes came or went")
    minutes = seconds / 60
    total = Counts(0, 0)
    print(HEADER)
    for pid, was in before.items():
        now = counts(pid)
        spent = Counts(now.nanoseconds - was.nanoseconds, now.wakeups - was.wakeups)
        total = Counts(total.nanoseconds + spent.nanoseconds, total.wakeups + spent.wakeups)
        print(_row(names[pid], spent, minutes))
    print(_row("all", total, minutes), flush=True)


def _row(title: str, spent: Counts, minutes: float) -> str:
    milliseconds, wakeups = spent.nanoseconds / 1e6 / minutes, spent.wakeups / minutes
    share = milliseconds / 60_000
    return (
        f"{title:<26} {milliseconds:>11.1f}   {share:>14.5%}   {wakeups:>12.1f}   {wakeups:>14.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="default: 600")
    options = parser.parse_args()
    if not os.path.isdir("/proc/self/task"):
        sys.exit("the counts are of Linux's /proc")
    with tempfile.TemporaryDirectory(prefix="herd-", dir="/tmp") as directory:
        lab = Lab(directory)
        write_model(lab.hub_root / "lab" / "recite-GGUF")
        with lab:
            lab.lock()
            (mac,) = lab.macs.values()
            Herd(lab, {mac.name: mac.ssh_port}).deploy()
            ask(mac)
            time.sleep(SETTLE)
            print(f"llama-swap: {lab.llama_swap}; llama-server: {lab.llama_server}")
            measure(mac, options.seconds)


if __name__ == "__main__":
    main()
