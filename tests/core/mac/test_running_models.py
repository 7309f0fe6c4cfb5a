"""How models run, beside how config.yaml has them."""

import pytest

from herd.core.mac.running_models import Running, differences

CONFIG = """
models:
  "a b":
    proxy: "http://127.0.0.1:${PORT}"
    cmd: |
      # a note
      '/opt/my programs/llama-server'
      --port ${PORT}
      --ctx-size 512
  other:
    cmd: llama-server --port ${PORT}
"""
URL = "http://127.0.0.1:10001"


@pytest.mark.parametrize(
    "cmd",
    [
        "'/opt/my programs/llama-server' --port 10001 --ctx-size 512",
        "'/opt/my programs/llama-server'\n--port 10001\n--ctx-size 512\n",
        "# another note\n\"/opt/my programs/llama-server\" --port ${PORT} --ctx-size '512'",
        "",  # it does not say
    ],
)
def test_the_same_words_are_the_same(cmd: str) -> None:
    assert list(differences(CONFIG, {"a b": Running(cmd, URL)})) == []


@pytest.mark.parametrize(
    ("cmd", "gone", "new"),
    [
        ("'/opt/my programs/llama-server' --port 10001 --ctx-size 256", "256", "512"),
        ("'/opt/my programs/llama-server' --port 10001", "nothing", "--ctx-size 512"),
        (
            "'/opt/my programs/llama-server' --port 10001 --ctx-size 512 --mlock",
            "--mlock",
            "nothing",
        ),
        ("/old/llama-server --port 10001 --ctx-size 512", "/old/llama-server", "/opt/my programs/"),
        ("'broken", "'broken", "/opt/my programs/llama-server"),
    ],
)
def test_other_words_are_said(cmd: str, gone: str, new: str) -> None:
    (said,) = differences(CONFIG, {"a b": Running(cmd, URL)})

    assert said.startswith(f"a b runs by another command line than is declared: {gone}")
    assert f"instead of {new}" in said


def test_what_is_not_declared_any_more_is_said() -> None:
    found = {"gone": Running("x", URL), "other": Running("llama-server --port 10001", URL)}

    assert list(differences(CONFIG, found)) == ["gone runs, and is not declared"]
    assert list(differences("{}", {})) == []
