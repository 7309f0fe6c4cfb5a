"""The proxy as one archive, named by its content."""

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROXY = Path(__file__).parents[2] / "proxy"


@dataclass(frozen=True)
class Bundle:
    """`archive` unpacks to a directory `proxy`; `release` and `lock` are digests that name the
    code and the dependencies; `requirements` is the locked list."""

    archive: bytes
    release: str
    requirements: str
    lock: str


@cache
def bundle() -> Bundle:
    """The same bytes for the same files, whoever packs them and when."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in sorted(_PROXY.rglob("*.py")):
            info = tarfile.TarInfo(f"proxy/{file.relative_to(_PROXY).as_posix()}")
            content = file.read_bytes()
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    packed = gzip.compress(raw.getvalue(), mtime=0)
    requirements = (_PROXY / "requirements.lock").read_text()
    return Bundle(
        archive=packed,
        # Of the archive before compression, which differs between versions of zlib.
        release=hashlib.sha256(raw.getvalue()).hexdigest()[:16],
        requirements=requirements,
        lock=hashlib.sha256(requirements.encode()).hexdigest()[:16],
    )
