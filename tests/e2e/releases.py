"""Archives of releases on the lab's Hub, as llama.cpp's and llama-swap's makers publish them."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path
from typing import Any

from lab import llama_server, llama_swap
from tests.e2e.fleet import Fleet

REPO = "lab/releases"


def llama_cpp(fleet: Fleet, version: str, program: str | None = None) -> dict[str, Any]:
    """One directory with everything: the server, or another `program` in its place, and a
    library."""
    path = fleet.lab.directory / "llama-server-of-a-release"
    llama_server.write_wrapper(path, "current")
    text = program or path.read_text()
    files = {"llama-server": f"{text}\n# {version}\n", "libggml.dylib": "library"}
    name = f"llama-{version}-bin-macos-arm64.tar.gz"
    return publish(fleet, version, name, {f"llama-{version}/{k}": v for k, v in files.items()})


def llama_swaps(fleet: Fleet, version: str, program: str | None = None) -> dict[str, Any]:
    """No directory."""
    path = fleet.lab.directory / "llama-swap-of-a-release"
    llama_swap.write_wrapper(path)
    text = program or path.read_text()
    name = f"llama-swap_{version.removeprefix('v')}_darwin_arm64.tar.gz"
    return publish(fleet, version, name, {"llama-swap": f"{text}\n# {version}\n", "LICENSE": "MIT"})


def publish(fleet: Fleet, version: str, name: str, files: dict[str, str]) -> dict[str, Any]:
    """Put an archive on the Hub; returns what to pin."""
    buffer = io.BytesIO()
    # The same files are the same bytes, whenever they are packed.
    packed = gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0)
    with packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for member, text in files.items():
            entry = tarfile.TarInfo(member)
            entry.size, entry.mode = len(text.encode()), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    path: Path = fleet.lab.hub_root / REPO / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return {
        "version": version,
        "url": f"{fleet.lab.hub_url}/{REPO}/resolve/main/{name}",
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
