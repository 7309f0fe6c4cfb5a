"""What a model does: by declaration, arguments, and headers, in this order."""

from typing import Any

import pytest

from herd.core.models.missing_files import Part
from herd.core.models.tasks import task_of
from tests.core.samples import one_model, resolved

EARS = {"clip.has_audio_encoder": True}
EYES = {"clip.has_vision_encoder": True}

TASKS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a template": ({}, {"architecture": "llama", "chat_template": True}, "chat"),
    "none": ({}, {"architecture": "llama", "chat_template": False}, "completion"),
    "nobody looked": ({}, {"architecture": "llama"}, "chat"),
    "one of its own": ({"chat_template_file": "t.jinja"}, {"chat_template": False}, "chat"),
    "one by name": ({"chat_template": "chatml"}, {"chat_template": False}, "chat"),
    "one as an argument": (
        {"extra_args": ["--chat-template", "chatml"]},
        {"chat_template": False},
        "chat",
    ),
    "an encoder": ({}, {"architecture": "bert"}, "embedding"),
    "a pooling type": ({}, {"architecture": "qwen3", "pooling_type": 3}, "embedding"),
    "ranking": ({}, {"architecture": "bert", "pooling_type": 4}, "reranking"),
    "no pooling": (
        {},
        {"architecture": "qwen3", "pooling_type": 0, "chat_template": True},
        "chat",
    ),
    "a setting for pooling": ({"pooling": "last"}, {"architecture": "qwen3"}, "embedding"),
    "a setting for ranking": ({"pooling": "rank"}, {"architecture": "qwen3"}, "reranking"),
    "an argument": ({"extra_args": ["--embeddings"]}, {"architecture": "qwen3"}, "embedding"),
    "an argument for ranking": (
        {"extra_args": ["--jinja", "--rerank"]},
        {"architecture": "qwen3"},
        "reranking",
    ),
    "pooling as an argument": (
        {"extra_args": ["--pooling", "rank"]},
        {"architecture": "qwen3"},
        "reranking",
    ),
    "declared": ({"task": "completion"}, {"architecture": "bert"}, "completion"),
}


@pytest.mark.parametrize(("fields", "header", "task"), TASKS.values(), ids=TASKS)
def test_what_a_model_does(fields: dict[str, Any], header: dict[str, Any], task: str) -> None:
    model = one_model(**fields).models["tiny"]

    assert task_of(model, resolved(gguf=header)) == task


@pytest.mark.parametrize(
    ("senses", "task"), [(EARS, "speech"), (EYES, "chat"), (EARS | EYES, "chat")]
)
def test_a_projector_tells_what_it_takes(senses: dict[str, Any], task: str) -> None:
    part = Part("mmproj", "auto", "a projector", "t/p.gguf", {"t/p.gguf": 1}, senses)
    files = resolved(gguf={"architecture": "llama", "chat_template": True}, parts=(part,))

    assert task_of(one_model().models["tiny"], files) == task


def test_of_what_is_not_locked_a_chat_is_expected() -> None:
    assert task_of(one_model().models["tiny"], None) == "chat"
    assert task_of(one_model(pooling="mean").models["tiny"], None) == "embedding"
