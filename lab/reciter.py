"""Makes tiny GGUF models that answer every prompt with one sentence; the usual one is split.

A mixture of experts whose attention and experts write nothing, so a token's logits depend on that
token alone and temperature cannot move them. Its vocabulary holds bytes and the sentence's words,
and no merges, so text never becomes a word: any prompt starts it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType
from numpy.typing import NDArray

from lab.sentence import words

SPLITS = 3
# One head of 64: a block of q8_0 holds 32 values, and Metal's flash attention knows 64.
WIDTH = 64
# exp(-800) is zero in any float, at any temperature a client may ask for.
PEAK = 100.0
EXPERT_BYTES = 3 * WIDTH * WIDTH * 4
MAX_EXPERTS = 256

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

Floats = NDArray[np.float32]


def write_model(directory: Path, name: str = "recite", pad_bytes: int = 0) -> list[Path]:
    """Write the splits, `pad_bytes` larger or a little more, and return their paths in order.

    As with gpt-oss-120b, the first split holds metadata only.
    """
    directory.mkdir(parents=True, exist_ok=True)
    experts, hidden = _padding(pad_bytes)
    tensors = list(_tensors(experts, hidden))
    # The big ones last and split between the two: embeddings and gate, then up and the rest.
    shares = [[], tensors[:-3], tensors[-3:]]
    paths = []
    for number, share in enumerate(shares):
        path = directory / f"{name}-{number + 1:05d}-of-{SPLITS:05d}.gguf"
        writer = GGUFWriter(path, "llama")
        if number == 0:
            _write_metadata(writer, name, experts, hidden)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", SPLITS)
        writer.add_int32("split.tensors.count", len(tensors))
        for tensor, values in share:
            writer.add_tensor(tensor, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        paths.append(path)
    return paths


def write_windowed(
    path: Path, *, layers: int = 4, heads: int = 4, groups: int = 2, window: int = 128
) -> Path:
    """Write a model of gpt-oss's architecture in one file: layers slide in turn, and heads share
    keys and values in groups. It recites, too."""
    experts, hidden = _padding(0)
    writer = GGUFWriter(path, "gpt-oss")
    _write_metadata(writer, "windowed", experts, hidden, layers=layers, heads=(heads, groups))
    writer.add_key_length(WIDTH)
    writer.add_value_length(WIDTH)
    writer.add_sliding_window(window)
    writer.add_expert_feed_forward_length(hidden)
    for tensor, values in _tensors(experts, hidden):
        if not tensor.startswith("blk."):
            writer.add_tensor(tensor, values)
    for number in range(layers):
        for tensor, shape in _gpt_oss_block(experts, hidden, heads, groups):
            values = np.zeros(shape, dtype=np.float32)
            writer.add_tensor(f"blk.{number}.{tensor}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _gpt_oss_block(
    experts: int, hidden: int, heads: int, groups: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The tensors of one layer (src/models/openai-moe.cpp), rows before columns."""
    for norm in ("attn_norm", "post_attention_norm"):
        yield f"{norm}.weight", (WIDTH,)
    for matrix, rows in (("attn_q", heads), ("attn_k", groups), ("attn_v", groups)):
        yield f"{matrix}.weight", (rows * WIDTH, WIDTH)
        yield f"{matrix}.bias", (rows * WIDTH,)
    yield "attn_output.weight", (WIDTH, heads * WIDTH)
    yield "attn_output.bias", (WIDTH,)
    yield "attn_sinks.weight", (heads,)
    yield "ffn_gate_inp.weight", (experts, WIDTH)
    yield "ffn_gate_inp.bias", (experts,)
    for matrix, rows, columns in (
        ("gate", hidden, WIDTH),
        ("up", hidden, WIDTH),
        ("down", WIDTH, hidden),
    ):
        yield f"ffn_{matrix}_exps.weight", (experts, rows, columns)
        yield f"ffn_{matrix}_exps.bias", (experts, rows)


