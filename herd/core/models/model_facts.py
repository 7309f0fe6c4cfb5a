"""What memory arithmetic, and who serves it, need of a model's header."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from herd.core.models.gguf import TOKENS, Header, read
from herd.core.models.gguf_cursor import LIMIT, GgufError, Source

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


def read_facts(source: Source, *, limit: int = LIMIT) -> Facts:
    """The facts of one file: the only one, or the first split.

    Raises GgufError. Reads at most `limit` bytes; where a tokenizer is longer, it is said that the
    facts are not complete.
    """
    return facts_of(read(source, limit=limit))


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
