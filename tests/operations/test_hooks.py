"""The settings of all hosts are checked before pyinfra connects; run apart, as the CLI patches."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

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
    for name in ("config.py", "deploy.py", "group_data", "herd", "proxy", "templates"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "inventory.py").write_text(INVENTORY)
    return tmp_path


@pytest.fixture
def hub() -> Iterator[str]:
    """A Hub that has the default model, and no other."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there = "/ggml-org/gpt-oss-120b-GGUF/" in self.path
            body = json.dumps(
                {
                    "id": "ggml-org/gpt-oss-120b-GGUF",
                    "sha": "c0ffee" * 6 + "c0ff",
                    "siblings": [{"rfilename": "m.gguf", "size": 5}],
                }
                if there
                else {"error": "Repository not found"}
            ).encode()
            self.send_response(200 if there else 404)
            if not there:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def pyinfra(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in SECRETS}
    return subprocess.run(
        [sys.executable, "-m", "pyinfra", "inventory.py", *arguments],
        cwd=project,
        env={**environment, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_all_problems_of_all_hosts_are_one_report_and_nothing_is_connected(
    project: Path, hub: str
) -> None:
    done = pyinfra(project, "deploy.py", "--dry", HF_ENDPOINT=hub)
    said = done.stdout + done.stderr

    assert done.returncode != 0
    assert "nothing was connected to or changed" in said
    for words in (
        "There is no setting proxy_prt.",
        "@fake/one: models.gpt-oss-120b.ttl, from host @fake/one of the inventory",
        "Port 3000 is wanted by proxy_port and llama_swap_port.",
        "me/gone-GGUF is not on",
        "There is no API key",
        "make key NAME=me",
        "@fake/four: api_keys, from host @fake/four of the inventory",
        "Key 1 is in clear text.",
        'Key 2 (anna) has no "sha256" of 64 hex digits.',
        "'chat.example.com' is no web origin.",
        "no.pem does not exist.",
    ):
        assert words in said
    assert "sk-in-clear" not in said
    assert "Connected" not in said
    assert "Traceback" not in said


def test_a_key_of_the_environment_will_do(project: Path, hub: str) -> None:
    done = pyinfra(project, "deploy.py", "--dry", HF_ENDPOINT=hub, API_KEYS="sk-me-0123456789")
    said = done.stdout + done.stderr

    assert "no setting proxy_prt" in said
    assert "API key" not in said
    assert "sk-me-0123456789" not in said


def test_a_hub_that_is_not_there_is_a_problem_among_the_others(project: Path) -> None:
    done = pyinfra(project, "deploy.py", "--dry", HF_ENDPOINT="http://127.0.0.1:9")
    said = done.stdout + done.stderr

    assert "http://127.0.0.1:9 does not answer for me/gone-GGUF" in said
    assert "There is no setting proxy_prt." in said


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
