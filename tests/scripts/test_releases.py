"""release.sh, switch-release.sh and releases.sh: what is not whole or does not run is not there."""

import gzip
import hashlib
import io
import os
import shutil
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from herd.core.mac.releases import Held
from herd.facts.releases import parse
from tests.scripts.conftest import Machine

SERVER = "#!/bin/sh\necho 'version: 10686 (0123456)' >&2\n"
NEWER = (
    "#!/bin/sh\necho 'dyld[412]: Symbol not found: _posix_spawn_file_actions_addchdir' >&2\n"
    "echo '  Referenced from: libllama.dylib (built for macOS 26.0 which is newer than running OS)'"
    " >&2\nexit 134\n"
)


def packed(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    zipped = gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0)
    with zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


class Site:
    """Serves one archive; `asked` are the ranges of the requests, "" for all."""

    def __init__(self) -> None:
        self.content, self.asked, self.ranges = b"", list[str](), True
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                span = self.headers.get("Range", "")
                site.asked.append(span)
                start = int(span.removeprefix("bytes=").rstrip("-")) if span and site.ranges else 0
                if start >= len(site.content):
                    self.send_response(416)
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                if start:
                    last = len(site.content) - 1
                    self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
                self.send_header("Content-Length", str(len(site.content) - start))
                self.end_headers()
                self.wfile.write(site.content[start:])

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/llama-b1-bin-macos-arm64.tar.gz"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()


@pytest.fixture
def place(machine: Machine) -> Path:
    machine.program("sw_vers", "echo 15.6")
    mv = shutil.which("mv")
    if sys.platform != "darwin":
        machine.program("mv", f'[ "$1" != -hf ] || {{ shift; set -- -fT "$@"; }}; exec {mv} "$@"')
    return machine.home / "my releases" / "llama.cpp" / "b1-0123456789ab"


def have(machine: Machine, place: Path, site: Site, sum: str = "") -> tuple[int, str]:
    wanted = sum or hashlib.sha256(site.content).hexdigest()
    done = machine.run("release", place, site.url, wanted, "llama-server")
    return done.returncode, done.stdout + done.stderr


def left(place: Path) -> list[str]:
    return sorted(path.name for path in place.parent.iterdir())


def test_a_release_is_one_directory_whatever_its_archive_has(
    machine: Machine, place: Path, site: Site
) -> None:
    """llama.cpp's has a directory of its own, with libraries beside the program."""
    site.content = packed({"llama-b1/llama-server": SERVER, "llama-b1/libggml.dylib": "x"})

    code, said = have(machine, place, site)

    assert (code, left(place)) == (0, [place.name]), said
    assert sorted(path.name for path in place.iterdir()) == ["libggml.dylib", "llama-server"]
    assert "version: 10686" in said
    assert have(machine, place, site) == (0, "")
    assert site.asked == [""]
    site.content = packed({"llama-server": SERVER, "LICENSE": "MIT"})
    flat = place.with_name("b2-0123456789ab")
    assert have(machine, flat, site)[0] == 0
    assert sorted(path.name for path in flat.iterdir()) == ["LICENSE", "llama-server"]


def test_what_was_cut_off_goes_on(machine: Machine, place: Path, site: Site) -> None:
    """An archive by halves, an unpacking by halves, a directory without the program."""
    site.content = packed({"llama-b1/llama-server": SERVER})
    half = len(site.content) // 2
    place.parent.mkdir(parents=True)
    Path(f"{place}.part").write_bytes(site.content[:half])
    Path(f"{place}.tmp").mkdir()
    place.mkdir()

    code, said = have(machine, place, site)

    assert (code, left(place)) == (0, [place.name]), said
    assert site.asked == [f"bytes={half}-"]


