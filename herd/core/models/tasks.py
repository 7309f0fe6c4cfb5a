"""What a model does: what is asked of it, and which flag of llama-server lets it answer that."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from herd.core.models.missing_files import Resolved
from herd.core.settings.schema import Model

CHAT, COMPLETION, EMBEDDING = "chat", "completion", "embedding"
RERANKING, SPEECH = "reranking", "speech"

# Encoders, which make no text (llama.cpp, src/llama-arch.cpp). Some of a kind have a pooling type
# for ranking.
_ENCODERS = {
    *("bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "neo-bert"),
    *("modern-bert", "eurobert", "gemma-embedding", "llama-embed", "t5encoder"),
}
# llama.h, llama_pooling_type: 0 is none, and one that is not specified is -1, as a count 2^32 - 1.
_POOLED, _RANK = (1, 2, 3), 4
_FLAGS = {
    **dict.fromkeys(("--rerank", "--reranking"), RERANKING),
    **dict.fromkeys(("--embedding", "--embeddings"), EMBEDDING),
}


def task_of(model: Model, files: Resolved | None) -> str:
    """As it is declared; else by the arguments and by what the headers say.

    A model without a template for chats is one for completions. Of one of which nobody knows
    (it is not locked, or was before anybody looked), a chat is expected.
    """
    if model.task != "auto":
        return model.task
    if asked := _by_arguments(model.extra_args):
        return asked
    header = files.gguf if files else {}
    pooling, architecture = header.get("pooling_type"), header.get("architecture")
    if model.pooling in ("mean", "cls", "last", "rank"):
        return RERANKING if model.pooling == "rank" else EMBEDDING
    if pooling == _RANK:
        return RERANKING
    if pooling in _POOLED or architecture in _ENCODERS:
        return EMBEDDING
    parts = files.parts if files else ()
    if any(part.role == "mmproj" and _only_hears(part.gguf) for part in parts):
        return SPEECH
    has_template = header.get("chat_template") is not False or model.chat_template_file
    has_template = has_template or model.chat_template
    return CHAT if has_template or _has_template(model.extra_args) else COMPLETION


def _by_arguments(extra: Sequence[str]) -> str | None:
    for flag, value in itertools.pairwise([*extra, ""]):
        if flag == "--pooling" and value != "none":
            return RERANKING if value == "rank" else EMBEDDING
    return next((_FLAGS[flag] for flag in extra if flag in _FLAGS), None)


def _has_template(extra: Sequence[str]) -> bool:
    return "--chat-template" in extra


def _only_hears(projector: Mapping[str, Any]) -> bool:
    senses = ("clip.has_audio_encoder", "clip.has_vision_encoder")
    return [bool(projector.get(sense)) for sense in senses] == [True, False]
