"""Services of systemd, from the same plain data as launchd's jobs, and what systemd says."""

import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from herd.core.files import written_files
from herd.core.linux.units import Service, parse_show, unit
from herd.core.mac.job_definitions import GATEWAY, GATEWAY_JOBS, GATEWAY_PROXY, definition
from herd.core.mac.launchd import DIGEST
from herd.core.mac.layout import Layout
from lab import systemd
from tests.core.samples import BUNDLE, HOSTILE, layout

LINUX = replace(layout(), home="/home/me", system="Linux")
PATH = "/home/me/.config/systemd/user/com.moonspirit.gateway.service"


def made(name: str, place: Layout = LINUX, **depends_on: str) -> dict[str, Any]:
    return definition(place, name, bundle=BUNDLE, depends_on=depends_on)


def test_a_job_is_a_service_of_the_user() -> None:
    file = written_files.plist(made(GATEWAY), LINUX.plist(GATEWAY))

    assert (file.path, file.mode) == (PATH, "644")
    assert (
        LINUX.domain(1000).target(LINUX.label(GATEWAY)) == "systemd/com.moonspirit.gateway.service"
    )
    lines = file.text.splitlines()
    config = "/home/me/llama-swap/gateway/haproxy.cfg"
    assert f'ExecStart="haproxy" "-W" "-db" "-f" "{config}"' in lines
    assert "StandardOutput=append:/home/me/llama-swap/gateway.log" in lines
    assert {"Restart=always", "WantedBy=default.target", "UMask=0077"} <= set(lines)
    assert not any("/opt/homebrew" in line or "/Library" in line for line in lines)


def test_with_autostart_off_nobody_starts_it() -> None:
    settings = LINUX.settings.model_copy(update={"launchd_autostart": "off"})
    text = unit(made(GATEWAY, replace(LINUX, settings=settings)))

    assert "Restart" not in text
    assert "[Install]" not in text


@pytest.mark.parametrize("value", HOSTILE)
def test_each_word_comes_as_it_is(value: str) -> None:
    """As the lab's systemd reads it, by systemd.syntax(7)."""
    plain = made(GATEWAY)
    environment = {**plain["EnvironmentVariables"], "TOLD": value}
    told = {**plain, "ProgramArguments": ["x", value], "EnvironmentVariables": environment}
    keys = systemd.keys(unit(told))

    (command,) = keys["ExecStart"]
    assert [word.replace("$$", "$") for word in systemd.words(command)] == ["x", value]
    assert [f"TOLD={value}"] in [systemd.words(line) for line in keys["Environment"]]


def verified(file: Path) -> str:
    """What a real systemd says of a unit."""
    home = str(file.parent)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", file],
        env={"HOME": home, "XDG_RUNTIME_DIR": home, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return "\n".join(line for line in done.stderr.splitlines() if file.name in line)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_a_real_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    place = replace(LINUX, home=str(tmp_path / "a 100% user's"))
    for name in GATEWAY_JOBS:
        job = made(name, place)
        job["ProgramArguments"] = ["/bin/true", *job["ProgramArguments"][1:]]  # which is there
        file = tmp_path / f"{name}.service"
        file.write_text(unit(job).replace("UMask=", "Umask="))
        if "Umask" not in verified(file):
            pytest.skip("systemd finds nothing wrong here, whatever there is")
        file.write_text(unit(job))
        assert verified(file) == ""


def shown(pid: int = 77, *, process: str = "", **more: str) -> list[str]:
    """What systemd 252 says of a service that runs, in the order in which it does."""
    digest = made(GATEWAY)["EnvironmentVariables"][DIGEST]
    said = {
        "MainPID": str(pid),
        "NRestarts": "0",
        "ExecMainCode": "0",
        "ExecMainStatus": "0",
        "Environment": f"PATH=/usr/bin {DIGEST}={digest}",
        "LoadState": "loaded",
        "SubState": "running",
        "FragmentPath": PATH,
        "UnitFileState": "enabled",
        **more,
    }
    told = [f"process {DIGEST}={process or digest}"] if pid else []
    return [*(f"{key}={value}" for key, value in said.items()), *told]


def test_what_runs_is_known_by_the_digest_of_its_definition() -> None:
    job = parse_show(shown())

    assert isinstance(job, Service)
    assert (job.state, job.pid, job.runs, job.last_exit) == ("running", 77, 1, "(never exited)")
    assert job.runs_definition(made(GATEWAY), PATH)
    assert not job.runs_definition(made(GATEWAY, haproxy="3.0"), PATH)
    assert not job.runs_definition(made(GATEWAY_PROXY), PATH)
    assert not job.runs_definition(made(GATEWAY), PATH.replace("/home/me", "/etc"))


@pytest.mark.parametrize(
    "lines",
    [
        shown(process="0123456789abcdef"),
        shown(Environment=f"{DIGEST}=0123456789abcdef"),
        shown(Environment=""),
        shown(UnitFileState="disabled"),
        shown(NeedDaemonReload="yes"),
    ],
    ids=[
        "an older process",
        "an older unit",
        "somebody's own",
        "not at the start of the machine",
        "written since",
    ],
)
def test_one_of_which_only_a_part_is_right_is_not(lines: list[str]) -> None:
    job = parse_show(lines)

    assert job is not None
    assert not job.runs_definition(made(GATEWAY), PATH)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"ExecMainCode": "1", "ExecMainStatus": "78"}, "78"),
        ({"ExecMainCode": "2", "ExecMainStatus": "15"}, "Terminated: 15"),
        ({"ExecMainCode": "2", "ExecMainStatus": "11"}, "signal 11"),
    ],
)
def test_how_one_ended_is_told(said: dict[str, str], expected: str) -> None:
    job = parse_show(shown(0, SubState="auto-restart", NRestarts="4", **said))

    assert job is not None
    assert (job.pid, job.state, job.runs) == (None, "auto-restart", 5)
    assert job.last_exit == expected


@pytest.mark.parametrize("lines", [[], ["LoadState=not-found", "SubState=dead", "MainPID=0"]])
def test_what_systemd_does_not_know_is_no_job(lines: list[str]) -> None:
    assert parse_show(lines) is None


@pytest.mark.parametrize("end", ["\\", "\n", " "])
def test_a_path_that_is_no_line_is_refused(end: str) -> None:
    with pytest.raises(ValueError, match="can hold no such line"):
        unit({**made(GATEWAY), "WorkingDirectory": f"/home/me{end}"})


def test_its_files_are_quoted_for_nobody_else() -> None:
    """A path in a unit is no word of a shell."""
    text = unit(made(GATEWAY, replace(LINUX, home="/home/it's me")))

    assert "WorkingDirectory=/home/it's me/llama-swap\n" in text
    assert shlex.quote("/home/it's me") not in text
