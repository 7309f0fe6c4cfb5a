"""What a GGUF file is by its header, as llama.cpp's and others' converters write it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from gguf import GGUFWriter

from herd.core.models.file_kinds import Kind, in_words, kind_of
from herd.core.models.gguf import peek
from tests.core.models.test_gguf import Bytes, written

Fill = Callable[[GGUFWriter], object]


def layers(count: int, **keys: int) -> Fill:
    def fill(writer: GGUFWriter) -> None:
        writer.add_block_count(count)
        for key, value in keys.items():
            writer.add_uint32(f"{writer.arch}.{key}", value)

    return fill


def typed(kind: str, **texts: str) -> Fill:
    def fill(writer: GGUFWriter) -> None:
        writer.add_type(kind)
        for key, value in texts.items():
            writer.add_string(key.replace("__", "."), value)

    return fill


def imatrix(writer: GGUFWriter) -> None:
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["wiki.txt"])
    writer.add_uint32("imatrix.chunk_count", 3)


def shifted(writer: GGUFWriter) -> None:
    writer.add_block_count(2)
    writer.add_bool("diffusion.shift_logits", True)


CASES: dict[str, tuple[str, Fill, Kind]] = {
    "a model": ("qwen3", layers(36), Kind.MODEL),
    "a model with heads of its own": ("qwen35", layers(37, nextn_predict_layers=1), Kind.MODEL),
    "an embedding model": ("bert", layers(12, pooling_type=2), Kind.MODEL),
    "a reranker": ("qwen3", layers(28, pooling_type=4), Kind.MODEL),
    "a projector": ("clip", typed("mmproj"), Kind.PROJECTOR),
    "a projector of before types": (
        "clip",
        lambda w: w.add_bool("clip.use_gelu", True),
        Kind.PROJECTOR,
    ),
    "an imatrix": ("", imatrix, Kind.IMATRIX),
    "a LoRA": ("llama", typed("adapter", adapter__type="lora"), Kind.LORA),
    "a LoRA of before types": ("llama", lambda w: w.add_string("adapter.type", "lora"), Kind.LORA),
    "a control vector": (
        "controlvector",
        lambda w: w.add_uint32("controlvector.layer_count", 31),
        Kind.CONTROL_VECTOR,
    ),
    "EAGLE-3": ("eagle3", layers(1), Kind.DRAFT),
    "DFlash": ("dflash", layers(5), Kind.DRAFT),
    "an assistant": ("gemma4-assistant", layers(4), Kind.DRAFT),
    "a head with the keys of one": ("glm4moe", layers(1, nextn_predict_layers=1), Kind.DRAFT),
    "pictures": ("flux", lambda w: w.add_quantization_version(2), Kind.DIFFUSION),
    "films": ("wan", lambda w: w.add_file_type(1), Kind.DIFFUSION),
    "language by diffusion": ("llada", layers(32), Kind.DIFFUSION),
    "more of it": ("brand-new", shifted, Kind.DIFFUSION),
    "a vocoder": ("wavtokenizer-dec", layers(12), Kind.VOCODER),
    "a vocabulary": ("llama", typed("vocab"), Kind.VOCABULARY),
    "of another program": ("whisper-like", lambda w: w.add_file_type(1), Kind.OTHER),
}


@pytest.mark.parametrize(("architecture", "fill", "kind"), CASES.values(), ids=CASES)
def test_it_is_told_by_its_header(
    architecture: str, fill: Fill, kind: Kind, tmp_path: Path
) -> None:
    data = written(tmp_path / "m.gguf", fill, architecture)
    if not architecture:
        data = data.replace(b"general.architecture", b"general.xrchitecture")

    assert kind_of(peek(Bytes(data))) is kind


def test_a_head_has_fewer_tensors_than_the_model_has_layers(tmp_path: Path) -> None:
    """The converter gives a head the keys of its model."""
    data = written(tmp_path / "m.gguf", layers(62, nextn_predict_layers=1), "glm4moe")

    kinds = [
        kind_of(peek(Bytes(data[:8] + count.to_bytes(8, "little") + data[16:])))
        for count in (12, 800)
    ]

    assert kinds == [Kind.DRAFT, Kind.MODEL]


def test_it_is_said_with_what_a_person_knows_it_by(tmp_path: Path) -> None:
    def fill(writer: GGUFWriter) -> None:
        writer.add_type("mmproj")
        writer.add_file_type(32)

    header = peek(Bytes(written(tmp_path / "m.gguf", fill, "clip")))
    assert in_words(kind_of(header), header) == "a projector (clip, BF16)"
