"""Whether a model can draft for another one: llama.cpp refuses a draft with other tokens."""

from typing import Any

from herd.core.models.gguf import TOKENS, Header

# By tokenizer.ggml.model, those of which llama.cpp makes different kinds (src/llama-vocab.cpp).
_KINDS = {"llama", "bert", "gpt2", "t5", "rwkv", "plamo2"}
_MOST = 128
"""Tokens that one may have more than the other (common/speculative.cpp, by which all this is)."""


def differ(model: Header, draft: Header) -> str | None:
    """How the draft's tokens are other ones, in words; None where headers show no difference.

    What a token stands for is not compared, nor what a header leaves to llama.cpp.
    """
    kinds = [_said(header, "model") for header in (model, draft)]
    if kinds[0] != kinds[1] and set(kinds) <= _KINDS:
        return f"has a tokenizer of the kind {kinds[1]}, and the model one of {kinds[0]}"
    counts = [header.keys.get(TOKENS) or header.own("vocab_size") for header in (model, draft)]
    if all(isinstance(count, int) for count in counts) and abs(counts[0] - counts[1]) > _MOST:
        return f"has {counts[1]} tokens, and the model {counts[0]}"
    for end in ("bos", "eos"):
        added = [_said(header, f"add_{end}_token") for header in (model, draft)]
        if None not in added and added[0] != added[1]:
            does = "puts" if added[1] else "does not put"
            return f"{does} {end.upper()} by itself, other than the model"
        ids = [_said(header, f"{end}_token_id") for header in (model, draft)]
        if added == [True, True] and None not in ids and ids[0] != ids[1]:
            return f"has {ids[1]} for {end.upper()}, and the model {ids[0]}"
    return None


def _said(header: Header, key: str) -> Any:
    return header.keys.get(f"tokenizer.ggml.{key}")
