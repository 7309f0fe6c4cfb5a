"""Whether what goes along is for a model: llama.cpp takes no adapter of other shapes, and ends over
a head of another width."""

import re
from collections.abc import Mapping

from herd.core.models.gguf import Header

Shapes = Mapping[str, tuple[int, ...]]

# Weights that take what a layer takes, so that each is as wide as the model.
_INPUTS = re.compile(r"blk\.\d+\.(attn_[qkv]|attn_qkv|ffn_gate|ffn_up)\.weight\.lora_a")
_LAYER = re.compile(r"blk\.(\d+)\.")


def differs(role: str, model: Header, part: Header, shapes: Shapes) -> str | None:
    """How a part is for another model, in words; None where its header shows no difference."""
    match role:
        case "lora":  # src/llama-adapter.cpp
            if model.architecture != part.architecture:
                return f"is for {part.architecture}, and the model is {model.architecture}"
            return _layers(model, shapes) or _width(
                model, {shape[0] for name, shape in shapes.items() if _INPUTS.fullmatch(name)}
            )
        case "control_vector":  # llama_adapter_cvec::apply
            return _width(model, {shape[0] for shape in shapes.values() if shape})
        case "draft" if part.architecture == "eagle3":  # src/models/eagle3.cpp
            return _width(model, {part.own("target_hidden_size")})
        case "draft" if part.architecture == model.architecture and is_head(shapes):
            return _width(model, {part.own("embedding_length")})  # common/speculative.cpp
    return None


def is_head(shapes: Shapes) -> bool:
    """Whether it holds what predicts further tokens (MTP), and no layers of the model itself
    (src/models/qwen35.cpp, `mtp_only`). Converters give both the same keys."""
    return any(".nextn." in name for name in shapes) and "blk.0.attn_norm.weight" not in shapes


def _width(model: Header, wide: set[int]) -> str | None:
    wanted = model.own("embedding_length")
    other = sorted(width for width in wide if isinstance(width, int) and width != wanted)
    if not other or not isinstance(wanted, int):
        return None
    return f"is for a model that is {other[0]} wide, and this one is {wanted}"


def _layers(model: Header, shapes: Shapes) -> str | None:
    count = model.own("block_count")
    last = max((int(found[1]) for name in shapes if (found := _LAYER.match(name))), default=-1)
    if not isinstance(count, int) or last < count:
        return None
    return f"is for a model of {last + 1} layers or more, and this one has {count}"
