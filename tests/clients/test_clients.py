"""Real clients, set up as docs/clients.md says, against a deployed Mac of the lab.

Nothing but the package index is asked for on the way out, and that only to install them.
"""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import llama_server
from lab.sentence import SENTENCE
from tests.clients import page
from tests.clients.fence import Fence, fence
from tests.clients.installed import Missing, from_npm, from_pypi
from tests.clients.roster import ROSTER, Client
from tests.clients.served import KEYS, NAME, WRONG, Served

pytestmark = pytest.mark.soak
SECONDS = 400  # for one run: they start slowly where there is much else to do
Note = Callable[[str, object], None]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("lab"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def walls() -> Iterator[Fence]:
    with fence() as made:
        yield made


@pytest.fixture(params=ROSTER, ids=lambda client: client.heading)
def client(request: pytest.FixtureRequest, record_property: Note) -> Client:
    chosen: Client = request.param
    record_property("client", chosen.heading)
    return chosen


class Desk:
    """Somebody's computer: a client that is installed, and a home of its own."""

    def __init__(self, home: Path, client: Client, served: Served, walls: Fence) -> None:
        self._home, self._client, self._served, self._walls = home, client, served, walls
        self._programs = _programs(client.source)

    def set_up(self, model: str) -> list[str]:
        """Write the page's files, and return the command that the page shows."""
        client, address = self._client, self._served.address
        for path, mark in client.files.items():
            block = page.block(client.heading, mark)
            self._write(path, page.filled(block.text, address, model))
        for path, text in client.seeds.items():
            self._write(path, text)
        text = page.filled(page.block(client.heading, client.program).text, address, model)
        if client.program == "python":
            return [str(self._programs / "python"), "-c", text]
        if client.program == "js":
            modules = self._home / "work/node_modules"
            modules.parent.mkdir(exist_ok=True)
            modules.unlink(missing_ok=True)
            modules.symlink_to(self._programs.parent)
            self._write("work/hello.mjs", text)
            return ["node", "hello.mjs"]
        return ["sh", "-ec", text]

    def start(self, words: list[str], key: str) -> "subprocess.Popen[str]":
        """Run it as its user would, but without a terminal."""
        (self._home / "work").mkdir(exist_ok=True)
        path = os.pathsep.join(map(str, filter(None, (self._programs, "/usr/bin", "/bin"))))
        return subprocess.Popen(
            words,
            cwd=self._home / "work",
            env={
                **{"PATH": path, "HOME": str(self._home), "TMPDIR": str(self._home)},
                **{"NO_COLOR": "1", "LANG": "C.UTF-8", "HERD_API_KEY": key},
                **self._walls.environment,
                **self._client.quiet,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ask(self, model: str, key: str) -> tuple[str, str]:
        """What it printed and what it complained of, once it has ended."""
        return self.end(self.start(self.set_up(model), key))

    def end(self, process: "subprocess.Popen[str]") -> tuple[str, str]:
        try:
            return process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            # What it left behind in sessions of their own may hold the pipes for ever.
            with contextlib.suppress(subprocess.TimeoutExpired):
                out, err = process.communicate(timeout=5)
                pytest.fail(f"it went on after {SECONDS} s:\n{out}\n{err}"[-3000:], pytrace=False)
            pytest.fail(f"it went on after {SECONDS} s, and left others behind", pytrace=False)

    def version(self) -> str:
        """What the client says of itself."""
        words = self._client.version
        if self._client.program == "python":
            code = f"import importlib.metadata as m; print(m.version({words!r}))"
            told = self.end(self.start([str(self._programs / "python"), "-c", code], ""))[0]
        elif self._client.program == "js":
            told = (self._programs.parent / words / "package.json").read_text()
            told = re.findall(r'"version": "(.+?)"', told)[0]
        else:
            told = self.end(self.start(["sh", "-c", words], ""))[0]
        return re.findall(r"\d+\.\d+\.\d+", told)[0]

    def _write(self, path: str, text: str) -> None:
        file = self._home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def _programs(source: str) -> Path | None:
    try:
        return {"": lambda: None, "npm": from_npm}.get(source, lambda: from_pypi(source))()
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def desk(
    tmp_path: Path, client: Client, served: Served, walls: Fence, record_property: Note
) -> Iterator[Desk]:
    if client.route != Client.route and (lacking := llama_server.lacks()):
        pytest.skip(lacking)
    made = Desk(tmp_path, client, served, walls)
    walls.asked.clear()
    yield made
    record_property("asked", sorted(walls.asked))


def test_the_page_names_the_version_that_is_run(
    client: Client, desk: Desk, record_property: Note
) -> None:
    version = desk.version()
    record_property("version", version)

    told = page.version(client.heading)
    assert told == "yes" if client.heading == "curl" else version in told


@pytest.mark.parametrize("model", [NAME, page.MODEL], ids=["name", "alias"])
def test_it_says_the_sentence(client: Client, desk: Desk, served: Served, model: str) -> None:
    """Whole and streamed; an alias is booked as it was asked for."""
    before = len(served.requests("me"))
    out, err = desk.ask(model, KEYS["me"])

    assert out.count(SENTENCE) == client.answers, f"{out}\n{err}"
    asked = served.requests("me")[before:]
    assert {status for _, status, _ in asked} == {200}, asked
    assert {name for _, _, name in asked if name} == {model}, asked


def test_a_wrong_key_is_named_by_the_client_itself(client: Client, desk: Desk) -> None:
    out, err = desk.ask(NAME, WRONG)

    assert SENTENCE not in out
    assert re.search(client.wrong, out + err, re.S), f"{out}\n{err}"


def test_a_busy_key_is_waited_for(client: Client, desk: Desk, served: Served) -> None:
    """It is told 429, comes again by itself, and gets its answer when the other stream is over."""
    before = len(served.requests("busy"))
    with served.occupied():
        process = desk.start(desk.set_up(NAME), KEYS["busy"])
        served.await_refusal(before, process, SECONDS)
    out, err = desk.end(process)

    statuses = [status for _, status, _ in served.requests("busy")[before:]]
    assert 429 in statuses, f"{out}\n{err}"
    if client.retries:
        assert out.count(SENTENCE) == client.answers, f"{out}\n{err}"
    else:
        assert "rate_limit" in out


def test_a_spent_key_is_told_so(client: Client, desk: Desk, served: Served) -> None:
    """Its day is over; those that would wait for the next one are not asked."""
    if not client.spent:
        pytest.skip("it waits until tomorrow, as told")
    out, err = desk.ask(NAME, KEYS["spent"])

    assert served.requests("spent")[-1][1] == 429
    assert SENTENCE not in out
    assert re.search(client.spent, out + err, re.S), f"{out}\n{err}"
