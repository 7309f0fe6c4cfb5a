"""fetch.sh: files arrive whole and as they should be, whatever happens on the way."""

import dataclasses
import hashlib
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from herd.core.secrets import token_options
from herd.core.transfers import File, Resolved
from tests.core.samples import HOSTILE_NAMES, resolved
from tests.scripts.conftest import Done, Machine, Server, quoted

FIRST, SECOND = os.urandom(30_000), os.urandom(50_000)
TOKEN = "hf_0123456789abcdef"


class Hub:
    """Serves files with ranges; `faults` are answered first, one a request."""

    def __init__(self, serve: Callable[..., Server], files: dict[str, bytes]) -> None:
        self.files = files
        self.faults: list[Callable[[Any, bytes, int], Any]] = []
        self.release = threading.Event()
        self.server = serve(self.answer)
        self.model = self.of(files)

    def of(self, files: dict[str, bytes]) -> Resolved:
        """What a lock says of these files."""
        told = tuple(File(p, len(c), sha256(c)) for p, c in files.items())
        return dataclasses.replace(resolved(endpoint=self.server.url), files=told)

    def answer(self, path: str, request: Any) -> tuple[int, bytes] | None:
        name = path.partition(f"/resolve/{self.model.commit}/")[2]
        if name not in self.files:
            return 404, b"Entry not found"
        content = self.files[name]
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["Range"])
        assert asked
        start, content = int(asked[1]), content[: int(asked[2]) + 1]
        if self.faults:
            said = self.faults.pop(0)(request, content, start)
            return said  # type: ignore[no-any-return]
        self.head(request, content, start)
        request.wfile.write(content[start:])
        return None

    def head(self, request: Any, content: bytes, start: int) -> None:
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/*")
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()

    # -- Faults

    def drop(self, after: int) -> None:
        """End a connection after some bytes."""

        def fault(request: Any, content: bytes, start: int) -> None:
            self.head(request, content, start)
            request.wfile.write(content[start : start + after])
            request.close_connection = True

        self.faults.append(fault)

    def refuse(self, status: int, retry_after: object = None) -> None:
        def fault(request: Any, content: bytes, start: int) -> None:
            request.send_response(status)
            if retry_after is not None:
                request.send_header("Retry-After", str(retry_after))
            request.send_header("Content-Length", "2")
            request.end_headers()
            request.wfile.write(b"no")

        self.faults.append(fault)

    def corrupt(self) -> None:
        """Flip a byte."""

        def fault(request: Any, content: bytes, start: int) -> None:
            self.head(request, content, start)
            request.wfile.write(bytes([content[start] ^ 1]) + content[start + 1 :])

        self.faults.append(fault)

    def hang(self, after: int) -> None:
        """Send some bytes, and the rest when the test says so."""

        def fault(request: Any, content: bytes, start: int) -> None:
            self.head(request, content, start)
            request.wfile.write(content[start : start + after])
            request.wfile.flush()
            self.release.wait(20)
            request.wfile.write(content[start + after :])

        self.faults.append(fault)

    def ignore_range(self) -> None:
        def fault(request: Any, content: bytes, start: int) -> tuple[int, bytes]:
            return 200, next(c for c in self.files.values() if c.startswith(content))

        self.faults.append(fault)

    # -- The script

    def words(
        self,
        target: Path,
        *,
        connections: int = 1,
        again: bool = False,
        origin: str = "fetched",
        homebrew: str = "/nowhere",
    ) -> list[object]:
        name, _, *rest = self.model.words(
            self.model.files,
            models=str(target.parent),
            homebrew=homebrew,
            connections=connections,
            origin=origin,
            again=again,
        )
        return [name, target, *rest]

    def ranges(self) -> list[str]:
        """Of each request: what part of the file it asked for."""
        return [headers["Range"].removeprefix("bytes=") for _, headers in self.server.asked]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


ALL_FIRST, ALL_SECOND = "0-29999", "0-49999"


@pytest.fixture
def hub(serve: Callable[..., Server]) -> Iterator[Hub]:
    hub = Hub(serve, {"m-00001-of-00002.gguf": FIRST, "q/m-00002-of-00002.gguf": SECOND})
    yield hub
    hub.release.set()


@pytest.fixture
def target(machine: Machine) -> Path:
    return machine.home / "my models" / "tiny"


def fetch(machine: Machine, hub: Hub, target: Path, **options: Any) -> Done:
    return machine.run("fetch", *hub.words(target, **options), stdin=token_options(None).getvalue())


def part(hub: Hub, target: Path, number: int = 0) -> Path:
    return target / hub.model.part(hub.model.files[number])


def files(directory: Path) -> dict[str, bytes]:
    """All but the receipts."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and ".herd" not in path.parts
    }


def receipt(target: Path, name: str) -> list[str]:
    """Checksum, size, time, inode and origin."""
    return (target / ".herd" / f"{name}.receipt").read_text().split()


def size(part: Path) -> int:
    """Bytes of a part and its pieces, which may not be there yet; curl writes in blocks."""
    pieces = [p for p in part.parent.glob("*") if p.name.startswith(part.name)]
    return sum(p.stat().st_size for p in pieces if p.suffix == ".part" or p.suffix[1:].isdecimal())


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_fresh_host_gets_every_file_and_nothing_else(
    machine: Machine, hub: Hub, target: Path
) -> None:
    done = fetch(machine, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == hub.files
    assert done.stdout == "tiny: complete, 0.1 MiB\n"
    assert hub.ranges() == [ALL_FIRST, ALL_SECOND]


def test_a_part_is_resumed_where_it_ended(machine: Machine, hub: Hub, target: Path) -> None:
    put(part(hub, target), FIRST[:12345])
    done = fetch(machine, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files
    assert hub.ranges() == ["12345-29999", ALL_SECOND]
    assert done.stdout.startswith("tiny: resuming at 0.0 MiB of 0.1 MiB\n")


def test_a_part_that_has_all_bytes_is_only_put_in_place(
    machine: Machine, hub: Hub, target: Path
) -> None:
    put(part(hub, target), FIRST)
    assert fetch(machine, hub, target).returncode == 0

    assert files(target) == hub.files
    assert hub.ranges() == [ALL_SECOND]


def test_a_part_that_is_too_large_is_begun_anew(machine: Machine, hub: Hub, target: Path) -> None:
    put(part(hub, target), FIRST + b"more")
    assert fetch(machine, hub, target).returncode == 0

    assert files(target) == hub.files
    assert hub.ranges() == [ALL_FIRST, ALL_SECOND]


def test_a_part_of_another_commit_is_not_touched(machine: Machine, hub: Hub, target: Path) -> None:
    other = target / "m-00001-of-00002.gguf.0123456789ab.part"
    put(other, b"other")
    assert fetch(machine, hub, target).returncode == 0

    assert other.read_bytes() == b"other"
    assert hub.ranges() == [ALL_FIRST, ALL_SECOND]


def test_whole_files_are_adopted(machine: Machine, hub: Hub, target: Path) -> None:
    for name, content in hub.files.items():
        put(target / name, content)
    done = fetch(machine, hub, target)

    assert done.returncode == 0
    assert hub.ranges() == []
    assert done.stdout.endswith("tiny: complete, 0.1 MiB\n")


def set_aside(target: Path) -> dict[str, bytes]:
    """What was set aside, by the name that it had."""
    return {
        n.partition(".set-aside-")[0]: c for n, c in files(target).items() if ".set-aside-" in n
    }


def test_a_file_of_the_wrong_size_is_set_aside_and_replaced(
    machine: Machine, hub: Hub, target: Path
) -> None:
    put(target / "m-00001-of-00002.gguf", b"short")
    done = fetch(machine, hub, target)

    assert done.returncode == 0
    assert "m-00001-of-00002.gguf: wrong, it has 5 bytes, not 30000: set aside as" in done.stdout
    assert set_aside(target) == {"m-00001-of-00002.gguf": b"short"}
    assert files(target).items() >= hub.files.items()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "the Hub answers 401: it wants a token with access (HF_TOKEN on the workstation)"),
        (403, "the Hub answers 403: it wants a token with access (HF_TOKEN on the workstation)"),
        (404, "the Hub answers 404 for http://127.0.0.1:"),
    ],
)
def test_an_answer_that_will_not_change_ends_it_with_the_reason(
    machine: Machine, hub: Hub, target: Path, status: int, words: str
) -> None:
    hub.refuse(status)
    done = fetch(machine, hub, target)

    assert done.returncode == 1
    assert f"tiny: m-00001-of-00002.gguf: {words}" in done.stderr
    assert len(hub.server.asked) == 1
    assert "m-00001-of-00002.gguf" not in files(target)


def test_a_hub_that_is_busy_is_asked_again(machine: Machine, hub: Hub, target: Path) -> None:
    hub.refuse(503)
    hub.refuse(429)
    done = fetch(machine, hub, target)

    assert done.returncode == 0
    assert files(target) == hub.files
    assert "interrupted (curl exit 22, HTTP 503), resuming in 3 s" in done.stdout


def test_a_connection_that_drops_is_resumed(machine: Machine, hub: Hub, target: Path) -> None:
    hub.drop(after=10_000)
    hub.drop(after=15_000)
    done = fetch(machine, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files
    assert hub.ranges() == [ALL_FIRST, "10000-29999", "25000-29999", ALL_SECOND]


def test_many_drops_are_no_reason_to_stop_while_bytes_come(one_machine: Machine, hub: Hub) -> None:
    target = one_machine.home / "tiny"
    for _ in range(12):
        hub.drop(after=1000)
    done = fetch(one_machine, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files


def test_six_attempts_without_a_byte_end_it(machine: Machine, hub: Hub, target: Path) -> None:
    for _ in range(9):
        hub.refuse(500)
    done = fetch(machine, hub, target)

    assert done.returncode == 1
    assert "no progress in 6 attempts (curl exit 22, HTTP 500)" in done.stderr
    assert len(hub.server.asked) == 6


def test_a_server_that_cannot_resume_is_asked_for_the_whole(
    machine: Machine, hub: Hub, target: Path
) -> None:
    put(part(hub, target), FIRST[:100])
    hub.ignore_range()
    done = fetch(machine, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files


def test_a_large_file_of_a_server_without_ranges_comes_over_one_connection(
    machine: Machine, serve: Callable[..., Server], target: Path
) -> None:
    hub = Hub(serve, {"large.gguf": LARGE})
    for _ in range(9):
        hub.ignore_range()
    done = fetch(machine, hub, target, connections=3)

    assert (done.returncode, done.stderr) == (0, "")
    assert "large.gguf: the server knows no ranges" in done.stdout
    assert files(target) == hub.files
    assert hub.ranges()[-1] == "0-4999999"


def test_a_redirect_may_have_more_to_say_than_there_is_left_to_fetch(
    machine: Machine, hub: Hub, target: Path
) -> None:
    """As the Hub's does, with an address a kilobyte long."""

    def redirect(request: Any, content: bytes, start: int) -> None:
        request.send_response(302)
        request.send_header("Location", request.path)
        request.send_header("Content-Length", "2000")
        request.end_headers()
        request.wfile.write(b"x" * 2000)

    put(part(hub, target), FIRST[:-3])
    hub.faults.append(redirect)
    done = fetch(machine, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert "no ranges" not in done.stdout
    assert files(target) == hub.files
    assert hub.ranges() == ["29997-29999", "29997-29999", ALL_SECOND]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_arrive_as_they_are(
    one_machine: Machine, serve: Callable[..., Server], name: str
) -> None:
    hub = Hub(serve, {f"{name}.gguf": b"one", f"{name}/{name}.gguf": b"two"})
    target = one_machine.home / f"{name}!"
    done = fetch(one_machine, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == hub.files


def test_a_directory_that_cannot_be_made_is_named(machine: Machine, hub: Hub) -> None:
    (machine.home / "file").write_text("")
    done = fetch(machine, hub, machine.home / "file" / "below")

    assert done.returncode == 1
    assert "cannot make" in done.stderr


# -- Verification


def test_a_file_that_is_in_place_has_a_receipt(machine: Machine, hub: Hub, target: Path) -> None:
    assert fetch(machine, hub, target).returncode == 0

    for name, content in hub.files.items():
        stat = (target / name).stat()
        mtime = f"{stat.st_mtime_ns // 10**9}.{stat.st_mtime_ns % 10**9:09}"
        expected = [sha256(content), str(stat.st_size), mtime, str(stat.st_ino), "fetched"]
        assert receipt(target, name) == expected


def test_what_a_person_asked_for_is_marked_so(machine: Machine, hub: Hub, target: Path) -> None:
    assert fetch(machine, hub, target, origin="asked").returncode == 0

    assert receipt(target, "m-00001-of-00002.gguf")[-1] == "asked"


def test_adopted_files_get_a_receipt_that_says_so(machine: Machine, hub: Hub, target: Path) -> None:
    for name, content in hub.files.items():
        put(target / name, content)
    assert fetch(machine, hub, target).returncode == 0

    assert {receipt(target, name)[-1] for name in hub.files} == {"adopted"}


def test_what_has_a_receipt_is_not_hashed_again(one_machine: Machine, hub: Hub) -> None:
    """Its content is changed here behind its time and inode, which nothing else would do."""
    target = one_machine.home / "tiny"
    assert fetch(one_machine, hub, target).returncode == 0
    corrupt(target / "m-00001-of-00002.gguf")
    assert fetch(one_machine, hub, target).returncode == 0

    assert files(target) != hub.files
    assert len(hub.ranges()) == 2


def corrupt(path: Path, at: int = 1234) -> None:
    """As a disk does: nothing else tells."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_asked_to_everything_is_hashed_again_and_mended(
    machine: Machine, hub: Hub, target: Path
) -> None:
    assert fetch(machine, hub, target).returncode == 0
    corrupt(target / "m-00001-of-00002.gguf")
    done = fetch(machine, hub, target, again=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert "m-00001-of-00002.gguf: wrong, its SHA-256 is" in done.stdout
    assert files(target).items() >= hub.files.items()
    assert hub.ranges() == [ALL_FIRST, ALL_SECOND, ALL_FIRST]
    (aside,) = [name for name in files(target) if "set-aside" in name]
    # We had put it there, so we may remove it one day.
    assert receipt(target, aside)[-1] == "fetched"


def test_a_wrong_file_of_somebody_is_set_aside_as_theirs(
    machine: Machine, hub: Hub, target: Path
) -> None:
    put(target / "m-00001-of-00002.gguf", SECOND[:30_000])
    done = fetch(machine, hub, target)

    assert done.returncode == 0, done.stderr
    assert set_aside(target) == {"m-00001-of-00002.gguf": SECOND[:30_000]}
    assert not list(target.glob(".herd/*set-aside*"))
    assert files(target).items() >= hub.files.items()


def test_a_copy_of_a_directory_of_ours_is_verified_and_somebody_elses(
    one_machine: Machine, hub: Hub
) -> None:
    target, original = one_machine.home / "tiny", one_machine.home / "original"
    assert fetch(one_machine, hub, original).returncode == 0
    shutil.copytree(original, target)
    corrupt(target / "m-00001-of-00002.gguf")
    done = fetch(one_machine, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target).items() >= hub.files.items()
    assert receipt(target, "q/m-00002-of-00002.gguf")[-1] == "adopted"
    assert receipt(target, "m-00001-of-00002.gguf")[-1] == "fetched"


def test_a_byte_that_is_wrong_on_the_wire_does_not_reach_the_name(
    machine: Machine, hub: Hub, target: Path
) -> None:
    hub.corrupt()
    done = fetch(machine, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert "m-00001-of-00002.gguf: arrived wrong, its SHA-256 is" in done.stdout
    assert files(target) == hub.files
    assert sorted(hub.ranges()) == [ALL_FIRST, ALL_FIRST, ALL_SECOND]


def test_a_file_that_arrives_wrong_three_times_ends_it(
    machine: Machine, hub: Hub, target: Path
) -> None:
    hub.model = hub.of({"m-00001-of-00002.gguf": b"x" * len(FIRST)})
    done = fetch(machine, hub, target)

    assert done.returncode == 1
    assert "m-00001-of-00002.gguf: arrived wrong three times, last with SHA-256" in done.stderr
    assert not (target / "m-00001-of-00002.gguf").exists()
    assert len(hub.ranges()) == 3


def test_a_part_of_another_content_is_found_out(machine: Machine, hub: Hub, target: Path) -> None:
    """As after a crash of the machine, which lost what was not yet on the disk."""
    put(part(hub, target), bytes(12345))
    done = fetch(machine, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files


@pytest.mark.parametrize("has", ["openssl", "sha256sum", "shasum"])
def test_the_fastest_program_that_is_there_does_the_hashing(
    one_machine: Machine, hub: Hub, has: str
) -> None:
    """Homebrew's OpenSSL, else Apple's of macOS 15, else perl's."""
    homebrew, used = one_machine.home / "brew", one_machine.home / "used"
    path = [p for p in os.environ["PATH"].split(":") if not Path(p, "sha256sum").exists()]
    for program, answer in (
        ("openssl", f'[ "$*" = "dgst -sha256 -r" ]; exec {shutil.which("openssl")} "$@"'),
        ("sha256sum", f"exec {shutil.which('sha256sum')}"),
        ("shasum", f'[ "$*" = "-a 256" ]; exec {shutil.which("shasum")} "$@"'),
    ):
        made = one_machine.program(program, f"echo {program} >>{quoted(used)}\n{answer}")
        if program == "openssl":
            there = homebrew / "opt/openssl@3/bin"
            there.mkdir(parents=True)
            made.rename(there / "openssl")
            if has != "openssl":
                shutil.rmtree(homebrew)
    if has == "shasum":
        (one_machine.bin / "sha256sum").unlink()
        if not path:
            pytest.skip("sha256sum is everywhere here")
        # What a Mac of macOS 14 has.
        names = "sh bash cat rm mv mkdir dirname awk date sleep tail df ps wc dd curl perl grep sed"
        for name in [*names.split(), "stat", "touch", "sysctl"]:
            found = shutil.which(name)
            if found and not (one_machine.bin / name).exists():
                (one_machine.bin / name).symlink_to(found)
        one_machine.environment["PATH"] = str(one_machine.bin)
        one_machine.shell[0] = str(shutil.which(one_machine.shell[0]))
    target = one_machine.home / "tiny"
    done = fetch(one_machine, hub, target, homebrew=str(homebrew))

    assert (done.returncode, done.stderr) == (0, "")
    assert set(used.read_text().split()) == {has}


# -- Another version


def newer(hub: Hub) -> dict[str, bytes]:
    """The Hub moves on; the names are the same, and so is the size of the first."""
    old = dict(hub.files)
    for name, content in zip(hub.files, (os.urandom(30_000), os.urandom(60_000)), strict=True):
        hub.files[name] = content
    hub.model = hub.of(hub.files)
    return old


def test_a_new_version_takes_the_place_of_one_that_we_fetched(
    machine: Machine, hub: Hub, target: Path
) -> None:
    assert fetch(machine, hub, target).returncode == 0
    newer(hub)
    done = fetch(machine, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == hub.files
    assert receipt(target, "m-00001-of-00002.gguf")[0] == hub.model.files[0].sha256
    assert "tiny: the new version has taken the place of the earlier one\n" in done.stdout
    assert not list(target.glob("**/*.part.receipt"))


