"""fetch.sh: files arrive whole, whatever happens on the way."""

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from herd.core.secrets import token_options
from herd.core.transfers import Resolved
from tests.core.samples import HOSTILE_NAMES, resolved
from tests.scripts.conftest import Done, Machine, Server

FIRST, SECOND = os.urandom(30_000), os.urandom(50_000)
TOKEN = "hf_0123456789abcdef"


class Hub:
    """Serves files with ranges; `faults` are answered first, one a request."""

    def __init__(self, serve: Callable[..., Server], files: dict[str, bytes]) -> None:
        self.files = files
        self.faults: list[Callable[[Any, bytes, int], Any]] = []
        self.release = threading.Event()
        self.server = serve(self.answer)
        self.model: Resolved = resolved(
            [(path, len(content)) for path, content in files.items()], endpoint=self.server.url
        )

    def answer(self, path: str, request: Any) -> tuple[int, bytes] | None:
        name = path.partition(f"/resolve/{self.model.commit}/")[2]
        if name not in self.files:
            return 404, b"Entry not found"
        content = self.files[name]
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        if self.faults:
            said = self.faults.pop(0)(request, content, start)
            return said  # type: ignore[no-any-return]
        self.head(request, content, start)
        request.wfile.write(content[start:])
        return None

    def head(self, request: Any, content: bytes, start: int) -> None:
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
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

    def refuse(self, status: int) -> None:
        self.faults.append(lambda *_: (status, b"no"))

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
        self.faults.append(lambda request, content, start: (200, content))

    # -- The script

    def words(self) -> list[object]:
        model = self.model
        return [w for f in model.files for w in (f.path, model.part(f), f.size, model.url(f))]

    def ranges(self) -> list[str]:
        """Of each request: what part of the file it asked for."""
        return [headers.get("Range", "all") for _, headers in self.server.asked]


@pytest.fixture
def hub(serve: Callable[..., Server]) -> Iterator[Hub]:
    hub = Hub(serve, {"m-00001-of-00002.gguf": FIRST, "q/m-00002-of-00002.gguf": SECOND})
    yield hub
    hub.release.set()


@pytest.fixture
def target(machine: Machine) -> Path:
    return machine.home / "my models" / "tiny"


def fetch(machine: Machine, hub: Hub, target: Path, token: str | None = None) -> Done:
    stdin = token_options(token).getvalue()
    return machine.run("fetch", "my model", target, *hub.words(), stdin=stdin)


