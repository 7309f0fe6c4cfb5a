"""One job of the logged-in user."""

from herd.core.mac.launchd import Started
from herd.facts.launchd import HowStarted, Installed, Loaded
from tests.core.mac.test_launchd import PATH, RUNNING


def test_a_loaded_job_is_read() -> None:
    job = Loaded().process(RUNNING.splitlines())

    assert job is not None
    assert (job.path, job.pid) == (PATH, 3246)


def test_a_job_that_is_not_loaded_is_none() -> None:
    assert Loaded.default() is None
    assert Loaded().process(["Bad request.", "Could not find service"]) is None


def test_the_session_of_the_console_is_asked_not_that_of_ssh() -> None:
    """`launchctl list` over SSH would show the jobs of another domain."""
    command = Loaded().command(target="gui/501/com.example.llama").get_raw_value()

    assert command == "launchctl print gui/501/com.example.llama 2>&1 || true"


DEVICES = ["Available devices:", "  MTL0: Apple M1 (10922 MiB, 10922 MiB free)"]


def test_how_a_daemon_was_started_is_what_it_noted() -> None:
    noted = ["started", "0123456789abcdef", "virtual 0", *DEVICES]

    assert HowStarted().process(noted) == Started("0123456789abcdef", tuple(DEVICES))
    assert HowStarted().process(["quarantined", *noted]).quarantined
    assert HowStarted().process(["started", "00", "virtual 1"]).virtual
    assert HowStarted().process(["started"]) == Started() == HowStarted.default()


def test_installed_jobs_are_told_by_their_kind() -> None:
    lines = ["Agents\tcom.a.proxy", "Daemons\tcom.a.proxy"]

    assert Installed().process(lines) == [("Agents", "com.a.proxy"), ("Daemons", "com.a.proxy")]
