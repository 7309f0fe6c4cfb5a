"""Five kinds of model on one Mac, with what goes along; a real llama-server, where there is one,
sees a picture, hears, embeds, ranks and takes drafts."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from gguf import PoolingType

from herd.core.mac.questions import question
from lab import llama_server, tiny_parts
from tests.e2e.fleet import SENTENCE, Fleet, plain
from tests.e2e.test_infra import verify
from tests.e2e.test_one_question import ONCE

# What each kind declares and is asked is decided in tests/core; here all go the whole way.
pytestmark = pytest.mark.soak

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwAD"
    "hgGAWjR9awAAAABJRU5ErkJggg=="
)
SEES, HEARS, SMALL = "lab/sees-GGUF", "lab/hears-GGUF", "lab/small-GGUF"
EMBEDS, RANKS = "lab/embeds-GGUF", "lab/ranks-GGUF"
# Behind a picture llama-server wants some text.
TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}\nAnswer:"
KINDS: dict[str, dict[str, Any]] = {
    "recite": {"draft": f"hf://{SMALL}/small.gguf"},
    "sees": {
        "repo": SEES,
        "lora": ["style.gguf:0.5"],
        "control_vector": ["calm.gguf"],
        "chat_template_file": "*.jinja",
    },
    # Half a minute of sound, to which all is filled up, are 1,500 tokens of an older build.
    "hears": {"repo": HEARS, "ctx_size": 2048},
    "embeds": {"repo": EMBEDS},
    "ranks": {"repo": RANKS},
}
MODELS = {name: {"ctx_size": 512, "preload": True, **fields} for name, fields in KINDS.items()}
DATA = {"models": MODELS, "llama_swap_matrix": {"sets": {"all": " & ".join(MODELS)}}}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1", fit_params=16)
    hub = fleet.lab.hub_root
    tiny_parts.write_whole(hub / SEES / "sees-Q4_K_M.gguf")
    for name, kind in (("BF16", 32), ("F16", 1), ("F32", 0)):
        tiny_parts.write_projector(hub / SEES / f"mmproj-{name}.gguf", kind)
    tiny_parts.write_whole(hub / HEARS / "hears.gguf")
    tiny_parts.write_ears(hub / HEARS / "hears-mmproj.gguf")
    tiny_parts.write_adapter(hub / SEES / "style.gguf")
    tiny_parts.write_control_vector(hub / SEES / "calm.gguf")
    (hub / SEES / "chat.jinja").write_text(TEMPLATE)
    tiny_parts.write_whole(hub / SMALL / "small.gguf")
    tiny_parts.write_whole(hub / EMBEDS / "embeds.gguf", PoolingType.LAST)
    tiny_parts.write_whole(hub / RANKS / "ranks.gguf", PoolingType.RANK)
    first = fleet.settles(mac1=DATA)
    assert "recite, sees, hears, embeds and ranks together fits, " in plain(first.err)
    yield fleet
    fleet.stop()


def test_every_kind_answers_in_its_own_way_and_the_second_run_changes_nothing(
    fleet: Fleet,
) -> None:
    fleet["mac1"].clear_log()
    run = fleet.deploy(mac1=DATA)

    assert run.code == 0, run.err
    assert run.changed("mac1") == set()
    assert len(fleet["mac1"].log) == ONCE
    assert fleet.says(model="sees") == SENTENCE
    assert fleet.ask("/v1/embeddings", {"model": "embeds", "input": "Hi"})["data"][0]["embedding"]
    query = {"model": "ranks", "query": "milk", "documents": ["a cow", "a Mac"]}
    assert len(fleet.ask("/v1/rerank", query)["results"]) == 2


def test_what_goes_along_is_fetched_and_given_to_llama_server(fleet: Fleet) -> None:
    config = (fleet["mac1"].home / "llama-swap/config.yaml").read_text()
    models = f"{fleet['mac1'].home}/llama-swap/models"

    for line in (
        f"--mmproj {models}/sees-GGUF/mmproj-BF16.gguf",
        f"{models}/small-GGUF/small.gguf",
        f"--lora-scaled {models}/sees-GGUF/style.gguf:0.5",
        f"--control-vector {models}/sees-GGUF/calm.gguf",
        f"--chat-template-file {models}/sees-GGUF/chat.jinja",
        "--embeddings",
        "--reranking",
    ):
        assert line in config
    there = {path.name for path in (fleet["mac1"].home / "llama-swap/models/sees-GGUF").iterdir()}
    assert {"sees-Q4_K_M.gguf", "mmproj-BF16.gguf", "chat.jinja"} <= there
    assert not there & {"mmproj-F16.gguf", "mmproj-F32.gguf"}


def test_a_picture_is_answered(fleet: Fleet) -> None:
    if less := llama_server.lacks():
        pytest.skip(less)
    content = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]
    body = {"model": "sees", "messages": [{"role": "user", "content": content}]}

    (choice,) = fleet.ask("/v1/chat/completions", body)["choices"]

    assert choice["message"]["content"] == SENTENCE


def test_speech_is_written_down(fleet: Fleet) -> None:
    if less := llama_server.lacks():
        pytest.skip(less)
    asked = question("speech", "hears", "What is said?")
    (message,) = json.loads(asked.body)["messages"]
    wav = base64.b64decode(message["content"][1]["input_audio"]["data"])

    (choice,) = fleet.ask(asked.path, json.loads(asked.body))["choices"]
    written = fleet.client("mac1").audio.transcriptions.create(
        model="hears", file=("speech.wav", wav)
    )

    assert choice["message"]["content"] == SENTENCE
    assert written.text == SENTENCE


def test_it_chats_in_its_own_way_from_the_workstation(fleet: Fleet) -> None:
    told = {
        name: plain(fleet.herd("chat", "--model", name, inventory=fleet.inventory(mac1=DATA)).out)
        for name in ("embeds", "ranks", "sees", "hears")
    }

    assert "numbers: " in told["embeds"]
    assert "A cow gives milk." in told["ranks"]
    assert SENTENCE in told["sees"]
    assert SENTENCE in told["hears"]


def test_it_is_verified_in_its_own_way(fleet: Fleet) -> None:
    done = verify(fleet, "-k", "own_way or streams", inventory=fleet.inventory(mac1=DATA))

    assert done.failed() == set()
    for told in ("hears: speech", "embeds: embedding", "ranks: reranking"):
        assert told in str(done.found)


def test_a_model_that_answers_nothing_fails_each_run_with_llama_servers_words(
    fleet: Fleet,
) -> None:
    """It is loaded and ready: the second run must say the same as the first."""
    if less := llama_server.lacks():
        pytest.skip(less)
    wrong = {**MODELS["embeds"], "task": "embedding", "pooling": "none"}
    data = {**DATA, "models": {**MODELS, "embeds": wrong}}
    for _ in range(2):
        run = fleet.deploy(mac1=data)
        assert run.code != 0
        assert "embeds does not answer on /v1/embeddings (HTTP 400)" in run.err
        assert "Pooling type 'none' is not OAI compatible" in run.err
    assert fleet.deploy(mac1=DATA).code == 0


def test_parts_that_are_no_longer_declared_go(fleet: Fleet) -> None:
    sees = {"repo": SEES, "ctx_size": 512, "mmproj": None, "preload": True}
    plainly = {**MODELS, "sees": sees, "recite": {"ctx_size": 512, "preload": True}}

    run = fleet.deploy(mac1={**DATA, "models": plainly, "models_prune": True})

    assert run.code == 0, run.err
    directory = fleet["mac1"].home / "llama-swap/models"
    assert [path.name for path in (directory / "sees-GGUF").glob("[!.]*")] == ["sees-Q4_K_M.gguf"]
    assert not (directory / "small-GGUF").exists()
    lock = json.loads((fleet.lab.directory / "models.lock").read_text())
    assert {model["name"] for model in lock["models"] if "parts" in model} == {"hears"}