def part(hub: Hub, target: Path, number: int = 0) -> Path:
    return target / hub.model.part(hub.model.files[number])


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def size(path: Path) -> int:
    """Bytes of a file that may not be there yet; curl writes in blocks."""
    return path.stat().st_size if path.exists() else 0


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_fresh_host_gets_every_file_and_nothing_else(
    machine: Machine, hub: Hub, target: Path
) -> None:
    done = fetch(machine, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == hub.files
    assert done.stdout == "my model: complete, 0.1 MiB\n"
    assert hub.ranges() == ["all", "all"]


def test_a_part_is_resumed_where_it_ended(machine: Machine, hub: Hub, target: Path) -> None:
    put(part(hub, target), FIRST[:12345])
    done = fetch(machine, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files
    assert hub.ranges() == ["bytes=12345-", "all"]
    assert done.stdout.startswith("my model: resuming at 0.0 MiB of 0.1 MiB\n")


def test_a_part_that_has_all_bytes_is_only_put_in_place(
    machine: Machine, hub: Hub, target: Path
) -> None:
    put(part(hub, target), FIRST)
    assert fetch(machine, hub, target).returncode == 0

    assert files(target) == hub.files
    assert hub.ranges() == ["all"]


def test_a_part_that_is_too_large_is_begun_anew(machine: Machine, hub: Hub, target: Path) -> None:
    put(part(hub, target), FIRST + b"more")
    assert fetch(machine, hub, target).returncode == 0

    assert files(target) == hub.files
    assert hub.ranges() == ["all", "all"]


def test_a_part_of_another_commit_is_not_touched(machine: Machine, hub: Hub, target: Path) -> None:
    other = target / "m-00001-of-00002.gguf.0123456789ab.part"
    put(other, b"other")
    assert fetch(machine, hub, target).returncode == 0

    assert other.read_bytes() == b"other"
    assert hub.ranges() == ["all", "all"]


def test_whole_files_are_adopted(machine: Machine, hub: Hub, target: Path) -> None:
    for name, content in hub.files.items():
        put(target / name, content)
    done = fetch(machine, hub, target)

    assert done.returncode == 0
    assert hub.ranges() == []
    assert done.stdout.endswith("my model: complete, 0.1 MiB\n")


def test_a_file_of_the_wrong_size_is_replaced(machine: Machine, hub: Hub, target: Path) -> None:
    put(target / "m-00001-of-00002.gguf", b"short")
    assert fetch(machine, hub, target).returncode == 0

    assert files(target) == hub.files


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
    assert f"my model: m-00001-of-00002.gguf: {words}" in done.stderr
    assert len(hub.server.asked) == 1
    assert "m-00001-of-00002.gguf" not in files(target)


def test_a_hub_that_is_busy_is_asked_again(machine: Machine, hub: Hub, target: Path) -> None:
    hub.refuse(503)
    hub.refuse(429)
    done = fetch(machine, hub, target)

    assert done.returncode == 0
    assert files(target) == hub.files
    assert "interrupted (curl exit 22, HTTP 503), resuming" in done.stdout


def test_a_connection_that_drops_is_resumed(machine: Machine, hub: Hub, target: Path) -> None:
    hub.drop(after=10_000)
    hub.drop(after=15_000)
    done = fetch(machine, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files
    assert hub.ranges() == ["all", "bytes=10000-", "bytes=25000-", "all"]


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


# -- The token


def test_the_token_reaches_the_hub_and_shows_nowhere(one_machine: Machine, hub: Hub) -> None:
    target = one_machine.home / "tiny"
    hub.hang(after=10_000)
    process = one_machine.start(
        "fetch", "tiny", target, *hub.words(), stdin=token_options(TOKEN).getvalue()
    )
    wait_for(lambda: size(part(hub, target)))
    listed = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True).stdout
    hub.release.set()
    output, _ = process.communicate(timeout=20)

    assert process.returncode == 0, output
    assert f"--output {part(hub, target).name}" in listed
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
    earlier = machine.start("fetch", "tiny", target, *hub.words())
    wait_for(lambda: size(part(hub, target)))
    done = fetch(machine, hub, target)
    output, _ = earlier.communicate(timeout=10)

    assert done.returncode == 0, done.stderr
    assert "taking over from an earlier run" in done.stdout
    assert earlier.returncode == 1
    assert "a later run has taken over" in output
    assert re.fullmatch(r"bytes=[1-9]\d*-", hub.ranges()[1])
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
    process = machine.start("fetch", "tiny", target, *hub.words())
    assert process.stdout
    # The first line of progress shows that it prints; then nobody reads any more.
    assert "MiB/s" in process.stdout.readline()
    assert curls(hub)
    process.stdout.close()
    process.wait(timeout=10)

    assert process.returncode != 0
    wait_for(lambda: not curls(hub))
    assert size(part(hub, target))
    assert FIRST.startswith(part(hub, target).read_bytes())


@pytest.mark.parametrize("signal", ["TERM", "HUP", "INT"])
def test_a_run_that_is_told_to_stop_takes_its_curl_along(
    one_machine: Machine, hub: Hub, signal: str
) -> None:
    target = one_machine.home / "tiny"
    hub.hang(after=10_000)
    process = one_machine.start("fetch", "tiny", target, *hub.words())
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
    process = one_machine.start("fetch", "tiny", target, *hub.words())
    assert process.stdout
    lines = [process.stdout.readline()]
    wait_for(lambda: part(hub, target, 1).exists())
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
