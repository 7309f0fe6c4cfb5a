"""Reads of a GGUF header what memory arithmetic needs, never weights.

The bytes come piecewise, as over HTTP ranges. Nearly all of a header is the tokenizer (13 MB of
gpt-oss-120b's), whose strings have no index to jump by; writers put it behind what we want, so
reading ends there unless it is short.
"""

import struct
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

# Bytes of header that are read for completeness; what comes later than that is left alone, once
# the keys that cannot be done without are there.
ENOUGH = 2 << 20
# Bytes of header that are read at all.
LIMIT = 64 << 20
# One request, at first and at most: what we want of most files is in their first 16 KB.
FIRST, MOST = 64 << 10, 1 << 20

_MAX_KEYS = 1 << 16
_MAX_KEY = (1 << 16) - 1  # ggml/docs/gguf.md: "must be at most 2^16-1 bytes long"
_MAX_TEXT = 1 << 10
_MAX_LAYERS = 1 << 12

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


class GgufError(ValueError):
    """Bytes that are no GGUF header, or none that we can read: a predicate of the file."""


class Source(Protocol):
    """Where the bytes of a file come from."""

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on: fewer at the end of the file, none behind it."""
        ...


Count = Annotated[int, Field(ge=0, lt=1 << 32)]
PerLayer = Count | list[Count]


class Facts(BaseModel):
    """What a model's header says, as it stands there; None is what it does not say.

    Every field but the first and the last two is a key below the architecture's name.
    `complete`: whether all keys were seen. `quantisation` is of most weights, not of all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str
    block_count: Count | None = None
    context_length: Count | None = None
    embedding_length: Count | None = None
    vocab_size: Count | None = None
    head_count: PerLayer | None = None
    head_count_kv: PerLayer | None = None
    key_length: Count | None = None
    value_length: Count | None = None
    key_length_swa: Count | None = None
    value_length_swa: Count | None = None
    key_length_mla: Count | None = None
    value_length_mla: Count | None = None
    kv_lora_rank: Count | None = None
    sliding_window: Count | None = None
    # A period, or whether each layer slides.
    sliding_window_pattern: Count | list[bool] | None = None
    expert_count: Count | None = None
    expert_used_count: Count | None = None
    full_attention_interval: Count | None = None
    ssm_conv_kernel: Count | None = None
    ssm_inner_size: Count | None = None
    ssm_state_size: Count | None = None
    ssm_group_count: Count | None = None
    quantisation: str | None = None
    complete: bool = True

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> "Facts":
        """From what `dump` gave. Raises ValueError when it is something else."""
        return cls.model_validate(dict(stored))

    def dump(self) -> dict[str, Any]:
        """Plain data for JSON, without what is unknown."""
        return self.model_dump(mode="json", exclude_defaults=True)


# By the field of Facts, the key below the architecture's name.
_KEYS = {
    field: {
        **dict.fromkeys(
            ("head_count", "head_count_kv", "key_length", "value_length"), f"attention.{field}"
        ),
        **dict.fromkeys(("key_length_swa", "value_length_swa"), f"attention.{field}"),
        **dict.fromkeys(("key_length_mla", "value_length_mla"), f"attention.{field}"),
        **dict.fromkeys(("kv_lora_rank", "sliding_window"), f"attention.{field}"),
        "sliding_window_pattern": f"attention.{field}",
        **dict.fromkeys(
            ("ssm_conv_kernel", "ssm_inner_size", "ssm_state_size", "ssm_group_count"),
            field.replace("ssm_", "ssm."),
        ),
    }.get(field, field)
    for field in Facts.model_fields
    if field not in ("architecture", "quantisation", "complete")
}
_TOKENS = "tokenizer.ggml.tokens"
# Without these there is nothing to compute with, so they are worth reading a tokenizer for.
_ESSENTIAL = ("block_count", "context_length", "embedding_length", "head_count")


def read_facts(source: Source, *, enough: int = ENOUGH, limit: int = LIMIT) -> Facts:
    """The facts of one file: the only one, or the first split.

    Raises GgufError. Reads at most `limit` bytes, and about `enough` where keys are in the order
    that llama.cpp's writers give them.
    """
    cursor = _Cursor(source, limit)
    keys = _start(cursor)
    found: dict[str, Any] = {}
    complete = True
    for number in range(keys):
        key = cursor.text(_MAX_KEY, f"key {number + 1} of {keys}")
        (kind,) = cursor.unpack("I", key)
        if kind != _ARRAY:
            found[key] = _scalar(cursor, kind, key)
            continue
        kind, count = cursor.unpack("IQ", key)
        if key == _TOKENS:
            found[key] = count
        if kind == _STRING:
            # Length and a few characters each, by the tokenizers of well-known models.
            if cursor.at + 16 * count > enough and _has_essentials(found):
                complete = False
                break
            cursor.skip_texts(count, key)
        elif kind in _FORMATS:
            wanted = count <= _MAX_LAYERS and not key.startswith("tokenizer.")
            if wanted:
                found[key] = list(cursor.unpack(f"{count}{_FORMATS[kind]}", key))
            else:
                cursor.skip(count * struct.calcsize(_FORMATS[kind]), key)
        else:
            raise GgufError(f"has {key}, an array of arrays or of the unknown type {kind}")
    return _facts(found, complete)


