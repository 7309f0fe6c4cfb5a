"""Several Macs: a fleet fetches each file from the Hub once, and nobody waits for ever."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fetcher.spec import File
from fetcher.who_fetches import order
from tests.fetcher.conftest import (
    LONG,
    STEADY,
    Program,
    files,
    fleet,
    have,
    leave,
    model,
    sha256,
    spec,
    wait_for,
)  # fmt: skip
from tests.fetcher.servers import KEY, Hub, Proxy

TOKEN = "hf_0123456789abcdef"
BIG = {f"q/big-{n:05}-of-00006.gguf": os.urandom(700_000 + n * 50_000) for n in range(1, 7)}
TOTAL = sum(map(len, BIG.values()))
ONE = {"one.gguf": os.urandom(2_500_000)}
((ONE_NAME, ONE_CONTENT),) = ONE.items()
SMALL = {"small.gguf": os.urandom(500_000)}


class Macs:
    """Macs with proxies; `run` starts the program on one."""

    def __init__(
        self, names: list[str], root: Path, program: Program, proxy: Callable[[Path], Proxy]
    ) -> None:
        self.program = program
        self.models = {name: root / name for name in names}
        self.proxies = {name: proxy(models) for name, models in self.models.items()}

    def target(self, name: str) -> Path:
        return self.models[name] / "big"

    def urls(self) -> dict[str, str]:
        return {name: proxy.url for name, proxy in self.proxies.items()}

    def start(self, name: str, hub: Hub, **more: Any) -> subprocess.Popen[str]:
        told = {"peers": fleet(name, self.urls()), "connections": 2, "token": TOKEN, **more}
        return self.program.start(spec(model(hub, self.target(name), "big"), **told))

    def given(self) -> int:
        """Bytes from Mac to Mac."""
        return sum(proxy.sent for proxy in self.proxies.values())


Start = Callable[..., Macs]


@pytest.fixture
def macs(tmp_path: Path, program: Program, proxy: Callable[[Path], Proxy]) -> Start:
    return lambda *names: Macs([*names], tmp_path, program, proxy)


def turns(path: str, content: bytes, *names: str) -> list[str]:
    return order(File(path, len(content), sha256(content), ""), names)


def ended(process: subprocess.Popen[str], seconds: float = 120) -> str:
    """The output of a run that was to succeed."""
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, output
    return output


@pytest.mark.parametrize("rate", [0, 400_000])
def test_four_hosts_fetch_each_file_from_the_hub_once(
    serve: Callable[..., Hub], macs: Start, rate: float
) -> None:
    hub, four = serve(BIG), macs("mac1", "mac2", "mac3", "mac4")
    hub.rate = rate
    runs = {name: four.start(name, hub, patience=LONG) for name in four.models}
    outputs = {name: ended(run) for name, run in runs.items()}

    assert all(files(four.target(name)) == BIG for name in four.models)
    assert hub.sent <= 1.05 * TOTAL
    assert four.given() >= 2.95 * TOTAL
    assert any(" from the Hub)" in output for output in outputs.values())
    assert all("complete, 5.0 MiB (" in output for output in outputs.values())


def test_secrets_reach_only_who_they_are_for(serve: Callable[..., Hub], macs: Start) -> None:
    hub, two = serve(BIG), macs("mac1", "mac2")
    runs = [two.start(name, hub, patience=LONG) for name in two.models]
    outputs = "".join(map(ended, runs))

    assert hub.asked
    assert {headers.get("Authorization") for _, headers in hub.asked} == {f"Bearer {TOKEN}"}
    asked = [headers for proxy in two.proxies.values() for _, headers in proxy.asked]
    assert {headers.get("Authorization") for headers in asked} == {f"Bearer {KEY}"}
    assert TOKEN not in outputs
    assert KEY not in outputs


def test_a_host_that_comes_late_needs_no_hub(serve: Callable[..., Hub], macs: Start) -> None:
    hub, two = serve(BIG), macs("mac1", "mac2")
    ended(two.start("mac1", hub, peers=None))
    sent = hub.sent
    output = ended(two.start("mac2", hub))

    assert hub.sent == sent
    assert files(two.target("mac2")) == BIG
    assert output.endswith("big: complete, 5.0 MiB (5.0 MiB from mac1)\n")


def test_bytes_that_are_there_are_not_fetched_from_anybody(
    serve: Callable[..., Hub], macs: Start
) -> None:
    hub, two = serve(ONE), macs("mac1", "mac2")
    ended(two.start("mac1", hub, peers=None))
    leave(two.target("mac2"), ONE_NAME, ONE_CONTENT, (0, 1_000_000), (1_500_000, 2_500_000))
    ended(two.start("mac2", hub))

    assert two.given() == 500_000


def test_a_wait_is_told(serve: Callable[..., Hub], macs: Start) -> None:
    hub, two = serve(ONE), macs("mac1", "mac2")
    owner, other = turns(ONE_NAME, ONE_CONTENT, *two.models)
    hub.rate = 1_000_000
    runs = {name: two.start(name, hub, patience=LONG) for name in (owner, other)}
    outputs = {name: ended(run) for name, run in runs.items()}

    assert outputs[other].count(f"big: waiting for {owner}, which fetches {ONE_NAME}\n") == 1
    assert "waiting" not in outputs[owner]


def test_an_owner_that_is_killed_is_passed_over(serve: Callable[..., Hub], macs: Start) -> None:
    hub, three = serve(ONE), macs("mac1", "mac2", "mac3")
    owner, *others = turns(ONE_NAME, ONE_CONTENT, *three.models)
    hub.rate = 300_000
    runs = {name: three.start(name, hub, patience=STEADY) for name in three.models}
    wait_for(lambda: have(three.target(owner), ONE_NAME, ONE_CONTENT) > 0)
    runs[owner].kill()
    wait_for(lambda: runs[owner].poll() is not None)
    hub.rate = 0
    killed_at = hub.sent
    for name in others:
        ended(runs[name])

    assert all(files(three.target(name)) == ONE for name in others)
    # One of the two took it, and the other had it from that one.
    assert hub.sent <= killed_at + 1.05 * len(ONE_CONTENT) + 300_000


def test_a_mac_that_does_not_begin_is_passed_over(serve: Callable[..., Hub], macs: Start) -> None:
    """Its proxy answers, but nothing runs there."""
    hub, two = serve(ONE), macs("mac1", "mac2")
    _, other = turns(ONE_NAME, ONE_CONTENT, *two.models)
    ended(two.start(other, hub))

    assert files(two.target(other)) == ONE
    assert hub.sent == len(ONE_CONTENT)


def test_macs_that_are_not_there_are_not_waited_for(serve: Callable[..., Hub], macs: Start) -> None:
    """One refuses connections, one does not know the key, one never answers."""
    hub, some = serve(BIG), macs("mac1", "mac2", "mac3", "mac4")
    some.proxies["mac2"].close()
    some.proxies["mac3"].key = "another"
    some.proxies["mac4"].lists = False
    began = time.monotonic()
    ended(some.start("mac2", hub, peers=None))
    alone = time.monotonic() - began
    began = time.monotonic()
    ended(some.start("mac1", hub))

    assert time.monotonic() - began < 3 * alone + 5
    assert files(some.target("mac1")) == BIG
    assert hub.sent == 2 * TOTAL


def test_a_holder_that_fails_leaves_what_it_gave(serve: Callable[..., Hub], macs: Start) -> None:
    hub, two = serve(ONE), macs("mac1", "mac2")
    ended(two.start("mac1", hub, peers=None))
    sent = hub.sent
    given = []

    def damage(request: Any, content: bytes, start: int) -> bool:
        """The first piece comes whole, then each connection ends at once."""
        if given:
            request.close_connection = True
            return True
        given.append(start)
        return False

    two.proxies["mac1"].damage = damage
    output = ended(two.start("mac2", hub))

    assert files(two.target("mac2")) == ONE
    assert hub.sent - sent == len(ONE_CONTENT) - (1 << 20)
    assert "(1.0 MiB from mac1, 1.4 MiB from the Hub)" in output


def test_a_holder_that_is_busy_for_a_moment_is_no_reason_for_the_hub(
    serve: Callable[..., Hub], macs: Start
) -> None:
    hub, two = serve(ONE), macs("mac1", "mac2")
    ended(two.start("mac1", hub, peers=None))
    sent, refused = hub.sent, []

    def damage(request: Any, content: bytes, start: int) -> bool:
        if len(refused) >= 2:
            return False
        refused.append(start)
        two.proxies["mac1"].plain(request, 503)
        return True

    two.proxies["mac1"].damage = damage
    ended(two.start("mac2", hub))

    assert hub.sent == sent


def rotten(proxy: Proxy) -> None:
    """What it gives is all zeros, though its receipts say otherwise."""

    def damage(request: Any, content: bytes, start: int) -> bool:
        proxy.head(request, content, start)
        request.wfile.write(bytes(len(content) - start))
        return True

    proxy.damage = damage


def test_what_comes_wrong_from_others_comes_from_the_hub(
    serve: Callable[..., Hub], macs: Start
) -> None:
    hub, two = serve(ONE), macs("mac1", "mac2")
    ended(two.start("mac1", hub, peers=None))
    sent = hub.sent
    rotten(two.proxies["mac1"])
    output = ended(two.start("mac2", hub))

    wrong = f"its SHA-256 is {sha256(bytes(len(ONE_CONTENT)))}, not {sha256(ONE_CONTENT)}"
    mend = "run `make verify-models LIMIT=mac1` to mend it there"
    again = f"fetching it again from elsewhere; {mend}"
    assert f"{ONE_NAME}: arrived wrong from mac1, {wrong}: {again}\n" in output
    assert files(two.target("mac2")) == ONE
    assert hub.sent - sent == len(ONE_CONTENT)


def test_what_comes_wrong_from_one_comes_from_another(
    serve: Callable[..., Hub], macs: Start
) -> None:
    """Who gave nothing of it is no worse for that; it is there only when the first has given."""
    hub, three = serve(SMALL), macs("mac1", "mac2", "mac3")
    for name in ("mac1", "mac2"):
        ended(three.start(name, hub, peers=None))
    sent = hub.sent
    rotten(three.proxies["mac1"])
    wrong = three.proxies["mac1"].damage
    three.proxies["mac2"].lists = False

    def damage(*asked: Any) -> bool:
        three.proxies["mac2"].lists = True
        time.sleep(1)
        return bool(wrong and wrong(*asked))

    three.proxies["mac1"].damage = damage
    output = ended(three.start("mac3", hub))

    assert output.count("arrived wrong from mac1, ") == 1
    assert files(three.target("mac3")) == SMALL
    assert hub.sent == sent


def test_of_two_that_got_the_same_wrong_bytes_one_asks_the_hub(
    serve: Callable[..., Hub], macs: Start
) -> None:
    hub, three = serve(ONE), macs("mac1", "mac2", "mac3")
    ended(three.start("mac1", hub, peers=None))
    sent, hub.rate = hub.sent, 500_000
    rotten(three.proxies["mac1"])
    runs = [three.start(name, hub, patience=STEADY) for name in ("mac2", "mac3")]
    outputs = [ended(run) for run in runs]

    assert any("arrived wrong from mac1" in output for output in outputs)
    assert files(three.target("mac2")) == files(three.target("mac3")) == ONE
    # Two that begin at the same moment see it, and one stops.
    assert hub.sent - sent <= 1.2 * len(ONE_CONTENT)


def test_many_wrong_macs_leave_the_hub_its_attempts(serve: Callable[..., Hub], macs: Start) -> None:
    """A file of one piece comes from one of them after the other."""
    names = ["mac1", "mac2", "mac3"]
    hub, four = serve(SMALL), macs(*names, "mac4")
    for name in names:
        ended(four.start(name, hub, peers=None))
        rotten(four.proxies[name])
    sent = hub.sent
    output = ended(four.start("mac4", hub))

    assert all(output.count(f"arrived wrong from {name}, ") == 1 for name in names)
    assert files(four.target("mac4")) == SMALL
    assert hub.sent - sent == len(SMALL["small.gguf"])


def test_why_others_gave_nothing_is_told_once(serve: Callable[..., Hub], macs: Start) -> None:
    """One refuses connections, one does not know the key, one answers only later."""
    hub, some = serve(BIG), macs("mac1", "mac2", "mac3", "mac4")
    hub.rate = 1_000_000
    some.proxies["mac2"].close()
    some.proxies["mac3"].key = "another"
    some.proxies["mac4"].lists = False
    process = some.start("mac1", hub)
    wait_for(lambda: some.proxies["mac4"].asked)
    some.proxies["mac4"].lists = True
    output = ended(process)

    refused = f"mac2 does not answer at {some.proxies['mac2'].url} (connection refused)"
    unknown = "mac3 does not know this run's key (HTTP 401)"
    for fault in (refused, unknown):
        assert output.count(f"big: {fault}: the Hub is asked instead\n") == 1
    assert "mac4" not in output
    assert output.endswith("big: complete, 5.0 MiB (all from the Hub)\n")


def test_a_quick_run_tells_why_in_the_end(serve: Callable[..., Hub], macs: Start) -> None:
    hub, two = serve(ONE), macs("mac1", "mac2")
    two.proxies["mac2"].close()
    output = ended(two.start("mac1", hub, patience={}))

    assert [each.partition(" at ")[0] for each in output.splitlines()] == [
        "big: mac2 does not answer",
        "big: complete, 2.4 MiB (all from the Hub)",
    ]


def test_who_has_nothing_to_do_helps(serve: Callable[..., Hub], macs: Start) -> None:
    """One Mac is long at its first file; its others are fetched all the same."""
    hub, two = serve(BIG), macs("mac1", "mac2")
    slow, quick = "mac1", "mac2"
    mine = [p for p, c in BIG.items() if turns(p, c, *two.models)[0] == slow]
    hub.rate = 60_000
    run = two.start(slow, hub)
    wait_for(lambda: have(two.target(slow), mine[0], BIG[mine[0]]) > 0)
    hub.rate = 0
    other = two.start(quick, hub)
    wait_for(lambda: mine[-1] in files(two.target(quick)))

    assert mine[-1] not in files(two.target(slow))
    for process in (run, other):
        process.send_signal(signal.SIGINT)


def test_a_new_version_reaches_all_before_any_has_switched(
    serve: Callable[..., Hub], macs: Start
) -> None:
    """What is verified has no name yet while the earlier version has it, but others may have it."""
    names = ("mac1", "mac2", "mac3")
    hub, three = serve(dict(BIG)), macs(*names)
    for run in [three.start(name, hub, patience=LONG) for name in names]:
        ended(run)
    new = {path: os.urandom(len(content)) for path, content in BIG.items()}
    hub.files = new
    sent = hub.sent
    for run in [three.start(name, hub, patience=LONG) for name in names]:
        ended(run)

    assert all(files(three.target(name)) == new for name in names)
    assert hub.sent - sent <= 1.05 * TOTAL


def test_two_models_that_only_some_want(
    serve: Callable[..., Hub], macs: Start, tmp_path: Path
) -> None:
    """Each Mac has its own list; what both want comes once."""
    hub, two = serve({**BIG, **ONE}), macs("mac1", "mac2")
    documents = {
        "mac1": [model(hub, two.target("mac1"), "big", *BIG)],
        "mac2": [
            model(hub, two.models["mac2"] / "one", "one", *ONE),
            model(hub, two.target("mac2"), "big", *BIG),
        ],
    }
    runs = [
        two.program.start(spec(*models, peers=fleet(name, two.urls()), patience=STEADY))
        for name, models in documents.items()
    ]
    for run in runs:
        ended(run)

    assert files(two.target("mac1")) == files(two.target("mac2")) == BIG
    assert files(two.models["mac2"] / "one") == ONE
    assert hub.sent <= 1.05 * (TOTAL + len(ONE_CONTENT))
