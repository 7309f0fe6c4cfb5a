"""What launchd has loaded, read from `launchctl print`.

The first output is a published capture (macOS 26, September 2026); the others are that one with
the lines which published captures of the same layout show in those states.
"""

import json
import plistlib
from typing import Any

import pytest

from herd.core.mac.launchd import DIGEST, Job, Started, compact, parse_print, with_digest
from tests.core.samples import HOSTILE

RUNNING = """\
gui/501/com.example.llama = {
	active count = 1
	path = /Users/tester/Library/LaunchAgents/com.example.llama.plist
	type = LaunchAgent
	state = running

	program = /opt/homebrew/bin/llama-swap
	arguments = {
		/opt/homebrew/bin/llama-swap
		--config
		/Users/tester/cfg.yaml
	}

	working directory = /Users/tester/work

	stdout path = /Users/tester/logs/out.log
	stderr path = /Users/tester/logs/err.log
	inherited environment = {
		SSH_AUTH_SOCK => /var/run/com.apple.launchd.TzpwIuqAEF/Listeners
	}

	default environment = {
		PATH => /usr/bin:/bin:/usr/sbin:/sbin
	}

	environment = {
		OSLogRateLimit => 64
		PORT => 11002
		XPC_SERVICE_NAME => com.example.llama
	}

	domain = gui/501 [100057]
	asid = 100057
	minimum runtime = 10
	exit timeout = 5
	runs = 1
	pid = 3246
	immediate reason = speculative
	forks = 0
	execs = 1
	initialized = 1
	trampolined = 1
	started suspended = 0
	proxy started suspended = 0
	checked allocations = 0 (queried = 1)
	checked allocations reason = no host
	checked allocations flags = 0x0
	last exit code = (never exited)

	resource coalition = {
		ID = 1622
		type = resource
		state = active
		active count = 1
		name = com.example.llama
	}

	jetsam coalition = {
		ID = 1623
		type = jetsam
		state = active
		active count = 1
		name = com.example.llama
	}

	spawn type = daemon (3)
	jetsam priority = 40
	jetsam memory limit (active) = (unlimited)
	jetsam memory limit (inactive) = (unlimited)
	jetsamproperties category = daemon
	jetsam thread limit = 32
	cpumon = default

	properties = keepalive | runatload | inferred program | managed LWCR | has LWCR
}
"""
PATH = "/Users/tester/Library/LaunchAgents/com.example.llama.plist"


def parsed(text: str) -> Job:
    job = parse_print(text.splitlines())
    assert job is not None
    return job


def changed(*replacements: tuple[str, str]) -> str:
    text = RUNNING
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_running_job_is_read() -> None:
    assert parsed(RUNNING) == Job(
        path=PATH,
        state="running",
        pid=3246,
        runs=1,
        last_exit="(never exited)",
        arguments=("/opt/homebrew/bin/llama-swap", "--config", "/Users/tester/cfg.yaml"),
        environment={
            "OSLogRateLimit": "64",
            "PORT": "11002",
            "XPC_SERVICE_NAME": "com.example.llama",
        },
    )


def test_a_job_that_failed_to_start_has_no_process() -> None:
    job = parsed(
        changed(
            ("active count = 1\n\tpath", "active count = 0\n\tpath"),
            ("\tstate = running", "\tstate = not running"),
            ("\tpid = 3246\n", ""),
            ("\truns = 1\n", "\truns = 103\n"),
            ("(never exited)", "78: EX_CONFIG"),
        )
    )

    assert (job.state, job.pid, job.runs) == ("not running", None, 103)
    assert job.last_exit == "78: EX_CONFIG"


def test_a_job_killed_by_a_signal_says_which() -> None:
    job = parsed(
        changed(
            ("\tstate = running", "\tstate = spawn scheduled"),
            ("\tpid = 3246\n", ""),
            ("\tlast exit code = (never exited)", "\tlast terminating signal = Terminated: 15"),
        )
    )

    assert (job.state, job.pid, job.last_exit) == ("spawn scheduled", None, "Terminated: 15")


def test_nested_blocks_do_not_speak_for_the_job() -> None:
    """Coalitions have a state, an active count and a name of their own, also before the job's."""
    block = "\tresource coalition = {\n\t\tstate = active\n\t\tpid = 1\n\t\truns = 9\n\t}\n"
    job = parsed(changed(("\tactive count = 1\n\tpath", f"{block}\tactive count = 1\n\tpath")))

    assert (job.state, job.pid, job.runs) == ("running", 3246, 1)


def test_of_a_line_that_comes_twice_the_first_counts() -> None:
    job = parsed(changed(("\tcpumon = default\n", "\tcpumon = default\n\tstate = active\n")))

    assert job.state == "running"


def test_only_the_jobs_own_environment_counts() -> None:
    environment = parsed(RUNNING).environment

    assert "PATH" not in environment
    assert "SSH_AUTH_SOCK" not in environment


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_arguments_and_values_are_read_exactly(value: str) -> None:
    job = parsed(
        changed(
            ("\t\t--config\n", f"\t\t{value}\n\t\t--config\n"),
            ("\t\tPORT => 11002\n", f"\t\tPORT => {value}\n"),
            ("/Users/tester/Library", f"/Users/{value}/Library"),
        )
    )

    assert job.arguments[1] == value
    assert job.environment["PORT"] == value
    assert job.path == PATH.replace("tester", value)


