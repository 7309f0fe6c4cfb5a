"""One job of the logged-in user."""

from herd.facts.launchd import Loaded
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
    command = Loaded().command(uid=501, label="com.example.llama").get_raw_value()

    assert command == "launchctl print gui/501/com.example.llama 2>&1 || true"
