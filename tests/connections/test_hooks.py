"""The settings of all hosts are checked before pyinfra connects; run apart, as the CLI patches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from herd.core.models.models_lock import Lock, Locked, dump
from tests import preloaded
from tests.core.samples import ROOT

SECRETS = {"API_KEYS", "HERD_API_KEY", "HF_TOKEN"}
INVENTORY = """
macs = [
    ("@fake/one", {"proxy_prt": 1, "models": {"gpt-oss-120b": {"ttl": "never"}}, "fake_delay": 0}),
    ("@fake/two", {"llama_swap_port": 3000, "fake_delay": 0}),
    ("@fake/three", {"models": {"gone": {"repo": "me/gone-GGUF"}}, "fake_delay": 0}),
    ("@fake/four", {"api_keys": ["sk-in-clear-EXAMPLE-0123", {"name": "anna", "sha256": "00"}],
                    "proxy_allow_origins": ["chat.example.com"],
                    "proxy_tls_certificate": "no.pem", "proxy_tls_key": "no.pem",
                    "fake_delay": 0}),
]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """This project without what a person keeps beside it (config.json), and its own inventory."""
    for name in ("config.py", "deploy.py", "fetcher", "group_data", "herd", "proxy", "templates"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "inventory.py").write_text(INVENTORY)
    return tmp_path


