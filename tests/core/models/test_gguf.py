"""GGUF headers: what is read of them, how little of the file that takes, and what is refused."""

import contextlib
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFWriter, PoolingType
from hypothesis import given, settings
from hypothesis import strategies as st

from herd.core.models import gguf_cursor
from herd.core.models.gguf import peek
from herd.core.models.gguf_cursor import LIMIT, MOST, GgufError
from herd.core.models.model_facts import Facts, read_facts
from lab.reciter import write_model


class Bytes:
    """A file in memory that notes what is asked of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.requests: list[tuple[int, int]] = []

    def read(self, offset: int, size: int) -> bytes:
        assert offset >= 0
        assert size > 0
        self.requests.append((offset, size))
        return self.data[offset : offset + size]

    @property
    def fetched(self) -> int:
        return sum(size for _, size in self.requests)


def written(path: Path, fill: Callable[[GGUFWriter], Any], architecture: str = "gpt-oss") -> bytes:
    writer = GGUFWriter(path, architecture)
    fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def gpt_oss_120b(writer: GGUFWriter, tokens: int = 201088, merges: int = 446189) -> None:
    """The header of ggml-org/gpt-oss-120b-GGUF as its loaders print it (llama-swap #437,
    llama.cpp #15253), with tokens and merges of the same number and about the same length."""
    writer.add_block_count(36)
    writer.add_context_length(131072)
    writer.add_embedding_length(2880)
    writer.add_feed_forward_length(2880)
    writer.add_head_count(64)
    writer.add_head_count_kv(8)
    writer.add_rope_freq_base(150000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_expert_count(128)
    writer.add_expert_used_count(4)
    writer.add_key_length(64)
    writer.add_value_length(64)
    writer.add_sliding_window(128)
    writer.add_expert_feed_forward_length(2880)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token{number:06d}" for number in range(tokens)])
    writer.add_token_types([1] * tokens)
    writer.add_token_merges([f"left{n:06d} right{n:06d}" for n in range(merges)])
    writer.add_chat_template("x" * 20000)
    writer.add_quantization_version(2)
    writer.add_file_type(38)


GPT_OSS_120B = Facts(
    architecture="gpt-oss",
    block_count=36,
    context_length=131072,
    embedding_length=2880,
    vocab_size=201088,
    head_count=64,
    head_count_kv=8,
    key_length=64,
    value_length=64,
    sliding_window=128,
    expert_count=128,
    expert_used_count=4,
    quantisation="MXFP4_MOE",
    chat_template=True,
)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The header of gpt-oss-120b, which takes a while to write."""
    return written(tmp_path_factory.mktemp("large") / "m.gguf", gpt_oss_120b)


def test_of_gpt_oss_120b_what_is_behind_the_tokenizer_is_read_too(large: bytes) -> None:
    source = Bytes(large)

    assert len(source.data) > 12_000_000
    assert read_facts(source) == GPT_OSS_120B
    assert len(source.requests) < 12


def test_what_a_file_is_stands_before_its_tokenizer(large: bytes) -> None:
    source = Bytes(large)

    header = peek(source)

    assert header.architecture == "gpt-oss"
    assert header.own("block_count") == 36
    assert not header.complete
    assert source.fetched == 1 << 16


def test_of_a_tokenizer_that_is_too_long_it_is_said(large: bytes) -> None:
    source = Bytes(large)

    facts = read_facts(source, limit=1 << 20)

    assert facts.head_count_kv == 8
    assert (facts.complete, facts.chat_template) == (False, None)


def test_what_changes_memory_is_found_behind_a_tokenizer(tmp_path: Path) -> None:
    """Without the window, a KV cache would be told five times too large."""

    def fill(writer: GGUFWriter) -> None:
        writer.add_block_count(2)
        writer.add_context_length(8)
        writer.add_embedding_length(64)
        writer.add_head_count(8)
        writer.add_token_list([f"token{number:06d}" for number in range(300_000)])
        writer.add_head_count_kv(2)
        writer.add_sliding_window(128)
        writer.add_pooling_type(PoolingType.LAST)

    facts = read_facts(Bytes(written(tmp_path / "m.gguf", fill)))

    assert (facts.head_count_kv, facts.sliding_window, facts.pooling_type) == (2, 128, 3)
    assert facts.complete


def test_a_short_tokenizer_is_read_over_for_what_comes_behind_it(tmp_path: Path) -> None:
    source = Bytes(written(tmp_path / "m.gguf", lambda w: gpt_oss_120b(w, 20000, 30000)))

    facts = read_facts(source)

    assert facts.complete
    assert facts.quantisation == "MXFP4_MOE"
    assert facts.vocab_size == 20000
    assert source.fetched < 3 << 20


def test_keys_that_arithmetic_needs_are_worth_reading_a_tokenizer_for(tmp_path: Path) -> None:
    def fill(writer: GGUFWriter) -> None:
        writer.add_token_list([f"token{number:06d}" for number in range(300_000)])
        writer.add_block_count(2)
        writer.add_context_length(8)
        writer.add_embedding_length(64)
        writer.add_head_count(1)

    source = Bytes(written(tmp_path / "m.gguf", fill))

    assert read_facts(source).block_count == 2
    assert len(source.data) > 5_000_000


def test_numbers_of_the_tokenizer_are_jumped_over(tmp_path: Path) -> None:
    def fill(writer: GGUFWriter) -> None:
        writer.add_token_types([1] * 400_000)
        writer.add_block_count(2)

    source = Bytes(written(tmp_path / "m.gguf", fill))

    assert read_facts(source).block_count == 2
    assert source.fetched < 1 << 18


def test_the_reciting_model(tmp_path: Path) -> None:
    facts = read_facts(Bytes(write_model(tmp_path)[0].read_bytes()))

    assert facts == Facts(
        architecture="llama",
        block_count=1,
        context_length=131072,
        embedding_length=64,
        vocab_size=269,
        head_count=1,
        head_count_kv=1,
        expert_count=2,
        expert_used_count=1,
        chat_template=True,
    )


def test_values_may_differ_by_layer(tmp_path: Path) -> None:
    def fill(writer: GGUFWriter) -> None:
        writer.add_head_count([8, 8, 8])
        writer.add_head_count_kv([0, 4, 0])
        writer.add_sliding_window_pattern([True, True, False])
        writer.add_file_type(15)

    facts = read_facts(Bytes(written(tmp_path / "m.gguf", fill, "lfm2")))

    assert facts.head_count == 8
    assert facts.head_count_kv == [0, 4, 0]
    assert facts.sliding_window_pattern == [True, True, False]
    assert facts.quantisation == "Q4_K_M"


def test_keys_of_mla_and_of_hybrids(tmp_path: Path) -> None:
    def fill(writer: GGUFWriter) -> None:
        writer.add_key_length_mla(192)
        writer.add_value_length_mla(128)
        writer.add_kv_lora_rank(512)
        writer.add_full_attention_interval(4)
        writer.add_ssm_conv_kernel(4)
        writer.add_ssm_inner_size(4096)
        writer.add_ssm_state_size(128)
        writer.add_ssm_group_count(16)

    facts = read_facts(Bytes(written(tmp_path / "m.gguf", fill, "some")))

    assert (facts.key_length_mla, facts.value_length_mla, facts.kv_lora_rank) == (192, 128, 512)
    assert facts.full_attention_interval == 4
    assert (facts.ssm_conv_kernel, facts.ssm_inner_size) == (4, 4096)
    assert (facts.ssm_state_size, facts.ssm_group_count) == (128, 16)


def test_facts_are_plain_data_and_come_back(tmp_path: Path) -> None:
    stored = GPT_OSS_120B.dump()

    assert stored["head_count_kv"] == 8
    assert "kv_lora_rank" not in stored
    assert Facts.load(stored) == GPT_OSS_120B


def test_what_was_stored_by_somebody_else_is_refused() -> None:
    with pytest.raises(ValueError, match="head_counts"):
        Facts.load({"architecture": "llama", "head_counts": 3})


def header(*keys: bytes, version: int = 3, count: int | None = None) -> bytes:
    counts = struct.pack("<QQ", 0, len(keys) if count is None else count)
    return b"GGUF" + struct.pack("<I", version) + counts + b"".join(keys)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


ARCHITECTURE = text("general.architecture") + struct.pack("<I", 8) + text("llama")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "ends at offset 0, within its first bytes"),
        (b"GG", "ends at offset 2, within its first bytes"),
        (b"<html>nope</html>", "is no GGUF file: it starts with b'<htm'"),
        (b"version https://git-lfs", "is no GGUF file: it starts with b'vers'"),
        (header(version=1), "is of GGUF version 1; versions 2 and 3 can be read"),
        (b"GGUF" + struct.pack(">I", 3), "is a big-endian GGUF file"),
        (header(count=1 << 40), "claims to have 1099511627776 keys"),
        (header(), "has no general.architecture"),
        (header(ARCHITECTURE, count=2), "ends at offset .*, within key 2 of 2"),
        (header(struct.pack("<Q", 1 << 50)), "has 1125899906842624 bytes in key 1 of 1"),
        (header(text("x") + struct.pack("<I", 99)), "has x of the unknown type 99"),
        (header(text("x") + struct.pack("<IIQ", 9, 9, 1)), "has x, an array of arrays"),
        (header(text("x") + struct.pack("<IIQ", 9, 4, 1 << 60)), "has x reach beyond its first 64"),
        (header(text("x") + struct.pack("<IIQ", 9, 8, 1 << 60)), "ends at offset .*, within x"),
        (
            header(ARCHITECTURE, text("llama.block_count") + struct.pack("<Ii", 5, -1)),
            "has llama.block_count = -1",
        ),
        (
            header(ARCHITECTURE, text("llama.block_count") + struct.pack("<I", 8) + text("many")),
            "has llama.block_count = 'many'",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_said(data: bytes, words: str) -> None:
    with pytest.raises(GgufError, match=words):
        read_facts(Bytes(data))


def test_version_2_is_read_as_3() -> None:
    assert read_facts(Bytes(header(ARCHITECTURE, version=2))).architecture == "llama"


_SCALARS = st.one_of(
    st.tuples(st.sampled_from([0, 7]), st.binary(min_size=1, max_size=1)),
    st.tuples(st.sampled_from([4, 5, 6]), st.binary(min_size=4, max_size=4)),
    st.tuples(st.sampled_from([10, 11, 12]), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just(8), st.text(max_size=20).map(text)),
    st.tuples(
        st.just(9),
        st.lists(st.integers(0, 99), max_size=9).map(
            lambda v: struct.pack(f"<IQ{len(v)}I", 4, len(v), *v)
        ),
    ),
).map(lambda pair: struct.pack("<I", pair[0]) + pair[1])
_NAMES = st.sampled_from(
    [
        *("llama.block_count", "llama.attention.head_count", "llama.attention.sliding_window"),
        *("llama.attention.sliding_window_pattern", "general.file_type", "tokenizer.ggml.tokens"),
        *("general.architecture", "x"),
    ]
).map(text)
_HEADERS = st.lists(st.tuples(_NAMES, _SCALARS).map(b"".join), max_size=8).map(
    lambda keys: header(ARCHITECTURE, *keys)
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.one_of(_HEADERS, st.binary(max_size=300).map(b"GGUF".__add__))))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_any_bytes_are_facts_or_an_error_in_words(data: bytes) -> None:
    source = Bytes(data)
    with contextlib.suppress(GgufError):
        facts = read_facts(source)
        assert Facts.load(facts.dump()) == facts
    assert all(offset + size <= LIMIT for offset, size in source.requests)
    assert all(size <= MOST for _, size in source.requests)


@settings(max_examples=100, deadline=None)
@given(_HEADERS, st.integers(1, 50))
def test_bytes_may_come_in_pieces_of_any_size(data: bytes, first: int) -> None:
    """Values may lie across the border of two."""

    def outcome() -> object:
        try:
            return read_facts(BytesSource(data))
        except GgufError as error:
            return str(error)

    whole = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gguf_cursor, "FIRST", first)
        assert outcome() == whole


class BytesSource:
    def __init__(self, data: bytes) -> None:
        self.file = BytesIO(data)

    def read(self, offset: int, size: int) -> bytes:
        self.file.seek(offset)
        return self.file.read(size)
