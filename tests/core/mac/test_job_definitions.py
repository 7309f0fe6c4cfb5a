"""The launchd jobs: what they run, and what restarts them."""

import dataclasses
import plistlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from herd.core.files import templates, written_files
from herd.core.files.written_files import Start
from herd.core.gateway import fleet
from herd.core.gateway.fleet import Mac
from herd.core.mac import job_definitions
from herd.core.mac.job_definitions import GATEWAY_PROXY, JOBS, LLAMA_SWAP, PROXY
from herd.core.mac.launchd import DIGEST
from herd.core.mac.layout import Layout
from tests.core.samples import BUNDLE, layout, settings

# Keys of launchd.plist(5) and their types, as far as we may use them.
KEYS = {
    "Label": str,
    "ProgramArguments": list,
    "WorkingDirectory": str,
    "EnvironmentVariables": dict,
    "StandardOutPath": str,
    "StandardErrorPath": str,
    "RunAtLoad": bool,
    "KeepAlive": bool,
    "ExitTimeOut": int,
    "ProcessType": str,
    "SoftResourceLimits": dict,
    "Umask": int,
}


def definition(job: str, place: Layout | None = None, **depends_on: str) -> dict[str, Any]:
    return job_definitions.definition(place or layout(), job, bundle=BUNDLE, depends_on=depends_on)


def every_definition(**own: Any) -> Iterator[dict[str, Any]]:
    for job in JOBS:
        yield definition(job, layout(**own))
    yield job_definitions.window(layout(**own), depends_on={}, start_command="")


@pytest.mark.parametrize("found", [*every_definition()], ids=["llama-swap", "proxy", "window"])
def test_a_job_has_only_keys_and_types_that_launchd_knows(found: dict[str, Any]) -> None:
    for key, value in found.items():
        assert type(value) is KEYS[key], key
    assert all(type(word) is str for word in found["ProgramArguments"])
    for name, value in found["EnvironmentVariables"].items():
        assert (type(name), type(value)) == (str, str)


@pytest.mark.parametrize("found", [*every_definition()], ids=["llama-swap", "proxy", "window"])
def test_a_jobs_paths_are_absolute_as_launchd_expands_none(found: dict[str, Any]) -> None:
    paths = [
        found["ProgramArguments"][0],
        *(found[key] for key in found if key.endswith(("Path", "Directory"))),
    ]

    assert all(path.startswith("/") for path in paths)
    assert "~" not in str(found)


def test_llama_swap_is_reached_from_its_mac_only() -> None:
    found = definition(LLAMA_SWAP)

    assert found["Label"] == "com.moonspirit.llama-swap"
    assert found["ProgramArguments"] == [
        *("/bin/sh", "-c", found["ProgramArguments"][2], "/Users/me/llama-swap/llama-swap.key"),
        "/opt/homebrew/bin/llama-swap",
        *("--config", "/Users/me/llama-swap/config.yaml"),
        *("--listen", "127.0.0.1:8080"),
        "--watch-config",
    ]
    assert found["StandardOutPath"] == "/Users/me/llama-swap/llama-swap.log"
    assert found["WorkingDirectory"] == "/Users/me/llama-swap"


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_llama_swap_gets_its_key_out_of_a_file_and_does_not_start_without(
    tmp_path: Path, shell: str
) -> None:
    """No argument of any process holds it: the shell becomes llama-swap."""
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    _, *words = definition(LLAMA_SWAP)["ProgramArguments"]
    key = tmp_path / "it's a key"
    says = 'echo "$LLAMA_API_KEY"; ps -ww -o args= -p $$'
    shown = [*words[:2], str(key), "/bin/sh", "-c", says]
    without = subprocess.run([shell, *shown], capture_output=True, text=True)
    key.write_text("secret\n")
    done = subprocess.run([shell, *shown], capture_output=True, text=True)

    assert without.returncode != 0
    assert without.stdout == ""
    assert str(key) in without.stderr
    assert done.stdout.startswith("secret\n")
    assert done.stdout.count("secret") == 1


