"""The stack as a whole: its strays are stopped, its own jobs are not, and it serves."""

import json
import re
from typing import Any

import pytest

from herd.core.mac import job_definitions
from herd.core.mac.job_definitions import LLAMA_SWAP, PROXY
from herd.operations import stack
from herd.workstation.api_keys import Held
from proxy.keys.key import Key
from tests.core.samples import BUNDLE, layout, served
from tests.facts.test_answers import KEPT, answer
from tests.operations.harness import Run, hidden, leaks, run
from tests.operations.test_launchd import NOT_LOADED, loaded

PLACE = layout()
PROXY_URL = "http://127.0.0.1:3000"
KEY = "sk-me-0123456789"
SWAP = "/opt/homebrew/bin/llama-swap --config /Users/me/llama-swap/config.yaml"
SERVER = "/opt/homebrew/bin/llama-server --model /Users/me/llama-swap/models/m.gguf"
PYTHON = "/x/bin/python -m proxy serve --config /Users/me/llama-swap/config.json"


def definition(job: str) -> dict[str, Any]:
    return job_definitions.definition(PLACE, job, bundle=BUNDLE, depends_on={})


def strays(*listeners: str, swap: int | None = None, proxy: int | None = None) -> Run:
    prints = {
        f"launchctl print gui/501/com.moonspirit.{name}": (
            loaded(definition(name), pid=pid) if pid else NOT_LOADED
        )
        for name, pid in ((LLAMA_SWAP, swap), (PROXY, proxy))
    }
    return run(
        stack.without_strays,
        layout=PLACE,
        bundle=BUNDLE,
        uid=501,
        answers={"listeners": "\n".join(listeners), **prints},
    )


def listens(port: int, pid: int, command: str, parent: int = 1) -> str:
    return f"port\t{port}\npid\t{pid}\t{parent}\t\t{command}"


def test_what_launchd_runs_is_no_stray_nor_are_its_children() -> None:
    found = strays(
        listens(8080, 11, SWAP),
        listens(3000, 12, PYTHON),
        listens(10001, 13, SERVER, parent=11),
        swap=11,
        proxy=12,
    )

    assert found.untouched


def test_what_was_started_by_hand_is_stopped() -> None:
    found = strays(listens(8080, 21, SWAP), listens(3000, 22, PYTHON))

    assert found.sent == ["stop-processes 21 22"]


def test_a_llama_server_whose_llama_swap_was_killed_is_stopped() -> None:
    found = strays(listens(8080, 11, SWAP), listens(10001, 13, SERVER), swap=11)

    assert found.sent == ["stop-processes 13"]


def test_a_strangers_process_is_not_stopped() -> None:
    assert strays(listens(3000, 31, "node server.js"), "port\t8080").untouched


def test_with_nothing_running_launchd_is_not_asked() -> None:
    assert len(strays().asked) == 1


# -- Serving

GOOD = answer(
    running=json.dumps({"running": []}), models=json.dumps({"data": [{"id": "gpt-oss-120b"}]})
)


SILENT = ["--- health", "000", "--- open", "000", "--- running", "000", "--- anonymous", "000"]


HELD = Held(KEY, Key(name="anna", digest=b""))
LACKING = Held(lacking="set HERD_API_KEY to the key of anna")


def serving(answers: Any, place: Any = PLACE, held: Held = HELD, **options: Any) -> Run:
    return run(
        stack.serving,
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

    assert "llama-swap lists a, b, not gpt-oss-120b" in found.sent[-1]
    assert found.sent[-1].endswith(">&2; exit 1")


def test_the_key_goes_to_stdin_and_shows_nowhere() -> None:
    for found in (serving(GOOD), serving(SILENT, fails=["verify"])):
        assert set(found.stdin) == {f'header = "Authorization: Bearer {KEY}"\n'}
        assert leaks(found, KEY) == []
