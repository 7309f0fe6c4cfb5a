"""What a person has in the environment changes no test: it is dropped in one place, and said."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import httpx2
import pytest

from tests.environment import clean, dropped

PROJECT = Path(__file__).parents[1]
A_PERSONS = {
    "HF_TOKEN": "hf_x",
    "HUGGING_FACE_HUB_TOKEN": "hf_x",
    "API_KEYS": "sk-x",
    "HERD_API_KEY": "sk-x",
    "OPENAI_API_KEY": "sk-x",
    "ANTHROPIC_BASE_URL": "https://example.com",
    "LLAMA_ARG_CTX_SIZE": "1",
    "HOMEBREW_NO_COLOR": "1",
    "GIT_DIR": "/somewhere",
    "PYTHONPATH": "/somewhere",
    "PYTHONOPTIMIZE": "2",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LAB_MAC": "/somewhere",
    "MAKEFLAGS": "n",
    "INVENTORY": "theirs.py",
    "LIMIT": "",
    "LC_ALL": "C",
    "LANG": "de_DE.ISO-8859-1",
    "COLUMNS": "20",
    "CDPATH": "/",
    "ALL_PROXY": "socks5://proxy.invalid:1080",
}
THEIRS_TOO = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "LAB_LLAMA_SERVER": "stand-in",
    "HTTP_PROXY": "http://proxy.invalid:8080",
    "https_proxy": "http://proxy.invalid:8080",
    "NO_PROXY": "intranet",
    "TZ": "Asia/Kolkata",
    "GIT_SSL_CAINFO": "/their/ca.pem",
    "UV_INDEX_URL": "https://index.invalid/simple",
}


def test_what_would_change_a_test_is_dropped_and_the_rest_stays() -> None:
    assert dropped(A_PERSONS | THEIRS_TOO) == sorted(A_PERSONS)

    loopback = "127.0.0.1,localhost,::1,intranet"
    assert clean(A_PERSONS | THEIRS_TOO) == THEIRS_TOO | {
        "NO_PROXY": loopback,
        "no_proxy": loopback,
        "LC_ALL": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8",
    }


def test_a_proxy_that_is_no_socks_stays() -> None:
    assert dropped({"ALL_PROXY": "http://proxy:1", "all_proxy": "socks5h://proxy:1"}) == [
        "all_proxy"
    ]


def test_of_the_tests_now_here() -> None:
    """Also run by the next test, in the environment of a person."""
    assert dropped(os.environ) == ["LC_ALL"]
    assert urllib.request.proxy_bypass("127.0.0.1")
    httpx2.Client().close()
    code = (
        "import signal; print([signal.getsignal(s).name for s in (signal.SIGHUP, signal.SIGQUIT)])"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "['SIG_DFL', 'SIG_DFL']\n"
    sleeping = subprocess.Popen(["sleep", "60"])
    sleeping.send_signal(signal.SIGINT)
    assert sleeping.wait(10) == -signal.SIGINT


@pytest.mark.parametrize("workers", ["0", "1"])
def test_under_nohup_with_all_that_a_person_has(workers: str) -> None:
    wanted = f"{Path(__file__).name}::test_of_the_tests_now_here"
    pytest_ = f'"$0" -m pytest -p no:cacheprovider -n {workers} "tests/{wanted}"'
    done = subprocess.run(
        ["sh", "-c", f"trap '' HUP INT QUIT; exec {pytest_}", sys.executable],
        cwd=PROJECT,
        env={**A_PERSONS, **THEIRS_TOO, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"environment: without {', '.join(sorted(A_PERSONS))}\n" in done.stdout
    assert "hf_x" not in done.stdout