def test_llama_swap_starts_once_the_gpu_has_its_limit(tmp_path: Path) -> None:
    """At the Mac's start both jobs begin at once; one that is never set keeps it up for a while."""
    key, said = tmp_path / "key", tmp_path / "said"
    key.write_text("k")
    for name, text in {
        "sysctl": f'echo >>{said}; [ $(wc -l <{said}) -lt "$AFTER" ] && echo 0 || echo 57344',
        "sleep": ":",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    words = job_definitions.llama_swap_command(layout(mac_gpu_wired_limit_mb=57344))[:3]
    for after, asked in ((3, 3), (10000, 121)):
        said.unlink(missing_ok=True)
        done = subprocess.run(
            [*words, str(key), "/bin/echo", "up"],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", "AFTER": str(after)},
            capture_output=True,
            text=True,
        )

        assert (done.stdout, len(said.read_text().splitlines())) == ("up\n", asked)
    assert "sysctl" not in job_definitions.llama_swap_command(layout())[2]


def test_watching_can_be_turned_off() -> None:
    found = definition(LLAMA_SWAP, layout(llama_swap_watch_config=False))

    assert "--watch-config" not in found["ProgramArguments"]


def test_the_proxy_runs_its_release_on_its_own_environment() -> None:
    found = definition(PROXY)

    assert found["Label"] == "com.moonspirit.proxy"
    assert found["ProgramArguments"] == [
        f"/Users/me/llama-swap/proxy/env-3.13-{BUNDLE.lock}/bin/python",
        *("-m", "proxy", "serve"),
        *("--config", "/Users/me/llama-swap/config.json"),
        *("--listen", "[::]:3000"),
        *("--upstream", "http://127.0.0.1:8080"),
        *("--upstream-key-file", "/Users/me/llama-swap/llama-swap.key"),
        *("--usage", "/Users/me/llama-swap/usage.db"),
        *("--files", "/Users/me/llama-swap/models"),
        *("--grants", "/Users/me/llama-swap/peers.json"),
        *("--gateways", "/Users/me/llama-swap/gateways.json"),
        *("--log-file", "/Users/me/llama-swap/llama-swap.log"),
        *("--log-file", "/Users/me/llama-swap/proxy.log"),
        *("--log-max-mb", "16", "--logs-kept", "1"),
    ]
    release = f"/Users/me/llama-swap/proxy/release-{BUNDLE.release}"
    assert found["EnvironmentVariables"]["PYTHONPATH"] == release


def test_behind_a_gateway_the_proxy_says_how_it_is() -> None:
    words = definition(PROXY, layout(proxy_agent_port=3001))["ProgramArguments"]

    assert words[-4:] == ["--agent", "[::]:3001", "--token-deadline", "60"]


def test_a_gateway_that_is_not_the_only_one_shares_its_limits() -> None:
    """And one alone is run as ever."""
    own = layout()

    def words(*others: Mac, vouched: bool = False) -> list[str]:
        gateway = dataclasses.replace(
            fleet.gateway(own.settings, {}, others=others), vouched=vouched
        )
        found = definition(GATEWAY_PROXY, dataclasses.replace(own, gateway=gateway))
        return list(found["ProgramArguments"])

    other = Mac("gw2", "10.0.0.2", 3100)
    place = "/Users/me/llama-swap/gateway"
    shared = ["--other-gateways", f"{place}/others.json"]
    alone = words()
    assert [word for word in words(other) if word not in alone] == shared
    believed = ["--gateway-authorities", f"{place}/authorities.pem"]
    assert [word for word in words(other, vouched=True) if word not in alone] == shared + believed
    assert words(vouched=True) == alone


def test_a_certificate_is_named_where_it_stands_and_its_content_is_no_part_of_the_job() -> None:
    found = definition(PROXY, layout(proxy_tls_certificate="a.pem", proxy_tls_key="b.pem"))
    other = definition(PROXY, layout(proxy_tls_certificate="c.pem", proxy_tls_key="d.pem"))

    assert found["ProgramArguments"][-4:] == [
        *("--tls-cert", "/Users/me/llama-swap/proxy/tls-certificate.pem"),
        *("--tls-key", "/Users/me/llama-swap/proxy/tls-key.pem"),
    ]
    assert found == other


def test_an_ipv6_address_to_listen_on_gets_its_brackets() -> None:
    found = definition(PROXY, layout(proxy_host="::"))

    assert "[::]:3000" in found["ProgramArguments"]


@pytest.mark.parametrize(
    ("autostart", "always"), [("background", True), ("off", False), ("terminal", False)]
)
def test_jobs_start_by_themselves_only_in_the_background(autostart: str, always: bool) -> None:
    for job in JOBS:
        found = definition(job, layout(launchd_autostart=autostart))
        assert (found["RunAtLoad"], found["KeepAlive"]) == (always, always)


def test_the_window_opens_at_login_once_and_is_not_kept_open() -> None:
    found = job_definitions.window(layout(), depends_on={}, start_command="")

    assert found["Label"] == "com.moonspirit.llama-swap"
    assert found["ProgramArguments"][-1] == "/Users/me/llama-swap/start.command"
    assert found["RunAtLoad"] is True
    assert "KeepAlive" not in found


def test_a_job_depends_on_what_it_reads_at_its_start_only() -> None:
    linked = {"llama-swap": "1"}

    def found(job: str, config: str, **own: Any) -> dict[str, str]:
        return job_definitions.depends_on(
            layout(**own), job, bundle=BUNDLE, linked=linked, config=config
        )

    assert found(LLAMA_SWAP, "one") == found(LLAMA_SWAP, "two") == linked
    unwatched = {"llama_swap_watch_config": False}
    assert found(LLAMA_SWAP, "one", **unwatched) != found(LLAMA_SWAP, "two", **unwatched)
    assert found(PROXY, "one", **unwatched) == {
        **linked,
        "release": BUNDLE.release,
        "lock": BUNDLE.lock,
    }


def test_the_window_depends_on_what_both_jobs_do_and_on_its_script() -> None:
    def digest(start_command: str, **versions: str) -> str:
        parts = {job: {"version": versions.get(job[:5], "1")} for job in JOBS}
        found = job_definitions.window(layout(), depends_on=parts, start_command=start_command)
        return str(found["EnvironmentVariables"][DIGEST])

    assert digest("a") == digest("a")
    assert len({digest("a"), digest("b"), digest("a", llama="2"), digest("a", proxy="2")}) == 4


def test_homebrew_comes_first_in_the_path_and_replaces_nothing() -> None:
    for job in JOBS:
        path = definition(job)["EnvironmentVariables"]["PATH"].split(":")
        assert path[:2] == ["/opt/homebrew/bin", "/opt/homebrew/sbin"]
        assert path[2:] == ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]


