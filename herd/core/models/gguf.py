"""Reads the keys of a GGUF header, and of them what memory arithmetic needs; never weights.

The bytes come piecewise, as over HTTP ranges. Nearly all of a header is the tokenizer (13 MB of
gpt-oss-120b's), whose strings have no index to jump by. What a file is stands before it, so `peek`
ends there; of the file that is served, all keys are read, as some writers put theirs behind it.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

# Bytes of header that are read at all.
LIMIT = 64 << 20
# One request, at first and at most: what a file is stands in its first 16 KB.
FIRST, MOST = 64 << 10, 4 << 20

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


class TooLong(GgufError):
    """What reaches beyond the bytes that are read at all."""


class Source(Protocol):
    """Where the bytes of a file come from."""

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on: fewer at the end of the file, none behind it."""
        ...


Count = Annotated[int, Field(ge=0, lt=1 << 32)]
PerLayer = Count | list[Count]


class Facts(BaseModel):
    """What a model's header says, as it stands there; None is what it does not say.

    Every field but the first and the last three is a key below the architecture's name.
    `complete`: whether all keys were seen. `quantisation` is of most weights, not of all.
    `chat_template`: whether there is one; None where nobody looked.
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
    # What the layers of some architectures have instead, or beside it.
    feed_forward_length: list[Count] | None = None
    nextn_predict_layers: Count | None = None
    shared_kv_layers: Count | None = None
    recurrent_layers: PerLayer | None = None
    leading_dense_block_count: Count | None = None
    indexer_key_length: Count | None = None
    indexer_types: PerLayer | None = None
    indexer_top_k: Count | None = None
    compress_ratios: PerLayer | None = None
    wkv_head_size: Count | None = None
    token_shift_count: Count | None = None
    shortconv_l_cache: Count | None = None
    kda_head_dim: Count | None = None
    num_loops: Count | None = None
    # llama.h, llama_pooling_type: 0 none, 1 mean, 2 cls, 3 last, 4 rank.
    pooling_type: Count | None = None
    quantisation: str | None = None
    chat_template: bool | None = None
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
        **dict.fromkeys(
            ("shared_kv_layers", "recurrent_layers", "compress_ratios"), f"attention.{field}"
        ),
        "indexer_key_length": "attention.indexer.key_length",
        "indexer_types": "attention.indexer.types",
        "indexer_top_k": "attention.indexer.top_k",
        "wkv_head_size": "wkv.head_size",
        "shortconv_l_cache": "shortconv.l_cache",
        "kda_head_dim": "kda.head_dim",
    }.get(field, field)
    for field in Facts.model_fields
    if field not in ("architecture", "quantisation", "chat_template", "complete")
}
TOKENS = "tokenizer.ggml.tokens"
# Without these there is nothing to compute with, so they are worth reading a tokenizer for.
_ESSENTIAL = ("block_count", "context_length", "embedding_length", "head_count")


@dataclass(frozen=True)
class Header:
    """The keys of a file by their names, and how many tensors it has.

    Long texts are None; arrays are there if they have a number or less for each layer.
    `complete`: whether all keys were seen.
    """

    keys: Mapping[str, Any] = field(repr=False)
    tensors: int
    complete: bool = True

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


def read_facts(source: Source, *, limit: int = LIMIT) -> Facts:
    """The facts of one file: the only one, or the first split.

    Raises GgufError. Reads at most `limit` bytes; where a tokenizer is longer, it is said that the
    facts are not complete.
    """
    return facts_of(read(source, limit=limit))


def read(source: Source, *, limit: int = LIMIT) -> Header:
    """All keys, as far as they are within `limit`. Raises GgufError."""
    return _read(source, limit)


def _read(source: Source, limit: int, *, only_start: bool = False) -> Header:
    cursor = _Cursor(source, limit)
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
    return Header(found, tensors)


def _start(cursor: "_Cursor") -> tuple[int, int]:
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


def _has(found: Mapping[str, Any], fields: tuple[str, ...]) -> bool:
    architecture = found.get("general.architecture")
    return all(f"{architecture}.{_KEYS[field]}" in found for field in fields)


def facts_of(header: Header) -> Facts:
    """Of a model's header. Raises GgufError when it is none of a model, or odd."""
    found, architecture = header.keys, header.architecture
    if not architecture:
        raise GgufError("has no general.architecture")
    values = {field: found.get(f"{architecture}.{key}") for field, key in _KEYS.items()}
    values = {field: value for field, value in values.items() if value is not None}
    values.setdefault("vocab_size", found.get(TOKENS))
    if not isinstance(values.get("feed_forward_length"), list):
        values.pop("feed_forward_length", None)  # where it is the same, it tells nothing here
    for name in ("head_count", "head_count_kv", "indexer_types"):
        layers = values.get(name)
        if isinstance(layers, list) and len(set(layers)) == 1:
            values[name] = layers[0]
    if isinstance(layers := values.get("sliding_window_pattern"), list):
        values["sliding_window_pattern"] = [bool(slides) for slides in layers]
    if header.quantisation:
        values["quantisation"] = header.quantisation
    if header.complete:
        values["chat_template"] = "tokenizer.chat_template" in found
    try:
        return Facts(architecture=architecture, complete=header.complete, **values)
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
            raise TooLong(f"has {what} reach beyond its first {self._limit >> 20} MiB")

    def skip_texts(self, count: int, what: str) -> None:
        """Go on behind the next strings."""
        for _ in range(count):
            self.skip(self.unpack("Q", what)[0], what)

    def _reach(self, size: int, what: str) -> None:
        here = self.at - self._start
        if here >= 0 and here + size <= len(self._piece):
            return
        if self.at + size > self._limit:
            raise TooLong(f"has {what} reach beyond its first {self._limit >> 20} MiB")
        kept = self._piece[here:] if 0 <= here <= len(self._piece) else b""
        start = self.at + len(kept)
        wanted = max(size - len(kept), min(self._next, self._limit - start))
        self._next = min(2 * self._next, MOST)
        self._piece = kept + self._source.read(start, wanted)[:wanted]
        self._start = self.at
        if len(self._piece) < size:
            end = self._start + len(self._piece)
            raise GgufError(f"ends at offset {end}, within {what}")
