"""What a projector works in, beside its weights: llama.cpp has room for its largest picture, or for
half a minute of sound, from the start (tools/mtmd/clip.cpp, warmup)."""

from collections.abc import Mapping
from typing import Any

from herd.core.text.units import MIB

SENSES = ("vision", "audio")
_SIZES = ("embedding_length", "feed_forward_length", "image_size", "patch_size")
TYPE = "clip.projector_type"
WINDOWS = "clip.vision.n_wa_pattern"
KEYS = (TYPE, WINDOWS, *(f"clip.{sense}.{size}" for sense in SENSES for size in _SIZES))
"""What of a projector's header this depends on."""

# Pieces that a picture is cut into, at most, where its size is as it comes: 46 by 46 tokens of two
# by two for Qwen's, and 32 by 32 for others. A sound's are 20 ms each.
_ANY_SIZE, _OF_QWEN, _OF_SOUND = 4096, 46 * 46 * 4, 1500
_UNKNOWN = 256 * MIB  # of one that was locked before its sizes were kept


def buffers(header: Mapping[str, Any]) -> int:
    """Bytes, with flash attention: more than `mtmd_get_memory_usage` has beside the weights of
    SigLIP, CLIP, Qwen2.5-VL, Qwen3-VL, Pixtral and Whisper (build 11434), and less than 1.2 times
    all of it."""
    found = [_of(header, sense) for sense in SENSES if f"clip.{sense}.embedding_length" in header]
    return sum(found) if found else _UNKNOWN


def _of(header: Mapping[str, Any], sense: str) -> int:
    def size(name: str) -> int:
        value = header.get(f"clip.{sense}.{name}")
        return value if isinstance(value, int) else 0

    pieces = _OF_SOUND
    if sense == "vision":
        pieces = min((size("image_size") // max(size("patch_size"), 1)) ** 2, _ANY_SIZE)
        if "vl_merger" in str(header.get(TYPE)):
            pieces = _OF_QWEN
    # Of each piece what goes into a layer, its attention, and what is between two matrices.
    found = pieces * (4 * size("embedding_length") + 2 * size("feed_forward_length")) * 4
    # Windows have a mask, in f32 and in f16.
    return found + (pieces**2 * 6 if sense == "vision" and header.get(WINDOWS) else 0)
