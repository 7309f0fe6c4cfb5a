"""A draft with other tokens is told by headers, as llama.cpp would refuse it."""

from typing import Any

import pytest

from herd.core.models.gguf import Header
from herd.core.models.vocabularies import differ

KEYS: dict[str, Any] = {
    "general.architecture": "qwen3",
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": 151936,
    "tokenizer.ggml.add_bos_token": False,
    "tokenizer.ggml.bos_token_id": 151643,
    "tokenizer.ggml.add_eos_token": False,
    "tokenizer.ggml.eos_token_id": 151645,
}


def header(**keys: Any) -> Header:
    return Header(KEYS | {f"tokenizer.ggml.{key}": value for key, value in keys.items()}, 300)


ADDED = {"add_bos_token": True, "add_eos_token": True}


@pytest.mark.parametrize(
    ("model", "draft"),
    [
        ({}, {}),
        ({}, {"tokens": 151936 - 128}),
        ({}, {"tokens": 151936 + 128}),
        # Nobody puts them, so they are not looked at.
        ({}, {"bos_token_id": 1, "eos_token_id": 2}),
        (ADDED, ADDED),
        # What a header leaves to llama.cpp, it may fill in alike.
        ({}, {"model": None, "tokens": None, "add_bos_token": None}),
        ({"model": "gpt2"}, {"model": "gemma4"}),
    ],
)
def test_those_may_draft(model: dict[str, Any], draft: dict[str, Any]) -> None:
    assert differ(header(**model), header(**draft)) is None
    assert differ(header(**draft), header(**model)) is None


@pytest.mark.parametrize(
    ("model", "draft", "words"),
    [
        ({}, {"model": "llama"}, "has a tokenizer of the kind llama, and the model one of gpt2"),
        ({}, {"tokens": 32000}, "has 32000 tokens, and the model 151936"),
        ({}, {"tokens": 151936 + 129}, "has 152065 tokens, and the model 151936"),
        ({}, {"add_bos_token": True}, "puts BOS by itself, other than the model"),
        ({"add_eos_token": True}, {}, "does not put EOS by itself, other than the model"),
        (ADDED, {**ADDED, "bos_token_id": 1}, "has 1 for BOS, and the model 151643"),
        (ADDED, {**ADDED, "eos_token_id": 2}, "has 2 for EOS, and the model 151645"),
    ],
)
def test_those_may_not(model: dict[str, Any], draft: dict[str, Any], words: str) -> None:
    assert differ(header(**model), header(**draft)) == words