def test_the_earlier_version_stays_until_the_new_one_is_whole(
    machine: Machine, hub: Hub, target: Path
) -> None:
    assert fetch(machine, hub, target).returncode == 0
    old = newer(hub)
    kept = hub.files.pop("q/m-00002-of-00002.gguf")
    failed = fetch(machine, hub, target)
    between = files(target)
    hub.files["q/m-00002-of-00002.gguf"] = kept
    asked = len(hub.ranges())
    done = fetch(machine, hub, target)

    assert failed.returncode == 1
    assert between.items() >= old.items()
    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files
    # The first one was whole, and is not fetched again.
    assert hub.ranges()[asked:] == ["0-59999"]


def test_an_adopted_version_is_set_aside_for_a_new_one(
    machine: Machine, hub: Hub, target: Path
) -> None:
    for name, content in hub.files.items():
        put(target / name, content)
    assert fetch(machine, hub, target).returncode == 0
    old = newer(hub)
    done = fetch(machine, hub, target)

    assert done.returncode == 0, done.stderr
    assert set_aside(target) == old
    assert files(target).items() >= hub.files.items()


@pytest.mark.parametrize("killed_at", ["mv", "rm"])
def test_a_switch_that_is_cut_off_never_leaves_splits_of_two_versions(
    one_machine: Machine, hub: Hub, killed_at: str
) -> None:
    """Killed before each command of the switch in turn."""
    target = one_machine.home / "tiny"
    assert fetch(one_machine, hub, target).returncode == 0
    old = newer(hub)
    seen = set()
    real = shutil.which(killed_at)
    one_machine.program(
        killed_at,
        f'case "$*" in *q/m-00002-of-00002.gguf*) kill -9 $PPID; exit 1 ;; esac\nexec {real} "$@"',
    )
    killed = fetch(one_machine, hub, target)
    now = files(target)
    for name in hub.files:
        seen |= {"old"} if now.get(name) == old[name] else set()
        seen |= {"new"} if now.get(name) == hub.files[name] else set()
    (one_machine.bin / killed_at).unlink()
    done = fetch(one_machine, hub, target)

    assert killed.returncode != 0
    assert len(seen) <= 1
    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files


