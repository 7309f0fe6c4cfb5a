"""Another Mac that says what it likes, as it likes: it costs its own part, and nobody else's."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetcher import peer_list
from fetcher.slowness import Watch, sample_size
from tests.fetcher.conftest import PATIENCE, Program, files, fleet, model, sha256, spec
from tests.fetcher.servers import Hub, Proxy, Say, Wild

FILES = {"one.gguf": os.urandom(300_000)}
((NAME, CONTENT),) = FILES.items()
SHA = sha256(CONTENT)
SIZE = len(CONTENT)


def entry(**more: Any) -> dict[str, Any]:
    return {"sha256": SHA, "size": SIZE, "have": SIZE, **more}


def one(**more: Any) -> bytes:
    return json.dumps({"data": [entry(**more)]}).encode()


LISTS = {
    "infinite": one().replace(f'"have": {SIZE}'.encode(), b'"have": 1e999'),
    "infinity": one(have=float("inf")),
    "not-a-number": one(size=float("nan")),
    "negative": one(have=-1),
    "fraction": one(have=1.5),
    "whole-fraction": one(have=float(SIZE), size=float(SIZE)),
    "huge": one(size=10**30, have=10**29),
    "too-many-digits": b'{"data": [{"sha256": "%s", "size": %s}]}' % (SHA.encode(), b"9" * 9000),
    "words": one(size=str(SIZE), have=str(SIZE)),
    "truth": one(size=True, have=True),
    "nothing": one(have=None),
    "list": one(size=[SIZE]),
    "more-than-all": one(have=SIZE + 1),
    "no-hash": one(sha256=7),
    "upper-case": one(sha256=SHA.upper()),
    "line-break": one(sha256=SHA + "\n"),
    "digits-of-others": one(sha256="٣" * 64),
    "no-entry": b'{"data": [[]]}',
    "no-list": b'{"data": {"0": 1}}',
    "no-data": b"{}",
    "no-object": b"[]",
    "number": b"7",
    "nothing-at-all": b"",
    "half": one()[:-3],
    "two-documents": one() + one(),
    "brackets": b"[" * 900_000,
    "braces": b'{"data":' * 100_000,
    "many-brackets": b"[" * 3_000_000,
    "said-twice": one().replace(b"{", b'{"data": [], ', 1),
    "field-twice": one().replace(b'"have"', b'"have": 0, "have"'),
    "file-twice": json.dumps({"data": [entry(), entry(have=0)]}).encode(),
    "not-utf-8": one().replace(b"data", b"d\xffta"),
    "utf-16": one().decode().encode("utf-16"),
    "bom": b"\xef\xbb\xbf" + one(),
    "long": json.dumps({"data": [entry()], "more": " " * (2 << 20)}).encode(),
}
"""None of these is a list of files, though some look like one."""


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_what_is_no_list_of_files_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        peer_list.parse(text)


def test_a_list_may_have_what_we_do_not_know() -> None:
    text = json.dumps({"data": [entry(have=5, colour="red")], "version": 2})

    assert peer_list.parse(text.encode()) == {SHA: (5, SIZE)}


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_end_anything(text: bytes) -> None:
    try:
        found = peer_list.parse(text)
    except ValueError:
        return
    assert all(0 <= have <= size for have, size in found.values())


# -- The program, beside such a Mac

Run = Callable[..., tuple[str, float]]


@pytest.fixture
def strangers() -> Iterator[list[Wild]]:
    started: list[Wild] = []
    yield started
    for each in started:
        each.close()


@pytest.fixture
def run(strangers: list[Wild], serve: Callable[..., Hub], program: Program, tmp_path: Path) -> Run:
    """Runs a fetch beside a Mac that talks so; its output, and the seconds that it took."""

    def start(talk: Any, *, tls: bool = False, **more: Any) -> tuple[str, float]:
        wild, hub, target = Wild(talk), more.pop("hub", None) or serve(FILES), tmp_path / "target"
        strangers.append(wild)
        url = wild.url.replace("http:", "https:") if tls else wild.url
        others = {"stranger": url, **more.pop("others", {})}
        patience = {**PATIENCE, "compare": 2.0}
        document = spec(model(hub, target), peers=fleet("me", others), patience=patience, **more)
        began = time.monotonic()
        done = program.run(document, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        assert files(target) == hub.files
        return done.stdout, time.monotonic() - began

    return start


def answer(body: bytes, head: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (head, len(body), body)


def is_list(head: bytes) -> bool:
    return head.startswith(b"GET /files HTTP")


@pytest.mark.parametrize("name", ["infinite", "many-brackets", "half", "not-utf-8", "nothing"])
def test_a_list_that_is_none_costs_that_mac_only(run: Run, name: str) -> None:
    output, seconds = run(lambda head, say, _: say(answer(LISTS[name])))

    assert "stranger does not answer at " in output
    assert "with a list of files: the Hub is asked instead" in output
    assert seconds < 15


def test_an_honest_mac_gives_beside_one_that_is_not(
    run: Run, proxy: Callable[[Path], Proxy], serve: Callable[..., Hub], program: Program,
    tmp_path: Path,
) -> None:  # fmt: skip
    hub = serve(FILES)
    assert program.run(spec(model(hub, tmp_path / "honest/model"))).returncode == 0
    sent = hub.sent
    run(
        lambda head, say, _: say(answer(LISTS["infinite"])),
        hub=hub, others={"honest": proxy(tmp_path / "honest").url},
    )  # fmt: skip

    assert hub.sent == sent


def endless_head(head: bytes, say: Say, release: threading.Event) -> None:
    say(b"HTTP/1.1 200 OK\r\n")
    while not release.wait(0.05):
        say(b"X-More: yes\r\n")


def endless_line(head: bytes, say: Say, release: threading.Event) -> None:
    say(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not release.wait(0.01):
        say(b"x" * 1000)


def endless_chunks(head: bytes, say: Say, release: threading.Event) -> None:
    say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not release.wait(0.02):
        say(b"1\r\n \r\n")


def flood(head: bytes, say: Say, release: threading.Event) -> None:
    say(b"HTTP/1.1 200 OK\r\n\r\n")
    while not release.is_set():
        say(b" " * 65536)


def drops(head: bytes, say: Say, release: threading.Event) -> None:
    say(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
    while not release.wait(1):
        say(b" ")


def silent(head: bytes, say: Say, release: threading.Event) -> None:
    release.wait(60)


def short(head: bytes, say: Say, release: threading.Event) -> None:
    """Says that it is longer than it is."""
    say(answer(one()).replace(b"Length: ", b"Length: 9"))


def no_http(head: bytes, say: Say, release: threading.Event) -> None:
    say(b"220 ftp ready\r\n" * 3)


ENDLESS = [
    *(endless_line, endless_chunks, flood, short, no_http),
    # Each lasts as long as a run waits for anything.
    *(pytest.param(talk, marks=pytest.mark.soak) for talk in (endless_head, drops, silent)),
]


@pytest.mark.parametrize("talk", ENDLESS)
def test_an_answer_without_end_is_not_waited_for(run: Run, talk: Any) -> None:
    output, seconds = run(talk)

    assert "(all from the Hub)" in output
    assert "stranger does not answer" in output
    assert seconds < 20


def test_a_handshake_without_end_is_not_waited_for(run: Run) -> None:
    def talk(head: bytes, say: Say, release: threading.Event) -> None:
        release.wait(60)

    _, seconds = run(talk, tls=True)

    assert seconds < 20


@pytest.mark.parametrize("where", ["/files", "a file"])
def test_nobody_is_followed_to_where_a_mac_points(
    run: Run, strangers: list[Wild], where: str
) -> None:
    heard: list[bytes] = []
    elsewhere = Wild(lambda head, say, _: heard.append(head))
    strangers.append(elsewhere)

    def talk(head: bytes, say: Say, release: threading.Event) -> None:
        if is_list(head) and where != "/files":
            say(answer(one()))
        else:
            say(b"HTTP/1.1 307 Over there\r\nLocation: %s/\r\nContent-Length: 0\r\n\r\n"
                % elsewhere.url.encode())  # fmt: skip

    run(talk)

    assert heard == []


# -- Bytes of a file


def part(head: bytes) -> tuple[int, int]:
    asked = head.partition(b"Range: bytes=")[2].partition(b"\r\n")[0]
    start, end = asked.split(b"-")
    return int(start), int(end)


def giving(send: Callable[[int, int, Say, threading.Event], None]) -> Any:
    """Says that it has the file, and gives a part of it so."""

    def talk(head: bytes, say: Say, release: threading.Event) -> None:
        if is_list(head):
            say(answer(one()))
        else:
            send(*part(head), say, release)

    return talk


def head_of(start: int, end: int, size: object = SIZE, length: int | None = None) -> bytes:
    length = end - start + 1 if length is None else length
    told = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%s\r\n"
    told %= (start, end, str(size).encode())
    return told + b"Content-Length: %d\r\n\r\n" % length


def dripping(start: int, end: int, say: Say, release: threading.Event) -> None:
    """A byte of the file for each second."""
    say(head_of(start, end))
    for at in range(start, end + 1):
        say(CONTENT[at : at + 1])
        if release.wait(0.2):
            return


def dripping_heads(start: int, end: int, say: Say, release: threading.Event) -> None:
    say(b"HTTP/1.1 206 Partial Content\r\n")
    while not release.wait(0.2):
        say(b"X-More: yes\r\n")


def one_each(start: int, end: int, say: Say, release: threading.Event) -> None:
    """A byte of the file for each connection, which is progress."""
    say(head_of(start, end) + CONTENT[start : start + 1])


def shifted(start: int, end: int, say: Say, release: threading.Event) -> None:
    say(head_of(start + 1, end) + CONTENT[start + 1 : end + 1])


def of_another(start: int, end: int, say: Say, release: threading.Event) -> None:
    say(head_of(start, end, SIZE + 1) + CONTENT[start : end + 1])


def beyond(start: int, end: int, say: Say, release: threading.Event) -> None:
    """More than was asked for, without end."""
    say(head_of(start, end, length=10**15) + CONTENT[start : end + 1])
    while not release.wait(0.01):
        say(b"\0" * 65536)


def whole(start: int, end: int, say: Say, release: threading.Event) -> None:
    say(answer(CONTENT))


GIVERS = [
    *(dripping, shifted, of_another, beyond, whole),
    *(pytest.param(give, marks=pytest.mark.soak) for give in (dripping_heads, one_each)),
]


@pytest.mark.parametrize("give", GIVERS)
def test_a_giver_that_does_not_give_is_not_waited_for(run: Run, give: Any) -> None:
    _, seconds = run(giving(give))

    assert seconds < 20


def growing(step: Callable[[float], int]) -> Any:
    """Says that it fetches the file, and how far it is, by the seconds since it was first asked;
    its growth is told anew for each question."""
    began = time.monotonic()

    def talk(head: bytes, say: Say, release: threading.Event) -> None:
        have = max(0, min(step(time.monotonic() - began), SIZE - 1))
        say(answer(one(have=have)))

    return talk


def one_more(start: int) -> Callable[[float], int]:
    """At each question."""
    asked = count(start)
    return lambda _: next(asked)


PROGRESS: dict[str, Callable[[float], int]] = {
    "one more at each poll": one_more(1),
    "one more at each poll, in the middle": one_more(SIZE // 2),
    "up and down": lambda s: SIZE // 2 + 1000 * (int(s * 10) % 2),
    "a jump, then next to nothing": lambda s: int(min(s, 0.5) * SIZE) + int(s * 100),
    "slower than the Hub": lambda s: int(s * SIZE / 120),
}


# Of what does not move, and of what moves too slowly; each of them is of the soak.
FEW = ("one more at each poll", "slower than the Hub")


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, id=name, marks=[] if name in FEW else [pytest.mark.soak])
        for name, step in PROGRESS.items()
    ],
)
def test_progress_slower_than_the_hub_s_is_not_waited_for(
    run: Run, step: Callable[[float], int]
) -> None:
    output, seconds = run(growing(step))

    told = f"{NAME}: slower from stranger than from the Hub: fetching it elsewhere"
    assert told in output
    assert "(all from the Hub)" in output
    assert seconds < 20


def test_one_that_comes_and_goes_is_not_waited_for(run: Run) -> None:
    """Never long enough away to be gone, and each time as if it had just begun."""
    asked: list[bytes] = []

    def talk(head: bytes, say: Say, release: threading.Event) -> None:
        asked.append(head)
        match len(asked) % 4:
            case 0:
                say(answer(b'{"data": []}'))
            case 1 | 2:
                say(answer(one(have=len(asked))))

    _, seconds = run(talk)

    assert seconds < 20


@pytest.mark.soak
def test_one_that_has_us_make_way_again_and_again_is_left(
    run: Run, serve: Callable[..., Hub]
) -> None:
    """All but whole, and for one question in a while as if it had nothing: too short for the Hub
    to give much meanwhile, and each time a new comparison begins."""
    hub, asked = serve(FILES), count()
    hub.rate = 20_000

    def talk(head: bytes, say: Say, release: threading.Event) -> None:
        begun = next(asked) % 12
        say(answer(one(have=SIZE - 1) if begun else b'{"data": []}'))

    output, _ = run(talk, hub=hub)

    assert f"{NAME}: slower from stranger than from the Hub: fetching it elsewhere" in output
    assert next(asked) < 200


def test_the_slow_one_of_two_givers_is_left(
    run: Run, proxy: Callable[[Path], Proxy], serve: Callable[..., Hub], program: Program,
    tmp_path: Path,
) -> None:  # fmt: skip
    hub = serve(FILES)
    assert program.run(spec(model(hub, tmp_path / "honest/model"))).returncode == 0
    sent = hub.sent
    run(giving(dripping), hub=hub, others={"honest": proxy(tmp_path / "honest").url})

    # But for a sample, if the honest one was not seen first.
    assert hub.sent - sent <= sample_size(SIZE)


# -- The comparison


def test_a_fleet_on_a_slow_line_goes_on_sharing() -> None:
    """The sample has a share of the line, while the other Mac's connections have the rest."""
    watch = Watch(0.0, 60.0)
    for second in range(0, 61, 5):
        watch.note("mac1", second * 1000)

    assert not watch.is_due(59.0)
    assert watch.is_due(60.0)
    assert not watch.is_slower(60.0, left=940_000, missing=1_000_000, hub=1000 / 2)
    # And it is not asked again so soon.
    assert not watch.is_due(179.0)
    assert watch.is_due(180.0)


def test_what_is_lost_and_gained_again_is_no_gain() -> None:
    watch = Watch(0.0, 60.0)
    for second in range(60):
        watch.note("mac1", 100_000 * (second % 2))
    watch.is_slower(60.0, left=1, missing=1_000_000, hub=1.0)
    for second in range(60, 180):
        watch.note("mac1", 100_000 * (second % 2))

    assert watch.is_slower(180.0, left=1, missing=1_000_000, hub=1000.0)


@pytest.mark.parametrize(
    ("size", "sample"), [(0, 0), (10_000, 10_000), (10**6, 16 << 10), (10**11, 8 << 20)]
)
def test_a_sample_is_small(size: int, sample: int) -> None:
    assert sample_size(size) == sample
