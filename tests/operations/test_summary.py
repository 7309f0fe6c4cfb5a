"""The request that the summary shows is of the kind that the first model answers."""

import shlex
from typing import Any

import pytest

from herd.core.models.missing_files import Part
from herd.operations.summary import _curl
from tests.core.samples import one_model, served

HEARS = Part("mmproj", "auto", "a projector", "p/p.gguf", {}, {"clip.has_audio_encoder": True})

KINDS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "chat": ({}, "/v1/chat/completions", ["-N", '"stream": true']),
    "completion": ({"gguf": {"chat_template": False}}, "/v1/completions", ["-N", '"prompt"']),
    "embedding": ({"gguf": {"architecture": "bert"}}, "/v1/embeddings", ['"input"']),
    "reranking": ({"gguf": {"pooling_type": 4}}, "/v1/rerank", ['"documents"']),
    "speech": (
        {"parts": (HEARS,), "gguf": {"chat_template": True}},
        "/v1/audio/transcriptions",
        ["-F", "model=tiny", "file=@speech.wav"],
    ),
}


@pytest.mark.parametrize(("files", "path", "words"), KINDS.values(), ids=KINDS)
def test_a_model_is_tried_in_its_own_way(
    files: dict[str, Any], path: str, words: list[str]
) -> None:
    own = one_model()
    text = _curl(own, "http://studio.local:3000", served(own, **files))

    assert shlex.split(text)[0] == "curl"
    assert f"http://studio.local:3000{path}" in shlex.split(text)
    for word in words:
        assert word in text
    assert ("-N" in words) is ("-N" in shlex.split(text))
