"""One model from the Hub: files arrive whole and as they should be, whatever happens on the way."""

import os
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.core.samples import HOSTILE_NAMES
from tests.fetcher.conftest import (
    Done,
    Program,
    files,
    kept,
    leave,
    model,
    part_of,
    put,
    sha256,
    spec,
    wait_for,
)  # fmt: skip
from tests.fetcher.servers import COMMIT, Hub

Serve = Callable[[dict[str, bytes]], Hub]

ONE, TWO = "m-00001-of-00002.gguf", "q/m-00002-of-00002.gguf"
FIRST, SECOND = os.urandom(30_000), os.urandom(50_000)
ALL_FIRST, ALL_SECOND = "0-29999", "0-49999"
TOKEN = "hf_0123456789abcdef"


@pytest.fixture
def hub(serve: Serve) -> Hub:
    return serve({ONE: FIRST, TWO: SECOND})


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "my models" / "tiny"


def fetch(program: Program, hub: Hub, target: Path, **options: Any) -> Done:
    return program.run(spec(model(hub, target), **options))


def receipt(target: Path, name: str) -> list[str]:
    """Checksum, size, time, inode and origin."""
    return (target / ".herd" / f"{name}.receipt").read_text().split()


def aside(target: Path) -> dict[str, bytes]:
    """What was set aside, by the name that it had."""
    found = {n: c for n, c in files(target).items() if ".set-aside-" in n}
    return {name.partition(".set-aside-")[0]: content for name, content in found.items()}