# -- Several pieces at once

LARGE = os.urandom(5_000_000)
PIECES = ["0-1048575", "1048576-2097151", "2097152-3145727", "3145728-4194303", "4194304-4999999"]


@pytest.fixture
def large(serve: Callable[..., Server]) -> Iterator[Hub]:
    hub = Hub(serve, {"large.gguf": LARGE, "m.gguf": FIRST})
    yield hub
    hub.release.set()


@pytest.mark.parametrize("connections", [1, 3, 8])
def test_each_piece_is_fetched_once(
    machine: Machine, large: Hub, target: Path, connections: int
) -> None:
    done = fetch(machine, large, target, connections=connections)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == large.files
    assert sorted(large.ranges()) == sorted([*PIECES, ALL_FIRST])


def test_pieces_that_all_end_between_two_looks_are_fetched_once(
    one_machine: Machine, large: Hub
) -> None:
    """A join takes none that its own connection has not been seen to end."""
    one_machine.program("sleep", f"exec {shutil.which('sleep')} 1")
    target = one_machine.home / "tiny"
    done = fetch(one_machine, large, target, connections=8)

    assert (done.returncode, done.stderr) == (0, "")
    assert "interrupted" not in done.stdout
    assert files(target) == large.files
    assert sorted(large.ranges()) == sorted([*PIECES, ALL_FIRST])