@pytest.mark.parametrize("value", ["}", "a = {", "arguments = {", "environment = {", "a => b = c"])
def test_arguments_that_look_like_the_output_itself_are_read_exactly(value: str) -> None:
    job = parsed(
        changed(
            ("\t\t--config\n", f"\t\t{value}\n\t\t--config\n"),
            ("\t\tPORT => 11002\n", f"\t\tPORT => {value}\n"),
        )
    )

    assert job.arguments[1:3] == (value, "--config")
    assert job.environment["PORT"] == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        'Bad request.\nCould not find service "com.example.llama" in domain for user gui: 501\n',
        "Bad request.\nCould not find domain for user gui: 501\n",
        "Could not print domain: 125: Domain does not support specified action\n",
        "sh: launchctl: command not found\n",
    ],
)
def test_a_job_that_is_not_loaded_is_none(text: str) -> None:
    assert parse_print(text.splitlines()) is None


DEFINITION: dict[str, Any] = {
    "Label": "com.example.llama",
    "ProgramArguments": ["/opt/homebrew/bin/llama-swap", "--config", "/Users/tester/cfg.yaml"],
    "EnvironmentVariables": {"PORT": "11002"},
    "KeepAlive": True,
}


def test_a_job_runs_the_definition_that_it_was_loaded_from() -> None:
    assert parsed(RUNNING).runs_definition(DEFINITION, PATH)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ProgramArguments", ["/opt/homebrew/bin/llama-swap"]),
        ("ProgramArguments", [*DEFINITION["ProgramArguments"], "--watch-config"]),
        ("ProgramArguments", ["/opt/homebrew/bin/llama-swap", "--config", "/other"]),
        ("EnvironmentVariables", {"PORT": "11003"}),
        ("EnvironmentVariables", {"PORT": "11002", DIGEST: "0123456789abcdef"}),
        ("EnvironmentVariables", {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}),
    ],
)
def test_a_job_loaded_from_another_definition_is_not_right(key: str, value: Any) -> None:
    assert not parsed(RUNNING).runs_definition({**DEFINITION, key: value}, PATH)


def test_a_job_loaded_from_another_file_is_not_right() -> None:
    assert not parsed(RUNNING).runs_definition(DEFINITION, PATH + ".old")


def test_a_digest_goes_into_the_environment_and_leaves_the_rest() -> None:
    before = json.dumps(DEFINITION)
    found = with_digest(DEFINITION, {"x": "1"})

    assert json.dumps(DEFINITION) == before
    assert found.pop("EnvironmentVariables").keys() == {"PORT", DIGEST}
    assert found == {k: v for k, v in DEFINITION.items() if k != "EnvironmentVariables"}


def test_a_digest_changes_with_every_key_and_dependency_and_only_with_them() -> None:
    def digest(definition: dict[str, Any], depends_on: dict[str, str]) -> str:
        return str(with_digest(definition, depends_on)["EnvironmentVariables"][DIGEST])

    usual = digest(DEFINITION, {"a": "1", "b": "2"})
    others = {
        digest({**DEFINITION, "KeepAlive": False}, {"a": "1", "b": "2"}),
        digest({**DEFINITION, "Umask": 63}, {"a": "1", "b": "2"}),
        digest(DEFINITION, {"a": "1", "b": "3"}),
        digest(DEFINITION, {"a": "1"}),
        digest(DEFINITION, {}),
    }

    assert len(others | {usual}) == 6
    assert digest(dict(reversed(DEFINITION.items())), {"b": "2", "a": "1"}) == usual


@pytest.mark.parametrize(
    ("devices", "virtual", "without"),
    [
        (["Available devices:", "  MTL0: Apple M1 (10922 MiB, 10922 MiB free)"], False, None),
        (["  Metal: Apple M1 (10922 MiB, 10922 MiB free)"], False, None),
        (["  BLAS: Accelerate (0 MiB, 0 MiB free)"], False, "BLAS: Accelerate (0 MiB, 0 MiB free)"),
        (["Available devices:", "  (none)"], False, "Available devices:; (none)"),
        (["dyld[7]: Library not loaded"], False, "dyld[7]: Library not loaded"),
        # A virtual Mac has none to find; a proxy is not asked.
        (["Available devices:", "  (none)"], True, None),
        ([], False, None),
    ],
)
def test_metal_is_among_the_devices_or_what_is_there_is_told(
    devices: list[str], virtual: bool, without: str | None
) -> None:
    assert Started("x", tuple(devices), virtual).without_metal == without


def test_a_property_list_in_one_line_is_the_same_property_list() -> None:
    text = compact(DEFINITION)

    assert "\n" not in text
    assert text.startswith("<plist version=")
    assert plistlib.loads(text.encode()) == DEFINITION