def test_a_job_is_rendered_exactly() -> None:
    for found in every_definition():
        assert plistlib.loads(templates.plist(found).encode()) == found


# -- What restarts a job


def digest(found: dict[str, Any]) -> str:
    return str(found["EnvironmentVariables"][DIGEST])


def test_the_same_definition_has_the_same_digest() -> None:
    for job in JOBS:
        assert digest(definition(job, a="1", b="2")) == digest(definition(job, b="2", a="1"))


def test_a_changed_dependency_restarts_a_job() -> None:
    for job in JOBS:
        found = {
            digest(definition(job)),
            digest(definition(job, llama="1")),
            digest(definition(job, llama="2")),
        }
        assert len(found) == 3


@pytest.mark.parametrize(
    ("own", "restarts"),
    [
        ({"llama_swap_port": 9090}, {LLAMA_SWAP, PROXY}),
        ({"proxy_port": 9090}, {PROXY}),
        ({"proxy_host": "127.0.0.1"}, {PROXY}),
        ({"proxy_python": "python@3.12"}, {PROXY}),
        ({"proxy_tls_certificate": "a.pem", "proxy_tls_key": "b.pem"}, {PROXY}),
        ({"llama_swap_watch_config": False}, {LLAMA_SWAP}),
        ({"stack_root": "~/other"}, {LLAMA_SWAP, PROXY}),
        ({"homebrew_prefix": "/opt/brew"}, {LLAMA_SWAP, PROXY}),
        ({"launchd_autostart": "off"}, {LLAMA_SWAP, PROXY}),
        # What llama-swap rereads by itself, or what no job reads, restarts nothing.
        ({"llama_swap_health_timeout": 100}, set()),
        ({"models": {"gpt-oss-120b": {"ctx_size": 1, "ttl": 9}}}, set()),
        ({"llama_server_start_port": 12000}, set()),
        ({"verify_timeout": 99}, set()),
        ({"api_keys": [{"name": "anna", "sha256": "0123456789abcdef" * 4}]}, set()),
        ({"proxy_allow_origins": ["https://chat.example.com"]}, set()),
        ({"preflight_disk_reserve_gb": 1}, set()),
        ({"homebrew_upgrade": True}, set()),
    ],
)
def test_a_setting_restarts_only_the_jobs_that_depend_on_it(
    own: dict[str, Any], restarts: set[str]
) -> None:
    changed = {
        job for job in JOBS if digest(definition(job)) != digest(definition(job, layout(**own)))
    }

    assert changed == restarts