def test_a_fresh_host_gets_every_file_and_nothing_else(
    program: Program, hub: Hub, target: Path
) -> None:
    done = fetch(program, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == hub.files
    assert kept(target) == {f"{name}.receipt" for name in hub.files}
    assert done.stdout == "tiny: complete, 78.1 KiB\n"
    assert hub.ranges() == [ALL_FIRST, ALL_SECOND]


def test_a_part_is_resumed_where_it_ended(program: Program, hub: Hub, target: Path) -> None:
    leave(target, ONE, FIRST, (0, 12345))
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files
    assert hub.ranges() == ["12345-29999", ALL_SECOND]
    assert done.stdout.startswith("tiny: resuming at 12.1 KiB of 78.1 KiB\n")


def test_a_part_that_has_all_bytes_is_only_put_in_place(
    program: Program, hub: Hub, target: Path
) -> None:
    leave(target, ONE, FIRST, (0, len(FIRST)))
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files
    assert hub.ranges() == [ALL_SECOND]


def test_bytes_without_a_journal_are_not_trusted(program: Program, hub: Hub, target: Path) -> None:
    put(part_of(target, ONE, FIRST), FIRST[:12345])
    assert fetch(program, hub, target).returncode == 0

    assert files(target) == hub.files
    assert hub.ranges() == [ALL_FIRST, ALL_SECOND]


def test_a_part_of_another_commit_is_not_touched(program: Program, hub: Hub, target: Path) -> None:
    other = target / f"{ONE}.0123456789ab.part"
    put(other, b"other")
    assert fetch(program, hub, target).returncode == 0

    assert other.read_bytes() == b"other"
    assert hub.ranges() == [ALL_FIRST, ALL_SECOND]


def test_whole_files_are_adopted(program: Program, hub: Hub, target: Path) -> None:
    for name, content in hub.files.items():
        put(target / name, content)
    done = fetch(program, hub, target)

    assert done.returncode == 0
    assert hub.ranges() == []
    assert {receipt(target, name)[-1] for name in hub.files} == {"adopted"}
    assert done.stdout.endswith("tiny: complete, 78.1 KiB\n")


def test_an_empty_file_arrives(program: Program, serve: Serve, target: Path) -> None:
    hub = serve({"empty": b"", ONE: FIRST})
    done = fetch(program, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == hub.files
    assert hub.ranges() == [ALL_FIRST]


def test_a_file_of_the_wrong_size_is_set_aside_and_replaced(
    program: Program, hub: Hub, target: Path
) -> None:
    """It begins anew, whatever other files are there."""
    put(target / TWO, SECOND)
    put(target / ONE, b"short")
    done = fetch(program, hub, target)

    assert done.returncode == 0
    assert "resuming" not in done.stdout
    assert f"{ONE}: wrong, it has 5 bytes, not 30000: set aside as" in done.stdout
    assert aside(target) == {ONE: b"short"}
    assert files(target).items() >= hub.files.items()


def test_a_directory_in_the_place_of_a_file_is_named_so(
    program: Program, hub: Hub, target: Path
) -> None:
    put(target / ONE / "inner", b"mine")
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert f"{ONE}: wrong, it is a directory: set aside as" in done.stdout
    assert (target / ONE).read_bytes() == FIRST
    assert [each.read_bytes() for each in target.glob("*set-aside*/inner")] == [b"mine"]


# -- What a Hub may answer


def test_an_answer_that_will_not_change_ends_it_with_the_reason(
    program: Program, serve: Serve, tmp_path: Path
) -> None:
    token = "it wants a token with access (HF_TOKEN on the workstation)"
    hubs = {status: serve({ONE: FIRST}) for status in (401, 403, 404, 416)}
    for status, hub in hubs.items():
        hub.refuse(status)
    done = program.run(
        spec(*(model(hub, tmp_path / str(status), f"m{status}") for status, hub in hubs.items()))
    )

    assert done.returncode == 1
    assert sorted(done.stderr.splitlines()) == [
        f"m401: {ONE}: the Hub answers 401: {token}",
        f"m403: {ONE}: the Hub answers 403: {token}",
        f"m404: {ONE}: the Hub answers 404 for {hubs[404].url_of(ONE)}",
        f"m416: {ONE}: the Hub has less than 30000 bytes at {hubs[416].url_of(ONE)}",
    ]
    assert all(len(hub.asked) == 1 for hub in hubs.values())
    assert not any(files(tmp_path / str(status)) for status in hubs)


def test_a_hub_that_is_busy_is_asked_again(program: Program, hub: Hub, target: Path) -> None:
    hub.refuse(503)
    hub.refuse(429)
    done = fetch(program, hub, target)

    assert done.returncode == 0
    assert files(target) == hub.files
    assert "interrupted (HTTP 503), resuming in 0 s" in done.stdout


def test_a_connection_that_drops_is_resumed(program: Program, hub: Hub, target: Path) -> None:
    hub.drop(after=10_000)
    hub.drop(after=15_000)
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files
    assert hub.ranges() == [ALL_FIRST, "10000-29999", "25000-29999", ALL_SECOND]


def test_many_drops_are_no_reason_to_stop_while_bytes_come(
    program: Program, hub: Hub, target: Path
) -> None:
    for _ in range(12):
        hub.drop(after=1000)
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files


def test_six_attempts_without_a_byte_end_it(program: Program, hub: Hub, target: Path) -> None:
    for _ in range(9):
        hub.refuse(500)
    done = fetch(program, hub, target)

    assert done.returncode == 1
    assert "no progress in 6 attempts (HTTP 500)" in done.stderr
    assert len(hub.asked) == 6


def test_a_connection_without_bytes_is_begun_anew(program: Program, hub: Hub, target: Path) -> None:
    hub.hang(after=10_000)
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert "interrupted (no byte in 2 s), resuming" in done.stdout
    assert hub.ranges() == [ALL_FIRST, "10000-29999", ALL_SECOND]


def test_a_hub_that_is_not_there_is_named_so(program: Program, hub: Hub, target: Path) -> None:
    document = spec(model(hub, target))
    hub.close()
    done = program.run(document)

    assert done.returncode == 1
    assert "no progress in 6 attempts (cannot connect: Connection refused)" in done.stderr


def test_a_server_that_cannot_resume_is_asked_for_the_whole(
    program: Program, hub: Hub, target: Path
) -> None:
    leave(target, ONE, FIRST, (0, 100))
    hub.ignore_range()
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target) == hub.files


def test_a_large_file_of_a_server_without_ranges_comes_over_one_connection(
    program: Program, serve: Serve, target: Path
) -> None:
    hub = serve({"large.gguf": LARGE})
    for _ in range(9):
        hub.ignore_range()
    done = fetch(program, hub, target, connections=3)

    assert (done.returncode, done.stderr) == (0, "")
    assert "large.gguf: the server knows no ranges" in done.stdout
    assert files(target) == hub.files
    assert hub.ranges()[-1] == "0-4999999"


def test_another_range_than_the_one_asked_for_is_not_written(
    program: Program, hub: Hub, target: Path
) -> None:
    """As of a cache that has it from a request before."""

    def fault(request: Any, content: bytes, start: int) -> None:
        hub.head(request, content, start + 10)
        hub.send(request, content[start + 10 :])

    hub.faults.append(fault)
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert "arrived wrong" not in done.stdout
    assert hub.ranges() == [ALL_FIRST, ALL_FIRST, ALL_SECOND]


def test_retry_after_is_honoured_by_all_connections(
    program: Program, serve: Serve, target: Path
) -> None:
    hub = serve({"large.gguf": LARGE})
    for _ in range(3):
        hub.refuse(429, retry_after=2)
    process = program.start(spec(model(hub, target), connections=3))
    wait_for(lambda: len(hub.asked) == 3)
    time.sleep(1.2)
    meanwhile = len(hub.asked)
    output, _ = process.communicate(timeout=20)

    assert meanwhile == 3
    assert process.returncode == 0
    strangers = "as often as it lets strangers ask: with HF_TOKEN on the workstation it lets more"
    assert output.count(f"HTTP 429 from the Hub, asked {strangers}; going on in 2 s") == 1
    assert "interrupted" not in output
    assert files(target) == hub.files


@pytest.mark.soak
def test_a_limit_that_is_used_up_is_waited_for(program: Program, hub: Hub, target: Path) -> None:
    """Without Retry-After, and more often than a connection is tried otherwise."""
    for _ in range(7):
        hub.refuse(429, ratelimit='"resolvers";r=0;t=1')
    process = program.start(spec(model(hub, target), connections=1, token="hf_ours"))
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    told = "asked as often as it lets the account of HF_TOKEN ask; going on in 1 s"
    assert output.count(told) == 7
    assert files(target) == hub.files


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_address_in_the_store_that_has_expired_is_asked_for_again(
    program: Program, serve: Serve, hub: Hub, target: Path, status: int
) -> None:
    """Only the Hub itself speaks of tokens."""
    store = serve(dict(hub.files))
    store.refuse(status)
    for _ in range(2):
        hub.redirect(store.url)
    done = fetch(program, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"interrupted (HTTP {status}, its address has expired)" in done.stdout
    assert files(target) == hub.files


def test_what_plain_http_does_not_give_is_told_at_once_and_adopted(
    program: Program, serve: Serve, hub: Hub, target: Path
) -> None:
    store = serve(dict(hub.files))
    store.refuse(400)
    hub.redirect(store.url)
    done = fetch(program, hub, target)

    where = f"--local-dir {shlex.quote(str(target))}"
    command = f"hf download owner/repo {ONE} --revision {COMMIT} {where}"
    assert done.returncode == 1
    assert f"`{command}` on the Mac; a deploy adopts it" in done.stderr
    assert len(store.asked) == 1

    (target / ONE).parent.mkdir(parents=True, exist_ok=True)
    (target / ONE).write_bytes(FIRST)  # as that command does
    asked = len(hub.asked)
    done = fetch(program, hub, target)
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(ONE in path for path, _ in hub.asked[asked:])


def test_a_retry_after_that_is_no_number_of_seconds_does_not_matter(
    program: Program, hub: Hub, target: Path
) -> None:
    for said in ("Wed, 21 Oct 2026 07:28:00 GMT", "-5", "soon"):
        hub.refuse(429, retry_after=said)
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("resuming in 0 s") == 3


# -- Names


def test_hostile_names_arrive_as_they_are(program: Program, serve: Serve, tmp_path: Path) -> None:
    hubs = {
        name: serve({f"a{file}.gguf": b"one", f"a{file}/b{file}.gguf": b"two"})
        for name, file in {name: name.replace("\\", "").strip() for name in HOSTILE_NAMES}.items()
    }
    models = [model(hub, tmp_path / f"{name}!", name) for name, hub in hubs.items()]
    done = program.run(spec(*models))

    assert (done.returncode, done.stderr) == (0, "")
    assert all(files(tmp_path / f"{name}!") == hub.files for name, hub in hubs.items())
    assert all(f"{name}: complete" in done.stdout for name in hubs)


def test_a_directory_that_cannot_be_made_is_named(
    program: Program, hub: Hub, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = fetch(program, hub, tmp_path / "file" / "below")

    assert done.returncode == 1
    assert f"tiny: cannot make {tmp_path}/file/below" in done.stderr


# -- Verification


@pytest.mark.parametrize("origin", ["fetched", "asked"])
def test_a_file_that_is_in_place_has_a_receipt(
    program: Program, hub: Hub, target: Path, origin: str
) -> None:
    assert fetch(program, hub, target, origin=origin).returncode == 0

    for name, content in hub.files.items():
        stat = (target / name).stat()
        mtime = f"{stat.st_mtime_ns // 10**9}.{stat.st_mtime_ns % 10**9:09}"
        expected = [sha256(content), str(stat.st_size), mtime, str(stat.st_ino), origin]
        assert receipt(target, name) == expected


def corrupt(path: Path, at: int = 1234) -> None:
    """As a disk does: nothing else tells."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_has_a_receipt_is_not_hashed_again(program: Program, hub: Hub, target: Path) -> None:
    """Its content is changed here behind its time and inode, which nothing else would do."""
    assert fetch(program, hub, target).returncode == 0
    corrupt(target / ONE)
    assert fetch(program, hub, target).returncode == 0

    assert files(target) != hub.files
    assert len(hub.ranges()) == 2


def test_asked_to_everything_is_hashed_again_and_mended(
    program: Program, hub: Hub, target: Path
) -> None:
    assert fetch(program, hub, target).returncode == 0
    corrupt(target / ONE)
    done = fetch(program, hub, target, again=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"{ONE}: wrong, its SHA-256 is" in done.stdout
    assert files(target).items() >= hub.files.items()
    assert hub.ranges() == [ALL_FIRST, ALL_SECOND, ALL_FIRST]
    (wrong,) = [name for name in files(target) if "set-aside" in name]
    # We had put it there, so we may remove it one day.
    assert receipt(target, wrong)[-1] == "fetched"


def test_a_wrong_file_of_somebody_is_set_aside_as_theirs(
    program: Program, hub: Hub, target: Path
) -> None:
    put(target / ONE, SECOND[:30_000])
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert aside(target) == {ONE: SECOND[:30_000]}
    assert not list(target.glob(".herd/*set-aside*"))
    assert files(target).items() >= hub.files.items()


def test_a_copy_of_a_directory_of_ours_is_verified_and_somebody_elses(
    program: Program, hub: Hub, target: Path, tmp_path: Path
) -> None:
    original = tmp_path / "original"
    assert fetch(program, hub, original).returncode == 0
    shutil.copytree(original, target)
    corrupt(target / ONE)
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert files(target).items() >= hub.files.items()
    assert receipt(target, TWO)[-1] == "adopted"
    assert receipt(target, ONE)[-1] == "fetched"


def test_a_byte_that_is_wrong_on_the_wire_does_not_reach_the_name(
    program: Program, hub: Hub, target: Path
) -> None:
    hub.corrupt()
    done = fetch(program, hub, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"{ONE}: arrived wrong, its SHA-256 is" in done.stdout
    assert files(target) == hub.files
    assert sorted(hub.ranges()) == [ALL_FIRST, ALL_FIRST, ALL_SECOND]


def test_a_file_that_arrives_wrong_three_times_ends_it(
    program: Program, hub: Hub, target: Path
) -> None:
    document = spec(model(hub, target, "tiny", ONE))
    document["models"][0]["files"][0]["sha256"] = "0" * 64
    done = program.run(document)

    assert done.returncode == 1
    assert f"{ONE}: arrived wrong three times, last with SHA-256 {sha256(FIRST)}" in done.stderr
    assert not (target / ONE).exists()
    assert len(hub.ranges()) == 3


def test_a_part_of_another_content_is_found_out(program: Program, hub: Hub, target: Path) -> None:
    leave(target, ONE, bytes(30_000), (0, 12345))
    for where in [*target.rglob("*.part"), *target.rglob("*.pieces")]:
        where.rename(str(where).replace(sha256(bytes(30_000))[:12], sha256(FIRST)[:12]))
    (journal,) = target.rglob("*.pieces")
    journal.write_text(journal.read_text().replace(sha256(bytes(30_000)), sha256(FIRST)))
    done = fetch(program, hub, target)

    assert done.returncode == 0, done.stderr
    assert "arrived wrong" in done.stdout
    assert hub.ranges()[0] == "12345-29999"
    assert files(target) == hub.files


# -- Several pieces at once

LARGE = os.urandom(5_000_000)
PIECES = ["0-1048575", "1048576-2097151", "2097152-3145727", "3145728-4194303", "4194304-4999999"]


@pytest.fixture
def large(serve: Serve) -> Hub:
    return serve({"large.gguf": LARGE, "m.gguf": FIRST})


@pytest.mark.parametrize("connections", [1, 3, 8])
def test_each_piece_is_fetched_once(
    program: Program, large: Hub, target: Path, connections: int
) -> None:
    done = fetch(program, large, target, connections=connections)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == large.files
    assert sorted(large.ranges()) == sorted([*PIECES, ALL_FIRST])


def test_as_many_are_under_way_as_there_are_connections(
    program: Program, large: Hub, target: Path
) -> None:
    for _ in range(8):
        large.hang(after=1000)
    process = program.start(spec(model(large, target), connections=4))
    wait_for(lambda: len(large.ranges()) == 4)
    time.sleep(0.5)
    under_way = large.ranges()
    large.release.set()
    process.communicate(timeout=20)

    assert sorted(under_way) == PIECES[:4]
    assert process.returncode == 0
    assert files(target) == large.files


def test_ranges_that_an_earlier_run_left_are_used(
    program: Program, large: Hub, target: Path
) -> None:
    """The beginning, a whole piece further on, and one that had just begun."""
    ranges = [(0, 1048576), (3145728, 4200000)]
    leave(target, "large.gguf", LARGE, *ranges)
    done = fetch(program, large, target)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == large.files
    assert large.ranges() == [*PIECES[1:3], "4200000-4999999", ALL_FIRST]


def test_drops_are_resumed_within_each_piece(program: Program, large: Hub, target: Path) -> None:
    for _ in range(3):
        large.drop(after=100_000)
    done = fetch(program, large, target, connections=3)

    assert done.returncode == 0, done.stderr
    assert files(target) == large.files
    assert len(large.ranges()) == 9


# -- Room


def test_too_little_room_ends_it_before_the_first_byte(
    program: Program, hub: Hub, target: Path
) -> None:
    document = spec(model(hub, target))
    document["models"][0]["files"][1]["size"] = 1 << 60
    done = program.run(document)

    assert done.returncode == 1
    assert "tiny: 1073741824.0 GiB are still to be fetched, but " in done.stderr
    assert " GiB are free" in done.stderr
    assert hub.ranges() == []


def test_what_is_there_of_a_file_needs_no_room(
    program: Program, hub: Hub, target: Path, tmp_path: Path
) -> None:
    """All but a little of a file that is larger than any disk."""
    path, size = "large.gguf", (1 << 42)
    document = spec(model(hub, target, "tiny", ONE))
    document["models"][0]["files"][0] |= {"path": path, "size": size}
    digest = sha256(FIRST)
    part = target / f"{path}.{digest[:12]}.part"
    put(part, b"")
    os.truncate(part, size - 10)
    journal = f'{{"sha256": "{digest}", "size": {size}, "have": 0, "ranges": [[0, {size - 10}]]}}'
    put(target / ".herd" / f"{path}.{digest[:12]}.pieces", journal.encode())
    done = program.run(document)

    # It is not the Hub's file, but it was asked for.
    assert "are still to be fetched" not in done.stderr
    assert hub.ranges() == [f"{size - 10}-{size - 1}"]


# -- The token


def test_the_token_reaches_the_hub_and_shows_nowhere(
    program: Program, hub: Hub, target: Path
) -> None:
    hub.refuse(500)
    done = fetch(program, hub, target, token=TOKEN)

    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert all(headers["Authorization"] == f"Bearer {TOKEN}" for _, headers in hub.asked)
    below = [path for path in target.rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in path.read_bytes() for path in below)


def test_without_a_token_none_is_sent(program: Program, hub: Hub, target: Path) -> None:
    fetch(program, hub, target)

    assert hub.asked
    assert not any("Authorization" in headers for _, headers in hub.asked)


def test_the_token_does_not_follow_a_redirect_to_another_origin(
    program: Program, hub: Hub, serve: Serve, target: Path
) -> None:
    """But it goes where the Hub sends us within itself."""
    storage = serve(hub.files)
    hub.redirect("")
    hub.redirect(storage.url, body=b"x" * 2000)
    hub.redirect(storage.url.replace("127.0.0.1", "localhost"))
    done = fetch(program, hub, target, token=TOKEN)

    assert (done.returncode, done.stderr) == (0, "")
    assert files(target) == hub.files
    assert len(storage.asked) == 2
    assert not any("Authorization" in headers for _, headers in storage.asked)
    assert all(headers["Authorization"] == f"Bearer {TOKEN}" for _, headers in hub.asked)


def test_passwords_of_the_mac_s_own_are_left_alone(
    program: Program, hub: Hub, target: Path
) -> None:
    home = Path(program.environment["HOME"])
    home.mkdir(parents=True, exist_ok=True)
    (home / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    (home / ".netrc").chmod(0o600)
    done = fetch(program, hub, target, token=TOKEN)

    assert (done.returncode, done.stderr) == (0, "")
    assert all(headers["Authorization"] == f"Bearer {TOKEN}" for _, headers in hub.asked)


def test_redirects_in_a_circle_end(program: Program, hub: Hub, target: Path) -> None:
    for _ in range(70):
        hub.redirect("")
    done = fetch(program, hub, target)

    assert done.returncode == 1
    assert "no progress in 6 attempts (more than 10 redirects)" in done.stderr


@pytest.mark.parametrize(
    ("location", "what"),
    [
        ("http://user@{host}/x", "a redirect to an address with a user in it"),
        ("http://user:word@{host}/x", "a redirect to an address with a user in it"),
        ("//user@{host}/x", "a redirect to an address with a user in it"),
        ("ftp://{host}/x", "a redirect to no address of http"),
        ("http://{host}:99999/x", "a redirect to no address of http"),
        ("http://[::1/x", "a redirect to no address of http"),
        ("http://[x]/", "a redirect to no address of http"),
        ("javascript:alert(1)", "a redirect to no address of http"),
        ("http://./x", "cannot connect: no address that can be asked"),
        ("http://a..b/x", "cannot connect: no address that can be asked"),
        ("http://127.1/x", "cannot connect: no address that can be asked"),
    ],
)
def test_a_redirect_to_no_plain_address_is_said_in_words(
    program: Program, hub: Hub, target: Path, location: str, what: str
) -> None:
    to = location.format(host=hub.url.removeprefix("http://"))
    for _ in range(10):
        hub.faults.append(lambda request, *_: hub.plain(request, 302, Location=to))
    done = program.run(spec(model(hub, target, "tiny", ONE), token=TOKEN))

    assert done.returncode == 1
    assert f"no progress in 6 attempts ({what})" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_hub_that_was_asked_too_often_and_says_no_time_is_given_up_with_what_helps(
    program: Program, tmp_path: Path, serve: Callable[[dict[str, bytes]], Hub]
) -> None:
    hub = serve({"m.gguf": b"x" * 100})
    for _ in range(9):
        hub.refuse(429)

    done = program.run(spec(model(hub, tmp_path / "m")))

    assert done.returncode == 1
    assert "m.gguf: no progress in 6 attempts (HTTP 429; asked as often as it lets" in done.stderr
    assert "HF_TOKEN" in done.stderr
    assert len(hub.asked) == 6