def test_as_many_are_under_way_as_there_are_connections(one_machine: Machine, large: Hub) -> None:
    target = one_machine.home / "tiny"
    for _ in range(8):
        large.hang(after=1000)
    process = one_machine.start("fetch", *large.words(target, connections=4))
    wait_for(lambda: len(large.ranges()) == 4)
    time.sleep(0.5)
    under_way = large.ranges()
    large.release.set()
    process.communicate(timeout=20)

    assert sorted(under_way) == PIECES[:4]
    assert process.returncode == 0
    assert files(target) == large.files


def test_pieces_that_an_earlier_run_left_are_used(
    machine: Machine, large: Hub, target: Path
) -> None:
    """The beginning, a whole piece further on, and one that had just begun."""
    at = part(large, target)
    put(at, LARGE[:1048576])
    put(Path(f"{at}.3145728"), LARGE[3145728:4194304])
    put(Path(f"{at}.4194304"), LARGE[4194304:4200000])
    done = fetch(machine, large, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == large.files
    assert large.ranges() == [*PIECES[1:3], "4200000-4999999", ALL_FIRST]


@pytest.mark.parametrize("joined", [0, 1, 500_000, 1048576])
def test_a_join_that_was_cut_off_is_finished(
    machine: Machine, large: Hub, target: Path, joined: int
) -> None:
    """The second piece is whole, and some of it stands behind the first already."""
    at = part(large, target)
    put(at, LARGE[: 1048576 + joined])
    put(Path(f"{at}.1048576"), LARGE[1048576:2097152])
    done = fetch(machine, large, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == large.files
    assert large.ranges() == [*PIECES[2:], ALL_FIRST]


def test_a_beginning_that_ends_within_a_piece_is_used(
    machine: Machine, large: Hub, target: Path
) -> None:
    put(part(large, target), LARGE[:1_500_000])
    done = fetch(machine, large, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == large.files
    assert large.ranges() == ["1500000-2097151", *PIECES[2:], ALL_FIRST]


def test_a_piece_that_is_too_large_is_fetched_anew(
    machine: Machine, large: Hub, target: Path
) -> None:
    put(Path(f"{part(large, target)}.1048576"), bytes(1048577))
    assert fetch(machine, large, target).returncode == 0

    assert files(target) == large.files
    assert sorted(large.ranges()) == sorted([*PIECES, ALL_FIRST])


def test_drops_are_resumed_within_each_piece(one_machine: Machine, large: Hub) -> None:
    target = one_machine.home / "tiny"
    for _ in range(3):
        large.drop(after=100_000)
    done = fetch(one_machine, large, target, connections=3)

    assert done.returncode == 0, done.stderr
    assert files(target) == large.files
    assert len(large.ranges()) == 9


def test_retry_after_is_honoured_by_all_connections(one_machine: Machine, large: Hub) -> None:
    target = one_machine.home / "tiny"
    slept = one_machine.home / "slept"
    one_machine.program("sleep", f"echo $1 >>{quoted(slept)}; exec {shutil.which('sleep')} 0.01")
    large.refuse(429, retry_after=30)
    done = fetch(one_machine, large, target)

    assert done.returncode == 0, done.stderr
    assert "interrupted (curl exit 22, HTTP 429), resuming in 30 s" in done.stdout
    assert sum(float(line) for line in slept.read_text().split()) >= 30
    assert files(target) == large.files


@pytest.mark.parametrize("said", ["Wed, 21 Oct 2026 07:28:00 GMT", "-5", "soon"])
def test_a_retry_after_that_is_no_number_of_seconds_does_not_matter(
    one_machine: Machine, hub: Hub, said: str
) -> None:
    hub.refuse(429, retry_after=said)
    done = fetch(one_machine, hub, one_machine.home / "tiny")

    assert done.returncode == 0, done.stderr
    assert "resuming in 3 s" in done.stdout


# -- Room


def test_too_little_room_ends_it_before_the_first_byte(
    machine: Machine, hub: Hub, target: Path
) -> None:
    machine.program("df", "echo '/dev/disk3s5 900 825 75 92% /System/Volumes/Data'")
    done = fetch(machine, hub, target)

    assert done.returncode == 1
    assert "tiny: 0.1 MiB are still to be fetched, but 0.1 MiB are free" in done.stderr
    assert hub.ranges() == []


def test_what_is_there_of_a_file_needs_no_room(machine: Machine, hub: Hub, target: Path) -> None:
    machine.program("df", "echo '/dev/disk3s5 900 825 75 92% /System/Volumes/Data'")
    put(part(hub, target), FIRST)
    put(Path(f"{part(hub, target, 1)}"), SECOND[:40_000])
    done = fetch(machine, hub, target)

    assert (done.returncode, done.stderr) == (0, "")


# -- The token


def test_the_token_reaches_the_hub_and_shows_nowhere(one_machine: Machine, hub: Hub) -> None:
    target = one_machine.home / "tiny"
    hub.hang(after=10_000)
    process = one_machine.start("fetch", *hub.words(target), stdin=token_options(TOKEN).getvalue())
    wait_for(lambda: size(part(hub, target)))
    listed = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True).stdout
    hub.release.set()
    output, _ = process.communicate(timeout=20)

    assert process.returncode == 0, output
    assert "--range 0-29999" in listed
    assert TOKEN not in listed
    assert TOKEN not in output
    assert all(h["Authorization"] == f"Bearer {TOKEN}" for _, h in hub.server.asked)
    assert not any(TOKEN.encode() in content for content in files(target).values())


def test_without_a_token_none_is_sent(machine: Machine, hub: Hub, target: Path) -> None:
    fetch(machine, hub, target)

    assert not any("Authorization" in headers for _, headers in hub.server.asked)


# -- Other runs, and the end of this one


def wait_for(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether a process runs; one that nobody waited for yet does not."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return done.stdout.strip() not in {"", "Z", "Z+"}


def curls(hub: Hub) -> list[int]:
    """Processes of curl that fetch from this hub."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True)
    return [
        int(line.split()[0])
        for line in listed.stdout.splitlines()
        if line.split()[1:2] == ["curl"] and hub.server.url in line
    ]


def test_a_later_run_takes_over_and_the_earlier_one_ends(
    machine: Machine, hub: Hub, target: Path
) -> None:
    """The earlier run's output is still read, as after a lost connection that nobody noticed."""
    hub.hang(after=10_000)
    earlier = machine.start("fetch", *hub.words(target))
    wait_for(lambda: size(part(hub, target)))
    done = fetch(machine, hub, target)
    output, _ = earlier.communicate(timeout=10)

    assert done.returncode == 0, done.stderr
    assert "taking over from an earlier run" in done.stdout
    assert earlier.returncode == 1
    assert "a later run has taken over" in output
    assert re.fullmatch(r"[1-9]\d*-29999", hub.ranges()[1])
    assert len(hub.ranges()) == 3
    assert files(target) == hub.files


def test_a_process_that_only_has_the_number_of_an_earlier_run_is_left_alone(
    machine: Machine, hub: Hub, target: Path
) -> None:
    put(Path(f"{part(hub, target)}.pid"), str(os.getpid()).encode())
    done = fetch(machine, hub, target)

    assert done.returncode == 0
    assert "taking over" not in done.stdout
    assert files(target) == hub.files


def test_a_number_of_a_process_that_is_gone_or_none_at_all_does_not_matter(
    machine: Machine, hub: Hub, target: Path
) -> None:
    put(Path(f"{part(hub, target)}.pid"), b"999999\n")
    put(Path(f"{part(hub, target, 1)}.pid"), b"")
    done = fetch(machine, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == hub.files


def test_what_a_run_left_that_was_taken_over_at_the_very_end_is_cleared_away(
    machine: Machine, hub: Hub, target: Path
) -> None:
    """Its bytes were all there, so nothing is fetched that would clear it."""
    put(part(hub, target), FIRST)
    for leftover in ("pid", "status"):
        put(Path(f"{part(hub, target)}.{leftover}"), b"206")
    done = fetch(machine, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == hub.files


def test_a_run_whose_connection_is_gone_stops_and_leaves_its_part(
    machine: Machine, hub: Hub, target: Path
) -> None:
    hub.hang(after=10_000)
    process = machine.start("fetch", *hub.words(target))
    assert process.stdout
    # The first line of progress shows that it prints; then nobody reads any more.
    assert "MiB/s" in process.stdout.readline()
    assert curls(hub)
    process.stdout.close()
    process.wait(timeout=10)

    assert process.returncode != 0
    wait_for(lambda: not curls(hub))
    assert size(part(hub, target))
    assert FIRST.startswith(Path(f"{part(hub, target)}.0").read_bytes())


@pytest.mark.parametrize("signal", ["TERM", "HUP", "INT"])
def test_a_run_that_is_told_to_stop_takes_its_curl_along(
    one_machine: Machine, hub: Hub, signal: str
) -> None:
    target = one_machine.home / "tiny"
    hub.hang(after=10_000)
    process = one_machine.start("fetch", *hub.words(target))
    wait_for(lambda: curls(hub))
    (curl,) = curls(hub)
    subprocess.run(["kill", f"-{signal}", str(process.pid)], check=True)
    process.communicate(timeout=10)

    assert process.returncode == 1
    assert not lives(curl)


def test_progress_is_told_in_bytes_rate_and_time_left(one_machine: Machine, hub: Hub) -> None:
    target = one_machine.home / "tiny"
    put(target / "m-00001-of-00002.gguf", FIRST)
    hub.hang(after=20_000)
    process = one_machine.start("fetch", *hub.words(target))
    assert process.stdout
    lines = [process.stdout.readline()]
    wait_for(lambda: size(part(hub, target, 1)))
    # A second must pass before there is a rate.
    time.sleep(1.1)
    lines += [process.stdout.readline() for _ in range(12)]
    hub.release.set()
    rest, _ = process.communicate(timeout=10)

    assert lines[0] == "tiny: resuming at 0.0 MiB of 0.1 MiB\n"
    shape = r"tiny: \d+%, \d+\.\d [MG]iB of 0\.1 MiB, \d+\.\d MiB/s(, \d+:\d\d:\d\d left)?\n"
    assert all(re.fullmatch(shape, line) for line in lines[1:])
    assert 37 < int(re.findall(r"(\d+)%", lines[-1])[0]) <= 62
    assert any(" left" in line for line in [*lines, *rest.splitlines()])
    assert rest.endswith("tiny: complete, 0.1 MiB\n")
