"""The stack is waited for until it serves: what is asked, what is skipped, what is no change."""

import json
import re
from typing import Any

import pytest

from herd.operations import serving as proof
from herd.workstation.api_keys import Held
from proxy.keys.key import Key
from tests.core.samples import layout, served
from tests.facts.test_answers import KEPT, answer
from tests.operations.harness import Run, hidden, leaks, run

PLACE = layout()
PROXY_URL = "http://127.0.0.1:3000"
KEY = "sk-me-0123456789"


GOOD = answer(
    running=json.dumps({"running": []}), models=json.dumps({"data": [{"id": "gpt-oss-120b"}]})
)


SILENT = ["--- health", "000", "--- open", "000", "--- running", "000", "--- anonymous", "000"]


HELD = Held(KEY, Key(name="anna", digest=b""))
LACKING = Held(lacking="set HERD_API_KEY to the key of anna")


def serving(answers: Any, place: Any = PLACE, held: Held = HELD, **options: Any) -> Run:
    return run(
        proof.serves,
        layout=place,
        held=hidden(held),
        pin="",
        models=served(place.settings, gguf=options.pop("gguf", {})),
        answers={"answers": answers, "readlink": "", **options.pop("answers_more", {})},
        **options,
    )


def test_a_stack_that_serves_is_left_alone_and_counts_as_no_change() -> None:
    assert serving(GOOD).untouched


def test_a_stack_that_does_not_serve_yet_is_waited_for() -> None:
    """Asked when planning, before waiting, and after."""
    said = iter([SILENT, SILENT, GOOD])
    found = serving(lambda _: next(said))

    assert found.sent == [
        "verify 60 930 http://127.0.0.1:3000 '' /Users/me/llama-swap "
        "8080 /Users/me/llama-swap/llama-swap.key "
        "/Users/me/llama-swap/llama-swap.log /Users/me/llama-swap/proxy.log"
    ]
    assert found.printed == found.sent
    assert found.changed


def test_models_to_preload_are_asked_for_one_token() -> None:
    place = layout(models={"gpt-oss-120b": {"preload": True}})
    found = serving(GOOD, place, fails=["verify"])

    (command,) = found.sent
    name, mark, url, path, body = command.split("proxy.log ")[1].split(maxsplit=4)
    assert (name, url, path) == ("gpt-oss-120b", PROXY_URL, "/v1/chat/completions")
    assert re.fullmatch("[0-9a-f]{16}", mark)
    assert '"max_tokens": 1' in body


@pytest.mark.parametrize(
    ("header", "path"),
    [
        ({"architecture": "bert"}, "/v1/embeddings"),
        ({"architecture": "bert", "pooling_type": 4}, "/v1/rerank"),
        ({"architecture": "llama", "chat_template": False}, "/v1/completions"),
    ],
)
def test_each_is_asked_for_what_it_does(header: dict[str, Any], path: str) -> None:
    place = layout(models={"gpt-oss-120b": {"preload": True}})
    (command,) = serving(GOOD, place, fails=["verify"], gguf=header).sent

    assert f" {PROXY_URL} {path} " in command


def test_a_model_that_is_loaded_is_asked_until_it_has_answered() -> None:
    """What failed in one run does in the next; what is changed has to answer again."""
    place = layout(models={"gpt-oss-120b": {"preload": True}})
    ready = json.dumps({"running": [{"model": "gpt-oss-120b", "state": "ready"}]})
    models = json.dumps({"data": [{"id": "gpt-oss-120b"}]})

    def answers(*marks: str) -> list[str]:
        return answer(running=ready, models=models, answered=marks)

    first = serving(answers(), place, fails=["verify"])
    mark = first.sent[0].split("proxy.log ")[1].split()[1]

    assert serving(answers("0123456789abcdef"), place, fails=["verify"]).sent == first.sent
    assert serving(answers(mark), place).untouched
    other = layout(models={"gpt-oss-120b": {"preload": True, "ctx_size": 4096}})
    assert serving(answers(mark), other, fails=["verify"]).sent != first.sent


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (LACKING, "skipped: requests with a key; set HERD_API_KEY to the key of anna"),
        (
            Held(KEY, Key(name="anna", digest=b"", models=("qwen*",))),
            "skipped: gpt-oss-120b with a key, as this one may not use it",
        ),
    ],
    ids=["no key", "a key for other models"],
)
def test_what_is_not_tried_with_a_key_is_told_and_the_model_is_loaded_all_the_same(
    held: Held, words: str
) -> None:
    place = layout(models={"gpt-oss-120b": {"preload": True}})
    found = serving(GOOD, place, held, fails=["verify"])

    assert any(words in line for line in found.everything)
    (command,) = found.sent
    assert command.split("proxy.log ")[1].split()[2] == "http://127.0.0.1:8080"


def test_keys_that_the_proxy_does_not_take_fail_the_deploy() -> None:
    found = serving(
        answer(
            running=json.dumps({"running": []}),
            models=json.dumps({"data": [{"id": "gpt-oss-120b"}]}),
            keys=KEPT,
        )
    )

    assert "the proxy does not take its keys" in found.sent[-1]


def test_a_stack_that_lists_other_models_fails_with_the_reason() -> None:
    found = serving(answer())

    assert "llama-swap does not list gpt-oss-120b" in found.sent[-1]
    assert found.sent[-1].endswith(">&2; exit 1")


def test_the_key_goes_to_stdin_and_shows_nowhere() -> None:
    for found in (serving(GOOD), serving(SILENT, fails=["verify"])):
        assert set(found.stdin) == {f'header = "Authorization: Bearer {KEY}"\n'}
        assert leaks(found, KEY) == []
