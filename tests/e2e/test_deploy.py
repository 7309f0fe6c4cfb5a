"""The main job: a fresh Mac serves, a second run changes nothing, a change touches what it must."""

import json
import stat
from collections.abc import Callable
from typing import Any

import openai
import pytest

from herd.operations.last_good import REASON
from tests.e2e.fleet import KEY, SENTENCE, Fleet, plain

CONFIG = "llama-swap | Write config.yaml"
KEYS = "Proxy | Write the API keys"
START = "Services | Write the foreground start"
LLAMA_SWAP = "Services | Run llama-swap"
PROXY = "Services | Run the proxy"
VERIFY = "Verify | Wait until the stack serves"


def test_fresh_mac_recites_the_exact_sentence_to_the_openai_client(deployed: Fleet) -> None:
    """Not streaming and streaming, and the stream comes in more than one piece."""
    assert deployed.says() == SENTENCE

    stream = deployed.client().chat.completions.create(
        model="recite", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    pieces = [c.choices[0].delta.content or "" for c in stream if c.choices]

    assert "".join(pieces) == SENTENCE
    assert len([piece for piece in pieces if piece]) > 1


def test_without_a_key_or_with_a_wrong_one_nobody_is_served(deployed: Fleet) -> None:
    for key in ("wrong", KEY[:-1], KEY.upper()):
        with pytest.raises(openai.AuthenticationError):
            deployed.client(key=key).models.list()


def test_models_are_listed_by_their_declared_names(deployed: Fleet) -> None:
    assert [model.id for model in deployed.client().models.list()] == ["recite"]


def test_llama_swap_listens_on_loopback_only_and_the_proxy_everywhere(deployed: Fleet) -> None:
    ports = deployed["mac1"].ports

    def listening(port: int) -> str:
        return deployed["mac1"].run(f"lsof -nP -iTCP:{port} -sTCP:LISTEN").stdout

    assert f"127.0.0.1:{ports['llama_swap']} (LISTEN)" in listening(ports["llama_swap"])
    assert f"*:{ports['proxy']} (LISTEN)" in listening(ports["proxy"])


def test_second_run_changes_nothing_and_is_cheap(deployed: Fleet) -> None:
    deployed["mac1"].clear_log()

    run = deployed.deploy()

    assert run.code == 0, run.err
    assert run.changed("mac1") == set()
    assert all(hosts["no_change"] == ["mac1"] for hosts in run.operations.values())
    assert len(deployed["mac1"].log) <= 2


def test_one_that_its_owner_drained_stays_so_and_is_told(deployed: Fleet) -> None:
    """One that a deploy left so, as it was killed, takes requests again."""
    word = deployed["mac1"].home / "llama-swap/availability.json"
    word.write_text(json.dumps({"state": "drain", "reason": REASON}))
    mended = deployed.deploy()
    assert (mended.code, word.exists()) == (0, False), mended.err
    assert "drained:" not in mended.err
    word.write_text('{"state": "drain", "reason": "a new disk"}')
    run = deployed.deploy()
    word.unlink()

    assert (run.code, run.changed("mac1")) == (0, set()), run.err
    assert "drained:  it takes no new requests (drain: a new disk), until " in plain(run.err)


def test_dry_run_on_a_converged_mac_shows_no_change(deployed: Fleet) -> None:
    run = deployed.pyinfra("--dry", "--json", str(deployed.lab.inventory), "deploy.py")

    plan = json.loads(run.out)["plan"]
    assert len(plan) > 10
    assert [o["name"] for o in plan if o["hosts_with_change"]] == []


def test_keys_are_readable_by_their_owner_only(deployed: Fleet) -> None:
    path = deployed["mac1"].home / "llama-swap" / "config.json"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"apiKeys": [KEY], "contexts": {"recite": 512}}


def test_no_key_shows_at_any_verbosity(deployed: Fleet) -> None:
    """In pyinfra's own output, in logs, in property lists and in what `ps` would show."""
    inventory = str(deployed.lab.inventory)
    (deployed["mac1"].home / "llama-swap" / "config.json").unlink()
    for options in (["-vvv", "-y", "--debug-all"], ["--dry", "--diff"], ["--debug-operations"]):
        run = deployed.pyinfra(*options, inventory, "deploy.py")
        assert KEY not in run.out + run.err, options

    assert all(KEY not in command for _, command in deployed["mac1"].log)
    home = deployed["mac1"].home
    shown = [*home.glob("llama-swap/*.log"), *home.glob("Library/LaunchAgents/*")]
    assert len(shown) == 4
    assert all(KEY not in file.read_text() for file in shown)


def test_summary_tells_a_person_what_to_do_next(deployed: Fleet) -> None:
    run = deployed.pyinfra("-y", str(deployed.lab.inventory), "deploy.py")

    text = plain(run.err + run.out)
    assert f"http://127.0.0.1:{deployed['mac1'].ports['proxy']}/v1" in text
    assert "recite" in text
    assert "llama.cpp 0." in text
    assert "changed:  nothing" in text
    assert "curl -N http" in text


