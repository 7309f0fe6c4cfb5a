"""What the stack answers: scripts/look/answers.sh, bodies from documentation (llama-swap v250)."""

import json
from collections.abc import Sequence

import pytest

from herd.core.mac.running_models import Running
from herd.facts.answers import Answers, Served, parse
from tests.core.samples import layout

MODELS = {"object": "list", "data": [{"id": "a"}, {"id": "b"}]}
A = {"cmd": "llama-server --port 10001", "proxy": "http://127.0.0.1:10001"}
RUNNING = {"running": [{"model": "a", "state": "ready", **A}, {"model": "b", "state": "starting"}]}
TAKEN = "2026-11-22T20:00:00Z INFO keys read again: 2 keys from config.json"
KEPT = "2026-11-22T20:00:01Z ERROR the old keys stay in force (1 key from config.json): no"
UNAUTHORISED = {"error": {"message": "no key", "type": "invalid_request_error"}}


def answer(
    health: str = "OK",
    running: str = json.dumps(RUNNING),
    models: str = json.dumps(MODELS),
    keys: str = TAKEN,
    answered: Sequence[str] = ("a-mark",),
) -> list[str]:
    return [
        *("--- health", health, "200"),
        *("--- open", "", "401"),
        *("--- running", *running.splitlines(), "", "200"),
        *("--- answered", *answered),
        *("--- anonymous", json.dumps(UNAUTHORISED), "401"),
        *("--- models", *models.splitlines(), "", "200"),
        *("--- keys", *([keys] if keys else [])),
        *("--- key", '{"data": []}', "200"),
    ]


GOOD = Served(
    *(200, 401, 401, 200, frozenset({"a", "b"}), {"a": "ready", "b": "starting"}),
    answered=frozenset({"a-mark"}),
    running={"a": Running(**A), "b": Running("")},
)


def test_a_stack_that_serves() -> None:
    assert parse(answer()) == GOOD
    assert parse(answer(models=json.dumps(MODELS, indent=2))) == GOOD


def test_nothing_answers() -> None:
    """curl prints the code 000 then."""
    silent = [
        line
        for name in ("health", "running", "anonymous", "models", "keys", "key")
        for line in (f"--- {name}", "", "000")
    ]

    assert parse(silent) == Served(with_key=0)


def test_who_is_shown_no_key_is_told() -> None:
    """Another certificate is told behind the answer without a key, a stranger in place of one."""
    stranger = parse([*answer()[:-3], "--- stranger"])
    other = parse([line for line in answer() if line != "401"] + ["--- other certificate"])

    assert (stranger.stranger, stranger.with_key) == (True, None)
    assert other.other_certificate
    assert str(stranger.complaint(["a", "b"], {})).startswith("somebody else listens")


def test_without_a_key_nobody_knows_what_a_key_would_get() -> None:
    assert parse(answer()[:-3]).with_key is None


@pytest.mark.parametrize(
    "body",
    [
        "<html>502</html>",
        "[]",
        "5",
        '"x"',
        "{}",
        '{"data": null}',
        '{"data": "x"}',
        '{"data": [5]}',
    ],
)
def test_a_stranger_on_the_proxys_port_lists_nothing(body: str) -> None:
    assert parse(answer(models=body)).listed == frozenset()


@pytest.mark.parametrize("body", ["no", '{"running": 5}', '{"running": ["a"]}', '{"running": {}}'])
def test_a_stranger_on_llama_swaps_port_runs_nothing(body: str) -> None:
    assert parse(answer(running=body)).states == {}


def test_no_answer_at_all() -> None:
    assert parse([]) == Served()
    assert parse(["sh: curl: command not found"]) == Served()


def test_the_key_is_no_argument_of_the_question() -> None:
    command = Answers().command(layout("/a b"), "sha256//x=")

    assert command.get_raw_value().endswith(
        "answers http://127.0.0.1:3000 sha256//x= '/a b/llama-swap' "
        "8080 '/a b/llama-swap/llama-swap.key' '/a b/llama-swap/proxy.log'"
    )


# -- What is not as it should be


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"llama_swap": 0}, "llama-swap does not answer on /health"),
        ({"keyless": 200}, "llama-swap answers HTTP 200 without its key, not 401"),
        ({"stranger": True}, "somebody else listens on the proxy's port, who was shown no key"),
        ({"other_certificate": True}, "the proxy shows another certificate than"),
        ({"anonymous": 200}, "the proxy answers HTTP 200 without a key, not 401"),
        ({"anonymous": 0}, "the proxy does not answer without a key"),
        ({"with_key": 401}, "the proxy answers HTTP 401 with a key, not 200"),
        ({"with_key": 0}, "the proxy does not answer with a key"),
        ({"refused": KEPT}, f"the proxy does not take its keys: {KEPT}"),
        ({"listed": frozenset({"a"})}, "llama-swap does not list b"),
        ({"listed": frozenset({"a", "b", "c"})}, "llama-swap lists what is not declared: c"),
        ({"listed": frozenset()}, "llama-swap does not list a, b"),
        ({"states": {}}, "not loaded: a"),
        ({"states": {"a": "stopping"}}, "not loaded: a"),
        ({"answered": frozenset()}, "loaded, but not known to answer: a"),
    ],
)
def test_each_fault_is_named(change: dict[str, object], words: str) -> None:
    served = Served(**{**GOOD.__dict__, **change})  # type: ignore[arg-type]

    assert str(served.complaint(["a", "b"], {"a": "a-mark"})).startswith(words)


def test_keys_that_the_proxy_refused_are_told_until_it_takes_some() -> None:
    assert parse(answer(keys=KEPT)).refused == KEPT
    assert parse(answer(keys=TAKEN)).refused == ""
    assert parse(answer(keys="")).refused == ""


def test_without_a_key_there_is_no_complaint_about_what_it_would_get() -> None:
    assert parse(answer()[:-3]).complaint(["a", "b"], {}) is None


def test_a_stack_that_serves_gives_no_complaint() -> None:
    assert GOOD.complaint(["b", "a"], {"a": "a-mark"}) is None
    assert GOOD.complaint(["a", "b"], {}) is None


def test_a_model_that_is_still_loading_is_not_loaded() -> None:
    assert GOOD.complaint(["a", "b"], {"a": "a-mark", "b": "b-mark"}) == "not loaded: b"


def test_a_model_that_is_loaded_and_answered_nothing_is_no_good_one() -> None:
    """Also in the next run: it is asked again."""
    assert GOOD.complaint(["a", "b"], {"a": "other-mark"}) == "loaded, but not known to answer: a"


def test_how_a_models_last_request_ended_is_told() -> None:
    lines = ["--- last", "recite 502 2026-11-23T00:07:20.803Z", "odd", "x y z"]

    assert parse(lines).failed == {"recite": "HTTP 502 at 2026-11-23T00:07:20.803Z"}
    assert parse([]).failed == {}
