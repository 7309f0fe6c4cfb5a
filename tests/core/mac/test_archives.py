"""The proxy's archive: the same bytes for the same files."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from herd.core.mac import archives as module
from herd.core.mac.archives import Bundle, bundle


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small proxy in place of ours."""
    folder = tmp_path / "proxy"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "app.py").write_text("app = 1\n")
    (folder / "inner" / "more.py").write_text("more = 1\n")
    (folder / "requirements.lock").write_text("aiohttp==1 --hash=sha256:00\n")
    monkeypatch.setattr(module, "_PROXY", folder)
    bundle.cache_clear()
    yield folder
    bundle.cache_clear()


def fresh() -> Bundle:
    bundle.cache_clear()
    return bundle()


def test_packing_again_gives_the_same_bytes_whenever_and_whoever(
    proxy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fresh()
    monkeypatch.setattr("time.time", lambda: 1e9)
    for file in proxy.rglob("*"):
        os.utime(file, (0, 0))
        file.chmod(0o700)

    assert fresh() == before


def test_the_archive_holds_the_package_and_nothing_else(proxy: Path) -> None:
    (proxy / "__pycache__").mkdir()
    (proxy / "__pycache__" / "app.cpython-311.pyc").write_bytes(b"x")
    (proxy / "notes.txt").write_text("x")
    with tarfile.open(fileobj=io.BytesIO(fresh().archive)) as tar:
        members = tar.getmembers()

    assert [m.name for m in members] == [
        *("proxy/__init__.py", "proxy/app.py", "proxy/inner/more.py"),
    ]
    assert {(m.mode, m.mtime, m.uid, m.uname) for m in members} == {(0o644, 0, 0, "")}


def test_changed_code_is_another_release_with_the_same_lock(proxy: Path) -> None:
    before = fresh()
    (proxy / "app.py").write_text("app = 2\n")
    after = fresh()

    assert after.release != before.release
    assert after.lock == before.lock


def test_renamed_code_is_another_release(proxy: Path) -> None:
    before = fresh()
    (proxy / "app.py").rename(proxy / "main.py")

    assert fresh().release != before.release


def test_changed_dependencies_are_another_lock_with_the_same_release(proxy: Path) -> None:
    before = fresh()
    (proxy / "requirements.lock").write_text("aiohttp==2 --hash=sha256:00\n")
    after = fresh()

    assert after.lock != before.lock
    assert after.release == before.release
    assert after.requirements == "aiohttp==2 --hash=sha256:00\n"


def test_the_real_proxy_is_locked_with_hashes() -> None:
    found = fresh()

    assert "aiohttp==" in found.requirements
    assert "--hash=sha256:" in found.requirements
    assert "--index-url" not in found.requirements
