"""The programs that run on a Mac, each as one archive: the same bytes for the same files."""

import gzip
import hashlib
import io
import tarfile
import zipfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

_PROXY = Path(__file__).parents[3] / "proxy"
_FETCHER = Path(__file__).parents[3] / "fetcher"


@dataclass(frozen=True)
class Bundle:
    """The proxy: `tar` unpacks to a directory `proxy`; `release` and `lock` are digests that name
    the code and the dependencies; `requirements` is the locked list."""

    tar: bytes
    release: str
    requirements: str
    lock: str

    @cached_property
    def archive(self) -> bytes:
        """The tar as it is sent; packing it takes longer than all else that is known here."""
        return gzip.compress(self.tar, mtime=0)

    @cached_property
    def sums(self) -> dict[str, str]:
        """The SHA-256 of each file, by its path below the release."""
        with tarfile.open(fileobj=io.BytesIO(self.tar)) as tar:
            files = ((member.name, tar.extractfile(member)) for member in tar)
            return {n: hashlib.sha256(file.read()).hexdigest() for n, file in files if file}


@cache
def bundle() -> Bundle:
    """The proxy, whoever packs it and when."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in sorted(_PROXY.rglob("*.py")):
            info = tarfile.TarInfo(f"proxy/{file.relative_to(_PROXY).as_posix()}")
            content = file.read_bytes()
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    requirements = (_PROXY / "requirements.lock").read_text()
    return Bundle(
        tar=raw.getvalue(),
        # Not of the archive: compression differs between versions of zlib.
        release=hashlib.sha256(raw.getvalue()).hexdigest()[:16],
        requirements=requirements,
        lock=hashlib.sha256(requirements.encode()).hexdigest()[:16],
    )


@cache
def fetcher() -> bytes:
    """The fetcher, as a file that Python runs (docs.python.org, zipapp)."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for file in sorted(_FETCHER.rglob("*.py")):
            name = f"fetcher/{file.relative_to(_FETCHER).as_posix()}"
            archive.writestr(zipfile.ZipInfo(name), file.read_bytes())
        start = "from fetcher.__main__ import main\nraise SystemExit(main())\n"
        archive.writestr(zipfile.ZipInfo("__main__.py"), start)
    return raw.getvalue()