def _start(cursor: "_Cursor") -> int:
    """The number of keys, behind magic and version."""
    magic = cursor.take(4, "its first bytes")
    if magic != b"GGUF":
        raise GgufError(f"is no GGUF file: it starts with {magic!r}")
    (version,) = cursor.unpack("I", "the version")
    if version & 0xFFFF == 0:
        raise GgufError("is a big-endian GGUF file, which Macs cannot use")
    if version not in (2, 3):
        raise GgufError(f"is of GGUF version {version}; versions 2 and 3 can be read")
    _, keys = cursor.unpack("QQ", "the counts")
    if keys > _MAX_KEYS:
        raise GgufError(f"claims to have {keys} keys")
    return int(keys)


def _scalar(cursor: "_Cursor", kind: int, key: str) -> Any:
    if kind == _STRING:
        (length,) = cursor.unpack("Q", key)
        if length > _MAX_TEXT:  # a chat template, as a rule
            cursor.skip(length, key)
            return None
        return cursor.take(length, key).decode(errors="replace")
    if kind not in _FORMATS:
        raise GgufError(f"has {key} of the unknown type {kind}")
    return cursor.unpack(_FORMATS[kind], key)[0]


def _has_essentials(found: Mapping[str, Any]) -> bool:
    architecture = found.get("general.architecture")
    return all(f"{architecture}.{_KEYS[field]}" in found for field in _ESSENTIAL)


def _facts(found: Mapping[str, Any], complete: bool) -> Facts:
    architecture = found.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise GgufError("has no general.architecture")
    values = {field: found.get(f"{architecture}.{key}") for field, key in _KEYS.items()}
    values = {field: value for field, value in values.items() if value is not None}
    values.setdefault("vocab_size", found.get(_TOKENS))
    for field in ("head_count", "head_count_kv"):
        layers = values.get(field)
        if isinstance(layers, list) and len(set(layers)) == 1:
            values[field] = layers[0]
    if isinstance(layers := values.get("sliding_window_pattern"), list):
        values["sliding_window_pattern"] = [bool(slides) for slides in layers]
    kind = found.get("general.file_type")
    if isinstance(kind, int):
        values["quantisation"] = _QUANTISATIONS.get(kind, f"type {kind}")
    try:
        return Facts(architecture=architecture, complete=complete, **values)
    except ValueError as error:
        first = error.errors()[0] if hasattr(error, "errors") else {}
        where = ".".join(map(str, first.get("loc", ())))
        raise GgufError(f"has {architecture}.{where} = {first.get('input')!r:.80}") from None


class _Cursor:
    """A place in a file, of which one piece is here at a time."""

    def __init__(self, source: Source, limit: int) -> None:
        self.at = 0
        self._source = source
        self._limit = limit
        self._start = 0
        self._piece = b""
        self._next = FIRST

    def take(self, size: int, what: str) -> bytes:
        """The next bytes."""
        self._reach(size, what)
        start = self.at - self._start
        self.at += size
        return self._piece[start : start + size]

    def unpack(self, layout: str, what: str) -> tuple[Any, ...]:
        """The next values."""
        layout = f"<{layout}"
        return struct.unpack(layout, self.take(struct.calcsize(layout), what))

    def text(self, most: int, what: str) -> str:
        """The next string, which must not be longer."""
        (size,) = self.unpack("Q", what)
        if size > most:
            raise GgufError(f"has {size} bytes in {what}, at offset {self.at}")
        return self.take(size, what).decode(errors="replace")

    def skip(self, size: int, what: str) -> None:
        """Go on behind the next bytes, without reading what is not here."""
        self.at += size
        if self.at > self._limit:
            raise GgufError(f"has {what} reach beyond its first {self._limit >> 20} MiB")

    def skip_texts(self, count: int, what: str) -> None:
        """Go on behind the next strings."""
        for _ in range(count):
            self.skip(self.unpack("Q", what)[0], what)

    def _reach(self, size: int, what: str) -> None:
        here = self.at - self._start
        if here >= 0 and here + size <= len(self._piece):
            return
        if self.at + size > self._limit:
            raise GgufError(f"has {what} reach beyond its first {self._limit >> 20} MiB")
        kept = self._piece[here:] if 0 <= here <= len(self._piece) else b""
        start = self.at + len(kept)
        wanted = max(size - len(kept), min(self._next, self._limit - start))
        self._next = min(2 * self._next, MOST)
        self._piece = kept + self._source.read(start, wanted)[:wanted]
        self._start = self.at
        if len(self._piece) < size:
            end = self._start + len(self._piece)
            raise GgufError(f"ends at offset {end}, within {what}")
