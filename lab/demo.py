"""`make demo`: a fresh simulated Mac becomes an LLM server, answers, and is gone again.

Everything that a user's deploy runs is real: pyinfra, SSH, deploy.py, the proxy, llama-server.
"""

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from lab import llama_server, llama_swap
from lab.lab import PROJECT, Lab
from lab.reciter import write_model


def main() -> int:
    """Deploy, deploy again, chat, stop; the exit code of the first step that fails."""
    # A short path: a Mac's control socket must have one.
    with tempfile.TemporaryDirectory(prefix="herd-", dir="/tmp") as directory:
        say("Booting a simulated Mac")
        lab = Lab(directory, ["mac1"])
        write_model(lab.hub_root / "lab" / "recite-GGUF")
        with lab:
            for part, found in (
                ("llama-server", llama_server.find()),
                ("llama-swap", llama_swap.find()),
            ):
                print(f"    {part}: {'the real one' if found else 'a stand-in, as none is here'}")
            return _demo(lab)


def _demo(lab: Lab) -> int:
    environment = os.environ | {
        "HF_ENDPOINT": lab.hub_url,
        "API_KEYS": f"sk-demo-{secrets.token_urlsafe(24)}",
    }
    programs = Path(sys.executable).parent
    inventory = str(lab.inventory)
    pyinfra = [str(programs / "pyinfra"), "-y", inventory, "deploy.py"]
    herd = [sys.executable, "-m", "herd"]
    steps = [
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


def say(title: str) -> None:
    """A heading between the steps."""
    print(f"\n==> {title}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