def test_new_code_or_dependencies_of_the_proxy_restart_only_the_proxy() -> None:
    for change in ({"release": "f" * 16}, {"lock": "e" * 16}):
        other = dataclasses.replace(BUNDLE, **change)  # type: ignore[arg-type]
        changed = {
            job
            for job in JOBS
            if digest(definition(job))
            != digest(job_definitions.definition(layout(), job, bundle=other, depends_on={}))
        }
        assert changed == {PROXY}


def test_each_job_is_restarted_by_the_programs_that_it_runs() -> None:
    found = job_definitions.programs(layout(proxy_python="python@3.12"))

    assert found == {LLAMA_SWAP: ["llama-swap", "llama-server"], PROXY: ["python3.12"]}


# -- Daemons

DAEMON = {"launchd_domain": "daemon"}


@pytest.mark.parametrize("job", JOBS)
def test_a_daemon_is_the_users_and_has_what_launchd_may_leave_out(job: str) -> None:
    found = job_definitions.daemon(layout(**DAEMON), job)

    assert found["UserName"] == "me"
    assert found["ProgramArguments"] == ["/bin/sh", f"/Users/me/llama-swap/daemon-{job}.sh"]
    assert (
        found["EnvironmentVariables"].items()
        >= {
            "HOME": "/Users/me",
            "USER": "me",
            "LOGNAME": "me",
            "PATH": "/opt/homebrew/bin:/opt/homebrew/sbin:/usr/bin:/bin:/usr/sbin:/sbin",
            "TMPDIR": "/Users/me/llama-swap/daemon-tmp/",
        }.items()
    )
    assert found["WorkingDirectory"] == "/Users/me/llama-swap"
    assert found["ProcessType"] == "Interactive"
    # As root, launchd would follow a link of that name.
    assert not {"StandardOutPath", "StandardErrorPath"} & found.keys()


def test_a_model_in_memory_has_time_to_leave() -> None:
    """Of one that is killed, wired memory may be lost until the Mac restarts."""
    for own in ({}, DAEMON):
        place = layout(**own)
        start: Start = {"linked": {}, "config": ""}
        assert written_files.job(place, BUNDLE, LLAMA_SWAP, **start)["ExitTimeOut"] == 90


def test_the_user_is_who_logs_in_whatever_his_home_is_called() -> None:
    place = Layout(settings(**DAEMON), "/Users/old-name", "anna")

    assert job_definitions.daemon(place, PROXY)["UserName"] == "anna"


def test_what_root_writes_is_the_same_whatever_changes() -> None:
    """So neither the rule of sudo is another one, nor does anybody choose what root writes."""
    place = layout(**DAEMON)
    before = [job_definitions.daemon(place, job) for job in JOBS]
    other = layout(**DAEMON, proxy_port=3001, llama_swap_port=8081, proxy_python="python@3.12")

    assert [job_definitions.daemon(other, job) for job in JOBS] == before
    launchers = {
        written_files.launcher(each, BUNDLE, PROXY, linked=linked, config="")
        for each in (place, other)
        for linked in ({}, {"python@3.13": "3.13.1"})
    }
    assert len({launcher.digest for launcher in launchers if launcher}) == 4
    assert written_files.launcher(layout(), BUNDLE, PROXY, linked={}, config="") is None


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
@pytest.mark.parametrize("folder", ["llama-swap", "it's $HOME & <more>"])
def test_a_daemon_notes_its_start_and_becomes_its_program(
    shell: str, folder: str, tmp_path: Path
) -> None:
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    place = layout(home=str(tmp_path), stack_root=f"~/{folder}", homebrew_prefix=f"{tmp_path}/brew")
    place = Layout(place.settings.model_copy(update=DAEMON), place.home)
    root, programs = Path(place.root), tmp_path / "brew/bin"
    programs.mkdir(parents=True)
    root.mkdir()
    Path(place.swap_key).write_text("secret\n")
    for name, does in (("llama-server", "echo '  MTL0: GPU'"), ("llama-swap", 'echo "$$ $*"')):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    found = written_files.launcher(place, BUNDLE, LLAMA_SWAP, linked={}, config="")
    assert found
    Path(found.path).write_bytes(found.content)
    started = subprocess.Popen([shell, found.path])

    assert started.wait() == 0
    digest, virtual, *devices = Path(found.started).read_text().splitlines()
    assert (digest, devices) == (found.digest, ["  MTL0: GPU"])
    assert virtual.startswith("virtual ")
    assert Path(found.log).read_text().startswith(f"{started.pid} --config {place.config} ")
    assert not list(root.glob("*.new"))
