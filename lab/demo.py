"""`make demo`: a fresh simulated Mac becomes an LLM server, answers, and is gone again.

Everything that a user's deploy runs is real: pyinfra, SSH, deploy.py, the proxy, llama-server.
"""

import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from lab import llama_server, llama_swap
from lab.lab import PROJECT, Lab
from lab.real import NotThere
from lab.reciter import write_model


def main() -> int:
    """Deploy, deploy again, chat, stop; the exit code of the first step that fails."""
    try:
        llama_server.find()
        llama_swap.find()
    except NotThere as error:
        print(error, file=sys.stderr)
        return 1
    # A short path: a Mac's control socket must have one.
    with tempfile.TemporaryDirectory(prefix="herd-", dir="/tmp") as directory:
        say("Booting a simulated Mac")
        lab = Lab(directory, ["mac1"])
        write_model(lab.hub_root / "lab" / "recite-GGUF")
        with lab:
            print(f"    llama-server: {lab.llama_server}")
            print(f"    llama-swap: {lab.llama_swap}")
            return _demo(lab)


def _demo(lab: Lab) -> int:
    key = f"sk-demo-{secrets.token_urlsafe(32)}"
    environment = os.environ | {"HF_ENDPOINT": lab.hub_url, "HERD_API_KEY": key}
    programs = Path(sys.executable).parent
    inventory = str(_with_key(lab, key))
    pyinfra = [str(programs / "pyinfra"), "-y", inventory, "deploy.py"]
    herd = [sys.executable, "-m", "herd"]
    steps = [
        ("Locking the model: make lock", [*herd, "lock", "--inventory", inventory]),
        ("Deploying: pyinfra -y inventory.py deploy.py", pyinfra),
        ("Deploying again: nothing changes", pyinfra),
        (
            "Asking through proxy -> llama-swap -> llama-server",
            [*herd, "chat", "--inventory", inventory],
        ),
        ("Looking at it", [*herd, "status", "--inventory", inventory]),
    ]
    for title, command in steps:
        say(title)
        code = subprocess.run(command, cwd=PROJECT, env=environment).returncode
        if code:
            return code
    say("Stopping everything")
    return 0


def _with_key(lab: Lab, key: str) -> Path:
    """The lab's inventory with a key of its own: a config.json here is for other Macs."""
    entry = {"name": "demo", "sha256": hashlib.sha256(key.encode()).hexdigest()}
    path = lab.inventory.with_name("demo.py")
    path.write_text(
        f"{lab.inventory.read_text()}\n"
        f"macs = [(name, {{**data, 'api_keys': [{entry!r}]}}) for name, data in macs]\n"
    )
    return path


def say(title: str) -> None:
    """A heading between the steps."""
    print(f"\n==> {title}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