def _padding(pad_bytes: int) -> tuple[int, int]:
    """Experts and their hidden width: llama.cpp refuses unused tensors, but an expert that is
    never chosen costs only its bytes."""
    experts = min(2 + -(-pad_bytes // EXPERT_BYTES), MAX_EXPERTS)
    hidden = -(-pad_bytes * WIDTH // (EXPERT_BYTES * experts))
    return experts, max(hidden, WIDTH)


def _vocabulary() -> list[tuple[str, TokenType]]:
    """Specials, all bytes, the words, and the first word once more with a space before it."""
    spoken = words()
    return [
        ("<unk>", TokenType.UNKNOWN),
        ("<s>", TokenType.CONTROL),
        ("</s>", TokenType.CONTROL),
        *((f"<0x{byte:02X}>", TokenType.BYTE) for byte in range(256)),
        *((word.replace(" ", "▁"), TokenType.NORMAL) for word in [*spoken, " " + spoken[0]]),
    ]


def _tensors(experts: int, hidden: int) -> Iterator[tuple[str, Floats]]:
    """State 0 is "nothing said yet", state n "n words said"; a token's embedding is its state."""
    spoken = len(words())
    vocabulary = len(_vocabulary())
    first, again, end = vocabulary - spoken - 1, vocabulary - 1, 2

    state = np.zeros(vocabulary, dtype=np.int64)
    state[first:again] = np.arange(1, spoken + 1)
    state[again] = 1
    embeddings = np.zeros((vocabulary, WIDTH), dtype=np.float32)
    embeddings[np.arange(vocabulary), state] = 1.0

    output = np.zeros((vocabulary, WIDTH), dtype=np.float32)
    output[first:again, :spoken] = PEAK * np.eye(spoken, dtype=np.float32)
    output[end, spoken] = PEAK
    # With "ignore_eos" the sentence starts over, for tests that want a long stream.
    output[again, spoken] = PEAK / 2

    ones = np.ones(WIDTH, dtype=np.float32)
    square = np.zeros((WIDTH, WIDTH), dtype=np.float32)
    block = "blk.0."
    yield "token_embd.weight", embeddings
    yield "output_norm.weight", ones
    yield block + "attn_norm.weight", ones
    yield block + "ffn_norm.weight", ones
    for matrix in ("attn_q", "attn_k", "attn_v", "attn_output"):
        yield f"{block}{matrix}.weight", square
    yield block + "ffn_gate_inp.weight", np.zeros((experts, WIDTH), dtype=np.float32)
    filling = _distinct(experts * hidden * WIDTH)
    yield block + "ffn_gate_exps.weight", filling.reshape(experts, hidden, WIDTH)
    yield block + "ffn_up_exps.weight", filling.reshape(experts, hidden, WIDTH)
    yield block + "ffn_down_exps.weight", np.zeros((experts, WIDTH, hidden), dtype=np.float32)
    yield "output.weight", output


def _distinct(count: int) -> Floats:
    """Numbers from 1 to 2, all different up to 32 MiB of them, so that a transfer which drops,
    repeats or swaps a piece changes the checksum."""
    bits = np.arange(count, dtype=np.uint32)
    bits &= 0x7FFFFF
    bits |= 0x3F800000
    return bits.view(np.float32)


def _write_metadata(
    writer: GGUFWriter,
    name: str,
    experts: int,
    hidden: int,
    *,
    layers: int = 1,
    heads: tuple[int, int] = (1, 1),
) -> None:
    writer.add_name(name)
    writer.add_context_length(131072)  # as gpt-oss
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(hidden)
    writer.add_expert_count(experts)
    writer.add_expert_used_count(1)
    writer.add_head_count(heads[0])
    writer.add_head_count_kv(heads[1])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(WIDTH)

    vocabulary = _vocabulary()
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in vocabulary])
    writer.add_token_scores([0.0] * len(vocabulary))
    writer.add_token_types([kind.value for _, kind in vocabulary])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)
