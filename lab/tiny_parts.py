"""Tiny files beside the reciting model: what goes along with it, and models that make no text.

A real llama-server loads them all. The projectors turn any picture, or sound, into the same few
vectors, the adapter and the vector change nothing, embeddings are those of the last token, and
ranks are equal.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFWriter, PoolingType

from lab.reciter import WIDTH, Floats, _padding, _tensors, _write_metadata

# The picture encoder: two by two patches of 14 pixels, and a class token.
_SIGHT, _PATCH, _PIXELS = 32, 14, 28
# The sound encoder: Whisper's bins and places, of half a minute.
_HEARING, _BINS, _PLACES = 32, 128, 1500


def write_whole(path: Path, pooling: PoolingType | None = None) -> Path:
    """The reciting model in one file; with a pooling type, one for embeddings or for ranking."""
    experts, hidden = _padding(0)
    writer = GGUFWriter(_made(path), "llama")
    writer.add_type("model")
    _write_metadata(writer, path.stem, experts, hidden)
    if pooling is not None:
        writer.add_pooling_type(pooling)
        writer.add_sep_token_id(2)  # between a query and a document
    for name, values in _tensors(experts, hidden):
        writer.add_tensor(name, values)
    return _written(writer, path)


def write_projector(path: Path, file_type: int = 0) -> Path:
    """As LLaVA's: pictures, through a perceptron of two layers (tools/mtmd/clip.cpp, "mlp")."""
    writer = GGUFWriter(_made(path), "clip")
    writer.add_type("mmproj")
    writer.add_file_type(file_type)
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    for key, value in (
        *(("image_size", _PIXELS), ("patch_size", _PATCH), ("block_count", 1)),
        *(("embedding_length", _SIGHT), ("feed_forward_length", _SIGHT)),
        *(("projection_dim", WIDTH), ("attention.head_count", 1)),
    ):
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    for key in ("image_mean", "image_std"):
        writer.add_array(f"clip.vision.{key}", [0.5] * 3)
    places = (_PIXELS // _PATCH) ** 2 + 1
    writer.add_tensor("v.patch_embd.weight", _zeros(_SIGHT, 3, _PATCH, _PATCH))
    writer.add_tensor("v.class_embd", _zeros(_SIGHT))
    writer.add_tensor("v.position_embd.weight", _zeros(places, _SIGHT))
    for norm in ("v.pre_ln", "v.blk.0.ln1", "v.blk.0.ln2"):
        _add(writer, norm, np.ones(_SIGHT, dtype=np.float32))
    for matrix in ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down"):
        _add(writer, f"v.blk.0.{matrix}", _zeros(_SIGHT, _SIGHT))
    _add(writer, "mm.0", _zeros(WIDTH, _SIGHT))
    _add(writer, "mm.2", _zeros(WIDTH, WIDTH))
    return _written(writer, path)


def write_ears(path: Path) -> Path:
    """As Qwen2-Audio's: Whisper's encoder, and one matrix (tools/mtmd/clip.cpp, "qwen2a")."""
    writer = GGUFWriter(_made(path), "clip")
    writer.add_type("mmproj")
    writer.add_file_type(0)
    writer.add_bool("clip.has_audio_encoder", True)
    writer.add_string("clip.projector_type", "qwen2a")
    for key, value in (
        *(("block_count", 1), ("embedding_length", _HEARING), ("feed_forward_length", _HEARING)),
        *(("projection_dim", WIDTH), ("attention.head_count", 1), ("num_mel_bins", _BINS)),
    ):
        writer.add_uint32(f"clip.audio.{key}", value)
    writer.add_float32("clip.audio.attention.layer_norm_epsilon", 1e-5)
    for number, width in ((1, _BINS), (2, _HEARING)):
        # Whoever multiplies by them wants 16 bits.
        writer.add_tensor(f"a.conv1d.{number}.weight", _zeros(_HEARING, width, 3).astype("float16"))
        writer.add_tensor(f"a.conv1d.{number}.bias", _zeros(_HEARING, 1))
    writer.add_tensor("a.position_embd.weight", _zeros(_PLACES, _HEARING))
    for norm in ("a.blk.0.ln1", "a.blk.0.ln2", "a.post_ln"):
        _add(writer, norm, np.ones(_HEARING, dtype=np.float32))
    for matrix in ("attn_q", "attn_v", "attn_out", "ffn_up", "ffn_down"):
        _add(writer, f"a.blk.0.{matrix}", _zeros(_HEARING, _HEARING))
    writer.add_tensor("a.blk.0.attn_k.weight", _zeros(_HEARING, _HEARING))
    _add(writer, "mm.a.fc", _zeros(WIDTH, _HEARING))
    return _written(writer, path)


def write_adapter(path: Path) -> Path:
    """A LoRA of rank 4 that adds nothing."""
    writer = GGUFWriter(_made(path), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 1.0)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", _zeros(4, WIDTH))
    writer.add_tensor("blk.0.attn_q.weight.lora_b", _zeros(WIDTH, 4))
    return _written(writer, path)


def write_control_vector(path: Path) -> Path:
    """One that steers nowhere."""
    writer = GGUFWriter(_made(path), "controlvector")
    writer.add_string("controlvector.model_hint", "llama")
    writer.add_uint32("controlvector.layer_count", 1)
    writer.add_tensor("direction.1", _zeros(WIDTH))
    return _written(writer, path)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _zeros(*shape: int) -> Floats:
    return np.zeros(shape, dtype=np.float32)


def _add(writer: GGUFWriter, name: str, weight: Floats) -> None:
    writer.add_tensor(f"{name}.weight", weight)
    writer.add_tensor(f"{name}.bias", _zeros(weight.shape[0]))


def _written(writer: GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
