"""A release as GitHub's API tells it (from documentation: GET /repos/O/R/releases/tags/T)."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from herd.workstation import github_releases

DIGEST = "ab" * 32


def asset(name: str, digest: str | None = f"sha256:{DIGEST}") -> dict[str, Any]:
    url = f"https://github.com/o/r/releases/download/t/{name}"
    return {"name": name, "browser_download_url": url, "digest": digest}


SERVER = [
    asset("llama-b10686-bin-macos-arm64.tar.gz"),
    asset("llama-b10686-bin-macos-arm64-kleidiai.tar.gz"),
    asset("llama-b10686-bin-macos-x64.tar.gz"),
    asset("llama-b10686-bin-ubuntu-arm64.tar.gz"),
]
ANSWERS: dict[str, tuple[int, Any]] = {
    "/repos/ggml-org/llama.cpp/releases/tags/b10686": (
        200,
        {"tag_name": "b10686", "assets": SERVER},
    ),
    "/repos/mostlygeek/llama-swap/releases/latest": (
        200,
        {"tag_name": "v250", "assets": [asset("llama-swap_250_darwin_arm64.tar.gz")]},
    ),
    "/repos/ggml-org/llama.cpp/releases/tags/b1": (200, {"tag_name": "b1", "assets": []}),
    "/repos/ggml-org/llama.cpp/releases/tags/b2": (
        200,
        {"tag_name": "b2", "assets": [asset("llama-b2-bin-macos-arm64.tar.gz", None)]},
    ),
    "/repos/ggml-org/llama.cpp/releases/tags/b3": (
        200,
        {"tag_name": "../b3", "assets": [asset("llama-b3-bin-macos-arm64.tar.gz")]},
    ),
    "/repos/ggml-org/llama.cpp/releases/tags/b4": (403, {"message": "rate limit exceeded"}),
    "/repos/ggml-org/llama.cpp/releases/tags/b5": (200, ["no release"]),
}


@pytest.fixture(autouse=True)
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Its API, with the tokens that it was shown."""
    tokens: list[str] = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tokens.append(self.headers.get("Authorization", ""))
            code, said = ANSWERS.get(self.path, (404, {"message": "Not Found"}))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    yield tokens
    server.shutdown()


def test_a_release_is_its_archive_for_these_macs_with_its_digest() -> None:
    found = github_releases.look("llama.cpp", "b10686")

    assert (found.version, found.sha256) == ("b10686", DIGEST)
    assert found.url.endswith("/llama-b10686-bin-macos-arm64.tar.gz")


def test_what_is_printed_is_python_that_the_settings_take() -> None:
    found = github_releases.look("llama-swap", None)

    scope: dict[str, Any] = {}
    exec(github_releases.as_setting("llama-swap", found), scope)
    assert scope["llama_swap_release"]["version"] == "v250"
    assert github_releases.Release.model_validate(scope["llama_swap_release"])


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("b0", "there is no release ggml-org/llama.cpp b0"),
        ("b1", "b1 has 0 archives for macOS on arm64"),
        ("b2", "no SHA-256 of .*shasum -a 256"),
        ("b3", "cannot be pinned: version"),
        ("b4", "HTTP 403 .*GITHUB_TOKEN"),
        ("b5", "does not answer as GitHub does"),
        ("../../../user", "there is no release"),
    ],
)
def test_what_cannot_be_pinned_is_told_in_words(tag: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        github_releases.look("llama.cpp", tag)


def test_a_token_goes_along(monkeypatch: pytest.MonkeyPatch, github: list[str]) -> None:
    github_releases.look("llama.cpp", "b10686")
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_EXAMPLE")
    github_releases.look("llama.cpp", "b10686")

    assert github == ["", "Bearer ghp_EXAMPLE"]


def test_no_network_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match="is not reachable"):
        github_releases.look("llama.cpp", None)
