"""Simulated Macs to try the herd on: `python -m lab up`, deploy, look, `python -m lab down`."""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import sys
from pathlib import Path

from lab.lab import Lab
from lab.real import NotThere


def main() -> int:
    arguments = parser().parse_args()
    directory = Path(arguments.dir)
    if arguments.verb == "up":
        return up(directory, arguments.macs, arguments.homebrew)
    if not (directory / "lab.json").exists():
        print(f"There is no lab in {directory}; `python -m lab up` makes one.", file=sys.stderr)
        return 1
    lab = Lab(directory)
    if arguments.verb == "down":
        return down(lab)
    if arguments.verb == "status":
        return status(lab)
    return on_mac(lab, arguments.verb, arguments.name, getattr(arguments, "command", []))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument("--dir", default=".lab", help="the lab's folder (default: .lab)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    starting = verbs.add_parser("up", help="start the Macs, in the background")
    starting.add_argument("--macs", type=int, default=2, help="how many (default: 2)")
    starting.add_argument(
        "--homebrew",
        choices=("present", "absent"),
        default="present",
        help="whether new Macs have it; without, its installer needs passwordless sudo, so they"
        " get that too",
    )
    verbs.add_parser("status", help="what runs")
    verbs.add_parser("down", help="stop everything that was started")
    for verb, words in (
        ("login", "log somebody in at a Mac's screen"),
        ("logout", "end that session"),
        ("reboot", "switch a Mac off and on"),
    ):
        verbs.add_parser(verb, help=words).add_argument("name")
    words = "put a rule of `make sudoers` in place, from standard input, as its owner would"
    verbs.add_parser("sudoers", help=words).add_argument("name")
    shell = verbs.add_parser("shell", help="run a command on a Mac, as over SSH")
    shell.add_argument("name")
    shell.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def up(directory: Path, macs: int, homebrew: str) -> int:
    facts = {} if homebrew == "present" else {"homebrew": None, "sudo": "passwordless"}
    new = not (directory / "lab.json").exists()
    lab = Lab(directory, [f"mac{number}" for number in range(1, macs + 1)], **facts if new else {})
    if lab.running:
        print(f"The lab in {directory} is running already.")
    else:
        try:
            lab.start(detached=True)
        except NotThere as error:
            print(error, file=sys.stderr)
            return 1
        print(f"Running: {', '.join(lab.macs)}.")
    print(f"Their llama-server: {lab.llama_server}.")
    print(f"Their llama-swap: {lab.llama_swap}.")
    try:
        lab.lock()
    except RuntimeError as error:  # as of models that only a real Hub has
        print(f"\nIts models are not locked:\n{error}")
    environment = os.path.relpath(write_environment(lab))
    print("\nHave make act on them in this shell, and deploy to them:\n")
    print(f"  . {shlex.quote(environment)}")
    print("  make deploy\n")
    if Path("config.json").exists():
        print("Their keys are those of your config.json, which wins over API_KEYS.\n")
    for mac in lab.macs.values():
        print(f"{mac.name} then answers on http://127.0.0.1:{mac.ports['proxy']}")
    stop = "make lab-down" if str(directory) == ".lab" else f"{_command(directory)} down"
    print(f"\nStop them:\n\n  {stop}")
    return 0


def _command(directory: Path) -> str:
    python = os.path.relpath(sys.executable)
    if python.startswith(".."):
        python = sys.executable
    return f"{python} -m lab" + ("" if str(directory) == ".lab" else f" --dir {directory}")


def write_environment(lab: Lab) -> Path:
    """A file that a shell reads to have make act on this lab, with its key; for its owner only."""
    path = lab.directory / "environment"
    words = {
        "INVENTORY": os.path.relpath(lab.inventory),
        "HF_ENDPOINT": lab.hub_url,
        "API_KEYS": api_key(lab.directory),
    }
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in words.items()]
    # A key that is exported for other Macs would be tried here, in vain.
    lines += ["unset HERD_API_KEY HF_TOKEN\n"]
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(lines)
    return path


def api_key(directory: Path) -> str:
    """This lab's key for the proxy; made once, readable by us only."""
    path = directory / "api_key"
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"sk-lab-{secrets.token_urlsafe(24)}")
    return path.read_text()


def down(lab: Lab) -> int:
    was_running = lab.running
    before = sum(len(mac.processes()) for mac in lab.macs.values())
    lab.stop()
    if was_running or before:
        print(f"Stopped {', '.join(lab.macs)} and the processes on them ({before}).")
    else:
        print("Nothing was running.")
    return 0


def status(lab: Lab) -> int:
    if not lab.running:
        print("The lab is not running.")
        return 3
    print(f"Hugging Face endpoint: {lab.hub_url}")
    print(f"llama-server: {lab.llama_server}")
    print(f"llama-swap: {lab.llama_swap}")
    for mac in lab.macs.values():
        console = "logged in" if mac.facts["console"] else "nobody at the screen"
        print(f"{mac.name}: SSH on port {mac.ssh_port}, macOS {mac.facts['macos']}, {console}")
        for label in mac.launchd.labels():
            job = mac.launchd.job(label) or {}
            print(f"  {label}: {job.get('state', 'gone')} {job.get('pid', '')}".rstrip())
    return 0


def on_mac(lab: Lab, verb: str, name: str, command: list[str]) -> int:
    if name not in lab.macs:
        print(f"There is no {name} here, only: {', '.join(lab.macs)}.", file=sys.stderr)
        return 1
    mac = lab[name]
    if verb == "shell":
        shell = str(mac.root / "bin/sh")
        os.chdir(mac.home)
        os.execve(shell, ["sh", *(["-c", " ".join(command)] if command else [])], mac.environment())
    if verb == "sudoers":
        rules = [line for line in sys.stdin.read().splitlines() if line and line[0] != "#"]
        mac.set(sudo=rules)
        print(f"{name} lets its user run {len(rules)} commands without a password.")
        return 0
    if not lab.running:
        print("The lab is not running.", file=sys.stderr)
        return 3
    mac.control(verb)
    return 0


if __name__ == "__main__":
    sys.exit(main())