# The proxy is told which context each name of a model has: it charges no more for a prompt.
CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "context": ({"models": {"recite": {"ctx_size": 256}}}, {CONFIG, KEYS}),
    "ttl": ({"models": {"recite": {"ttl": 60}}}, {CONFIG}),
    "alias": ({"models": {"recite": {"aliases": ["gpt-4"]}}}, {CONFIG, KEYS}),
    "cache quantisation": (
        {"models": {"recite": {"cache_type_k": "q8_0", "flash_attention": "on"}}},
        {CONFIG},
    ),
    "mlock off": ({"models": {"recite": {"mlock": False}}}, {CONFIG}),
    "preload": ({"models": {"recite": {"preload": True}}}, {CONFIG, VERIFY}),
    "no watch": ({"llama_swap_watch_config": False}, {START, LLAMA_SWAP, VERIFY}),
    "upgrade with nothing to upgrade": ({"homebrew_upgrade": True}, set()),
}


# What config.yaml says alone is taken over without a restart.
ALONE = ["ttl", "cache quantisation", "mlock off"]


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([ALONE], id="config alone"),
        pytest.param([[name] for name in CHANGES], id="each", marks=pytest.mark.soak),
    ],
)
def test_a_change_touches_only_what_depends_on_it(deployed: Fleet, steps: list[list[str]]) -> None:
    """One on top of the other, and all are taken back at once."""
    data: dict[str, Any] = {}
    model: dict[str, Any] = {}
    for names in steps:
        expected = set().union(*(CHANGES[name][1] for name in names))
        for change, _ in map(CHANGES.__getitem__, names):
            model |= change.get("models", {}).get("recite", {})
            data |= {**change, "models": {"recite": model}}

        changed = deployed.deploy(mac1=data)
        assert changed.code == 0, f"{names}: {changed.err}"
        # A restart may be over before the last check looks.
        assert changed.changed("mac1") - {VERIFY} == expected - {VERIFY}, names
        assert deployed.says() == SENTENCE, names

    back = deployed.deploy()
    assert back.code == 0, back.err
    wanted = set().union(*(CHANGES[name][1] for names in steps for name in names))
    assert back.changed("mac1") - {VERIFY} == wanted - {VERIFY}
    assert deployed.says() == SENTENCE


def test_a_new_key_is_let_in_without_a_restart(deployed: Fleet) -> None:
    before = deployed["mac1"].launchd.job("com.moonspirit.proxy")
    new = "sk-another-EXAMPLE-0123456789"

    run = deployed.deploy(environment={"API_KEYS": f"{KEY},{new}"})

    assert run.changed("mac1") == {KEYS}
    assert deployed.says(key=new) == SENTENCE
    after = deployed["mac1"].launchd.job("com.moonspirit.proxy")
    assert before
    assert after
    assert before["pid"] == after["pid"]
    assert deployed.deploy().changed("mac1") == {KEYS}


@pytest.mark.soak
def test_a_model_context_is_what_one_request_gets(deployed: Fleet) -> None:
    """llama-server's --ctx-size is a total over its slots."""
    run = deployed.deploy(mac1={"models": {"recite": {"ctx_size": 256, "parallel": 3}}})

    assert run.code == 0, run.err
    config = (deployed["mac1"].home / "llama-swap" / "config.yaml").read_text()
    assert "--ctx-size 768" in config
    assert "--parallel 3" in config
    assert deployed.says() == SENTENCE
    assert deployed.deploy().code == 0


@pytest.mark.soak
def test_two_hosts_of_which_one_fails(make_fleet: Callable[..., Fleet]) -> None:
    """The bad one says everything that is wrong and drops out unchanged; the other is served."""
    fleet = make_fleet("mac1", "mac2")
    fleet["mac2"].set(console=False, macos="13.6", clt=False, memsize=4 << 30)
    before = sorted(fleet["mac2"].home.rglob("*"))

    dry = fleet.pyinfra("--dry", str(fleet.lab.inventory), "deploy.py")
    refused = fleet.deploy("--fail-percent", "0")
    untouched = fleet["mac1"].home / "llama-swap"
    assert not untouched.exists()
    run = fleet.deploy()

    assert run.code == 1
    # pyinfra counts a host that dropped out as failed in what follows, too.
    assert "Preflight | Check that this Mac can serve the models" in run.failed("mac2")
    assert run.changed("mac2") == set()
    for text in (dry.err, refused.err, run.err):
        for problem in ("macOS 13.6", "not logged in at the console", "Command Line Tools", "Fix:"):
            assert problem in plain(text)
    assert sorted(fleet["mac2"].home.rglob("*")) == before
    assert fleet.says("mac1") == SENTENCE