def pyinfra(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in SECRETS}
    return preloaded.run(
        [sys.executable, "-m", "pyinfra", "inventory.py", *arguments],
        cwd=project,
        env={**environment, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", **variables},
        timeout=60,
    )


def test_all_problems_of_all_hosts_are_one_report_and_nothing_is_connected(project: Path) -> None:
    done = pyinfra(project, "deploy.py", "--dry")
    said = done.stdout + done.stderr

    assert done.returncode != 0
    assert "nothing was connected to or changed" in said
    for words in (
        "There is no setting proxy_prt.",
        "@fake/one: models.gpt-oss-120b.ttl, from host @fake/one of the inventory",
        "Port 3000 is wanted by proxy_port and llama_swap_port.",
        "@fake/three: models.gone, from host @fake/three of the inventory",
        "@fake/four: models.gpt-oss-120b, from group_data/all.py",
        "There is no models.lock, which says what to fetch.",
        "Fix: run `make lock`, and commit models.lock.",
        "There is no API key",
        "make key NAME=me",
        "@fake/four: api_keys, from host @fake/four of the inventory",
        "Key 1 is in clear text.",
        'Key 2 (anna) has no "sha256" of 64 hex digits.',
        "'chat.example.com' is no scheme and host",
        "no.pem does not exist.",
    ):
        assert words in said
    assert "sk-in-clear" not in said
    assert "Connected" not in said
    assert "Traceback" not in said


def test_a_key_of_the_environment_will_do(project: Path) -> None:
    done = pyinfra(project, "deploy.py", "--dry", API_KEYS="sk-me-0123456789")
    said = done.stdout + done.stderr

    assert "no setting proxy_prt" in said
    assert "API key" not in said
    assert "sk-me-0123456789" not in said


def locked(name: str, **terms: object) -> Locked:
    return Locked.model_validate(
        {
            "name": name,
            "repo": "me/gone-GGUF",
            "revision": "main",
            "include": ["*.gguf"],
            "commit": "c0ffee" * 6 + "c0ff",
            "first": "m.gguf",
            "files": [{"path": "m.gguf", "size": 5, "sha256": "0" * 64}],
            "gguf": {},
            **terms,
        }
    )


def report(project: Path, *arguments: str) -> str:
    done = pyinfra(project, "deploy.py", "--dry", *arguments)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_model_locked_under_other_terms_is_a_problem_where_those_come_from(project: Path) -> None:
    """A setting of its own, or a default."""
    own, default = locked("gone", repo="me/here-GGUF"), locked("gpt-oss-120b", include=["*Q4*"])
    default = default.model_copy(update={"repo": "ggml-org/gpt-oss-120b-GGUF"})
    (project / "models.lock").write_text(dump(Lock(models=[own, default])))

    said = report(project)

    assert "@fake/three: models.gone.repo, from host @fake/three of the inventory" in said
    assert "other terms: here repo 'me/gone-GGUF', not 'me/here-GGUF'." in said
    assert "Fix: run `make lock MODEL=gone`, and commit models.lock." in said
    assert "@fake/two: models.gpt-oss-120b.include, from group_data/all.py" in said
    assert "other terms: here include ['*.gguf'], not ['*Q4*']." in said


def test_what_only_a_run_declares_cannot_be_locked(project: Path) -> None:
    (project / "models.lock").write_text(dump(Lock(models=[locked("gone")])))

    said = report(project, "--data", 'models={"gone": {"revision": "v2"}, "gpt-oss-120b": null}')

    assert "@fake/three: models.gone.revision, from --data" in said
    assert "Fix: declare it in the inventory or in group_data: those are locked." in said


def test_a_lock_that_cannot_be_read_is_one_problem(project: Path) -> None:
    (project / "models.lock").write_text("<<<<<<< HEAD\n")

    said = report(project)

    assert (
        "  models.lock\n    It holds a merge conflict.\n    Fix: run `make lock`, or take" in said
    )
    assert "models.gone" not in said


def test_two_commits_in_one_directory_are_a_problem(project: Path) -> None:
    models = [locked("a"), locked("b", commit="f" * 40)]
    (project / "models.lock").write_text(dump(Lock(models=models)))
    entry = {"repo": "me/gone-GGUF"}
    host = ("@fake/one", {"models": {"gpt-oss-120b": None, "a": entry, "b": entry}})
    (project / "inventory.py").write_text(f"macs = {[host]!r}")

    said = report(project)

    assert "@fake/one: models.b\n" in said
    assert "gone-GGUF/m.gguf is wanted of me/gone-GGUF at c0ffeec0ffee, too." in said
    assert "and run `make lock`, which locks them together." in said


@pytest.mark.parametrize("command", [("deploy.py", "--dry"), ("exec", "--", "uptime")])
def test_data_that_pyinfra_refuses_is_among_the_problems(
    project: Path, command: tuple[str, ...]
) -> None:
    """Of every host and layer at once, and without the value, which may be a password."""
    (project / "inventory.py").write_text(
        'macs = [("one.local", {"ssh_user": 5, "models_purne": 1}), "two.local"]\n'
        'poor = (["three.local"], {"ssh_password": ["tea-time"], "ssh_port": "22"})\n'
    )

    done = pyinfra(project, *command)
    said = done.stdout + done.stderr

    assert done.returncode != 0
    for where, what in (
        ("one.local: ssh_user, from host one.local of the inventory", "this ssh_user: int is not"),
        ("three.local: ssh_password, from group poor", "this ssh_password: list is not an inst"),
        ("three.local: ssh_port, from group poor", "this ssh_port: str is not an instance of int"),
    ):
        assert f"  {where}\n    pyinfra does not take {what}" in said
    assert "Fix: write a number, without quotes, or leave it out." in said
    assert "There is no setting models_purne." in said
    assert "tea-time" not in said
    assert "two.local: ssh" not in said


def test_an_ad_hoc_command_needs_no_settings(project: Path) -> None:
    done = pyinfra(project, "exec", "--", "uptime")

    assert done.returncode == 0, done.stderr
    assert "no setting" not in done.stdout + done.stderr


@pytest.mark.parametrize("words", [["deploy.py", "-y"], ["deploy.py", "--dry"], ["exec", "uptime"]])
def test_a_limit_that_matches_no_host_fails_and_names_those_that_are_there(
    project: Path, words: list[str]
) -> None:
    done = pyinfra(project, "--limit", "@fake/oen", *words)
    said = done.stdout + done.stderr

    assert done.returncode != 0
    assert "no host is left by --limit or --exclude; hosts: @fake/one, @fake/two" in said
    assert "Connect" not in said
    assert "Traceback" not in said