@pytest.mark.parametrize("part", [b"of another archive", b"x" * 10_000])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_of_something_else_is_fetched_anew(
    machine: Machine, place: Path, site: Site, part: bytes, ranges: bool
) -> None:
    site.content, site.ranges = packed({"llama-b1/llama-server": SERVER}), ranges
    place.parent.mkdir(parents=True)
    Path(f"{place}.part").write_bytes(part)

    code, said = have(machine, place, site)

    assert (code, left(place)) == (0, [place.name]), said


def test_an_archive_with_another_sum_is_not_unpacked(
    machine: Machine, place: Path, site: Site
) -> None:
    site.content = packed({"llama-b1/llama-server": f"#!/bin/sh\ntouch {machine.home}/ran\n"})

    code, said = have(machine, place, site, "0" * 64)

    assert (code, left(place)) == (1, [])
    assert f"has SHA-256 {hashlib.sha256(site.content).hexdigest()}, and {'0' * 64} is" in said
    assert not (machine.home / "ran").exists()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"llama-b1/llama-server": NEWER}, ["does not run on this Mac (macOS 15.6", "newer macOS"]),
        ({"llama-b1/llama-server": "#!/nowhere/sh\n"}, ["does not run on this Mac"]),
        ({"llama-b1/llama-cli": SERVER}, ["has no llama-server"]),
        ({"a/llama-server": SERVER, "b/llama-server": SERVER}, ["has no llama-server"]),
    ],
)
def test_a_release_that_cannot_run_here_is_not_kept(
    machine: Machine, place: Path, site: Site, files: dict[str, str], words: list[str]
) -> None:
    site.content = packed(files)

    code, said = have(machine, place, site)

    assert code == 1
    assert all(each in said for each in words), said
    assert [name for name in left(place) if not name.endswith(".part")] == []


def test_no_archive_and_no_server_are_told(machine: Machine, place: Path, site: Site) -> None:
    site.content = b"<html>no such page</html>"
    assert "is no archive" in have(machine, place, site)[1]
    site.server.shutdown()
    site.server.server_close()
    assert "cannot be fetched from this Mac" in have(machine, place, site, "1" * 64)[1]


def test_links_are_switched_and_what_ran_before_is_known(machine: Machine, place: Path) -> None:
    root = place.parents[1]
    for name in ("b1-0123456789ab", "b2-0123456789ab"):
        (root / "llama.cpp" / name).mkdir(parents=True)
        (root / "llama.cpp" / name / "llama-server").touch(mode=0o755)
    good = machine.home / "last-good"

    def switch(held: str, *pairs: str) -> None:
        done = machine.run("switch-release", root, held, *pairs)
        assert (done.returncode, done.stderr) == (0, "")

    switch("", "llama.cpp", "b1-0123456789ab")
    (root / "llama.cpp/current.new").symlink_to("left by a run that was killed")
    switch("", "llama.cpp", "b2-0123456789ab")
    switch("llama.cpp b1-0123456789ab b2-0123456789ab")
    good.mkdir()
    (good / "llama.cpp.link").write_text("b1-0123456789ab\n")
    (root / "llama.cpp/b3-0123456789ab.tmp").mkdir()
    there = parse(machine.run("releases", root, good).stdout.splitlines())

    assert os.readlink(root / "llama.cpp/current") == "b2-0123456789ab"
    assert sorted(there.whole["llama.cpp"]) == ["b1-0123456789ab", "b2-0123456789ab"]
    assert there.current == {"llama.cpp": "b2-0123456789ab"}
    assert there.before == {"llama.cpp": "b1-0123456789ab"}
    assert there.held == {"llama.cpp": Held("b1-0123456789ab", "b2-0123456789ab")}
    assert there.kept == {"llama.cpp/b1-0123456789ab"}
    assert there.junk == ("llama.cpp/b3-0123456789ab.tmp",)
    switch("")
    assert parse(machine.run("releases", root, good).stdout.splitlines()).held == {}


def test_a_mac_without_any_has_nothing_to_tell(machine: Machine) -> None:
    done = machine.run("releases", machine.home / "none", machine.home / "none")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
