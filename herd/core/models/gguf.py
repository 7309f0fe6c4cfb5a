"""Reads the keys of a GGUF header, and the names and shapes of its tensors; never weights.

Nearly all of a header is the tokenizer (13 MB of gpt-oss-120b's), whose strings have no index to
jump by. What a file is stands before it, so `peek` ends there; of the file that is served, all keys
are read, as some writers put theirs behind it.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from herd.core.models.gguf_cursor import LIMIT, Cursor, GgufError, Source, TooLong

_MAX_KEYS = 1 << 16
_MAX_KEY = (1 << 16) - 1  # ggml/docs/gguf.md: "must be at most 2^16-1 bytes long"
_MAX_TEXT = 1 << 10
_MAX_LAYERS = 1 << 12
_MAX_TENSORS = 1 << 16
_MAX_DIMENSIONS = 4  # GGML_MAX_DIMS

# ggml/docs/gguf.md, gguf_metadata_value_type; 8 is a string, 9 an array.
_FORMATS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
_STRING, _ARRAY = 8, 9

# gguf.md, general.file_type, by llama.cpp's names (include/llama.h, llama_ftype).
_QUANTISATIONS = {
    **{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K"},
    **{11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S"},
    **{17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS"},
    **{23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S"},
    **{29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0"},
    **{38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0"},
}

TOKENS = "tokenizer.ggml.tokens"
# Without these there is nothing to compute with, so they are worth reading a tokenizer for.
_ESSENTIAL = ("block_count", "context_length", "embedding_length", "attention.head_count")


@dataclass(frozen=True)
class Header:
    """The keys of a file by their names, and how many tensors it has.

    Long texts are None; arrays are there if they have a number or less for each layer.
    `complete`: whether all keys were seen; then `end` is where the table of tensors begins.
    """

    keys: Mapping[str, Any] = field(repr=False)
    tensors: int
    complete: bool = True
    end: int = 0

    @property
    def architecture(self) -> str:
        """`general.architecture`, "" of a file that has none, as an imatrix."""
        found = self.keys.get("general.architecture")
        return found if isinstance(found, str) else ""

    def own(self, key: str) -> Any:
        """A key below the architecture's name."""
        return self.keys.get(f"{self.architecture}.{key}")

    @property
    def quantisation(self) -> str | None:
        """What most weights are in, by llama.cpp's name for it."""
        kind = self.keys.get("general.file_type")
        if not isinstance(kind, int):
            return None
        return _QUANTISATIONS.get(kind, f"type {kind}")


def peek(source: Source) -> Header:
    """What stands before a tokenizer, which tells what a file is. Raises GgufError."""
    return _read(source, LIMIT, only_start=True)


def read(source: Source, *, limit: int = LIMIT) -> Header:
    """All keys, as far as they are within `limit`. Raises GgufError."""
    return _read(source, limit)


def shapes(source: Source, header: Header) -> dict[str, tuple[int, ...]]:
    """By name, the shape of each tensor, its columns first. Raises GgufError."""
    if not header.complete or header.tensors > _MAX_TENSORS:
        raise GgufError("has a table of tensors that cannot be read")
    cursor = Cursor(source, LIMIT, header.end)
    found: dict[str, tuple[int, ...]] = {}
    for number in range(header.tensors):
        what = f"tensor {number + 1} of {header.tensors}"
        name = cursor.text(_MAX_KEY, what)
        (dimensions,) = cursor.unpack("I", what)
        if dimensions > _MAX_DIMENSIONS:
            raise GgufError(f"has {dimensions} dimensions in {what}")
        found[name] = cursor.unpack(f"{dimensions}Q", what)
        cursor.skip(4 + 8, what)  # its type, and its place
    return found


def _read(source: Source, limit: int, *, only_start: bool = False) -> Header:
    cursor = Cursor(source, limit)
    tensors, keys = _start(cursor)
    found: dict[str, Any] = {}
    for number in range(keys):
        key = cursor.text(_MAX_KEY, f"key {number + 1} of {keys}")
        (kind,) = cursor.unpack("I", key)
        if kind != _ARRAY:
            found[key] = _scalar(cursor, kind, key)
            continue
        kind, count = cursor.unpack("IQ", key)
        if key == TOKENS:
            found[key] = count
        if kind == _STRING:
            if only_start and key == TOKENS and _has(found, ("block_count",)):
                return Header(found, tensors, complete=False)
            try:
                cursor.skip_texts(count, key)
            except TooLong:
                if not _has(found, _ESSENTIAL):
                    raise
                return Header(found, tensors, complete=False)
        elif kind in _FORMATS:
            wanted = count <= _MAX_LAYERS and not key.startswith("tokenizer.")
            if wanted:
                found[key] = list(cursor.unpack(f"{count}{_FORMATS[kind]}", key))
            else:
                cursor.skip(count * struct.calcsize(_FORMATS[kind]), key)
        else:
            raise GgufError(f"has {key}, an array of arrays or of the unknown type {kind}")
    return Header(found, tensors, end=cursor.at)


def _start(cursor: Cursor) -> tuple[int, int]:
    """The numbers of tensors and keys, behind magic and version."""
    magic = cursor.take(4, "its first bytes")
    if magic != b"GGUF":
        raise GgufError(f"is no GGUF file: it starts with {magic!r}")
    (version,) = cursor.unpack("I", "the version")
    if version & 0xFFFF == 0:
        raise GgufError("is a big-endian GGUF file, which Macs cannot use")
    if version not in (2, 3):
        raise GgufError(f"is of GGUF version {version}; versions 2 and 3 can be read")
    tensors, keys = cursor.unpack("QQ", "the counts")
    if keys > _MAX_KEYS:
        raise GgufError(f"claims to have {keys} keys")
    return int(tensors), int(keys)


def _scalar(cursor: Cursor, kind: int, key: str) -> Any:
    if kind == _STRING:
        (length,) = cursor.unpack("Q", key)
        if length > _MAX_TEXT:  # a chat template, as a rule
            cursor.skip(length, key)
            return None
        return cursor.take(length, key).decode(errors="replace")
    if kind not in _FORMATS:
        raise GgufError(f"has {key} of the unknown type {kind}")
    return cursor.unpack(_FORMATS[kind], key)[0]


def _has(found: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    architecture = found.get("general.architecture")
    return all(f"{architecture}.{key}" in found for key in keys)
