"""Settings that do not go together are reported, each at the first of them."""

from typing import Any

import pytest

from tests.core.samples import assert_told, declare, groups, model, problems

# What a host says; where the problem is, what is wrong, and how to mend it.
BAD: dict[str, tuple[dict[str, Any], str, str, str]] = {
    # -- Names
    "alias shared": (
        {
            "models": {
                "a": {"repo": "x/a", "aliases": ["chat"]},
                "b": {"repo": "x/b", "aliases": ["chat"]},
            }
        },
        "models.a.aliases",
        "'chat' names more than one",
        "names of its own",
    ),
    "alias of another's name": (
        model(aliases=["gpt-oss-120b"]),
        "models.tiny.aliases",
        "'gpt-oss-120b' names more than one",
        "names of its own",
    ),
    "alias of its own name": (model(aliases=["tiny"]), "models.tiny.aliases", "'tiny' names", ""),
    "alias twice": (model(aliases=["x", "x"]), "models.tiny.aliases", "'x' names", ""),
    # -- Groups
    "stranger in a group": (groups(g=["a", "c"]), "llama_swap_groups.g", "no model 'c'", "a, b"),
    "in two groups": (groups(g=["a"], h=["a"]), "llama_swap_groups.g", "'a' is in more", "in one"),
    # -- Ports
    "one port for two": ({"proxy_port": 8080}, "proxy_port", "8080 is wanted by proxy", "its own"),
    "port among the models'": (
        {**model(), "proxy_port": 10002},
        "proxy_port",
        "10002 is wanted by proxy_port and llama_server_start_port",
        "its own",
    ),
    "ports beyond the last": (
        {**model(), "llama_server_start_port": 65535},
        "llama_server_start_port",
        "end at 65535",
        "lower",
    ),
    # -- The rest
    "certificate without a key": (
        {"proxy_tls_certificate": "a.pem"},
        "proxy_tls_certificate",
        "no proxy_tls_key for it",
        "set proxy_tls_key, too",
    ),
    "key without a certificate": (
        {"proxy_tls_key": "a.pem"},
        "proxy_tls_key",
        "no proxy_tls_certificate for it",
        "set proxy_tls_certificate, too",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_go_together_is_reported(case: str) -> None:
    assert_told(*BAD[case])


def test_a_daemon_has_no_terminal_window() -> None:
    (found,) = problems(declare(launchd_domain="daemon", launchd_autostart="terminal"))

    assert "launchd_autostart" in found.where
    assert "no Terminal window" in found.what
    assert problems(declare(launchd_domain="daemon", launchd_autostart="off")) == []
