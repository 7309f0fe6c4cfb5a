"""What goes along with a model, as arguments of the build that is there."""

from typing import Any

import pytest

from herd.core.mac.command_line import arguments
from herd.core.mac.llama_server_flags import CURRENT, Flags
from herd.core.models.file_kinds import Kind
from herd.core.models.missing_files import Part
from tests.core.samples import layout, resolved

OLD = Flags(frozenset({"--model-draft", "--embedding", "--rerank", "--lora"}), False)
MODELS = "/Users/me/llama-swap/models"


def part(
    role: str, source: str, kind: Kind | str, first: str = "X-GGUF/p.gguf", **gguf: Any
) -> Part:
    return Part(role, source, kind, first, {first: 1}, gguf)


def lines(*parts: Part, flags: Flags = CURRENT, header: Any = None, **fields: Any) -> list[str]:
    place = layout(models={"gpt-oss-120b": None, "tiny": {"repo": "me/tiny-GGUF", **fields}})
    files = resolved(parts=parts, gguf=header or {})
    return [
        " ".join(each) for each in arguments(place, place.settings.models["tiny"], files, flags)
    ]


PARTS: dict[str, tuple[Part, Flags, list[str]]] = {
    "a projector": (
        part("mmproj", "auto", Kind.PROJECTOR),
        CURRENT,
        [f"--mmproj {MODELS}/X-GGUF/p.gguf"],
    ),
    "a draft": (
        part("draft", "p.gguf", Kind.MODEL, architecture="qwen3"),
        CURRENT,
        [f"--spec-draft-model {MODELS}/X-GGUF/p.gguf", "--spec-type draft-simple"],
    ),
    "a draft of an older build": (
        part("draft", "p.gguf", Kind.MODEL),
        OLD,
        [f"--model-draft {MODELS}/X-GGUF/p.gguf"],
    ),
    "a head": (
        part("draft", "p.gguf", Kind.DRAFT, architecture="gemma4-assistant"),
        CURRENT,
        [f"--spec-draft-model {MODELS}/X-GGUF/p.gguf", "--spec-type draft-mtp"],
    ),
    "another head": (
        part("draft", "p.gguf", Kind.DRAFT, architecture="eagle3"),
        CURRENT,
        [f"--spec-draft-model {MODELS}/X-GGUF/p.gguf", "--spec-type draft-eagle3"],
    ),
    "an adapter": (part("lora", "p.gguf", Kind.LORA), CURRENT, [f"--lora {MODELS}/X-GGUF/p.gguf"]),
    "a scaled one": (
        part("lora", "hf://me/X-GGUF/p.gguf:-0.5", Kind.LORA),
        CURRENT,
        [f"--lora-scaled {MODELS}/X-GGUF/p.gguf:-0.5"],
    ),
    "a vector": (
        part("control_vector", "p.gguf:2", Kind.CONTROL_VECTOR),
        CURRENT,
        [f"--control-vector-scaled {MODELS}/X-GGUF/p.gguf:2"],
    ),
    "a template": (
        part("chat_template_file", "*.jinja", "", "X-GGUF/t.jinja"),
        CURRENT,
        [f"--chat-template-file {MODELS}/X-GGUF/t.jinja"],
    ),
}


@pytest.mark.parametrize(("each", "flags", "wanted"), PARTS.values(), ids=PARTS)
def test_a_part_has_its_flag(each: Part, flags: Flags, wanted: list[str]) -> None:
    found = lines(each, flags=flags)

    at = found.index(wanted[0])
    assert found[at : at + len(wanted)] == wanted
    assert set(found) - set(wanted) == set(lines(flags=flags))


def test_several_of_a_kind_are_one_argument() -> None:
    sources = ["a.gguf", "b.gguf:0.5", "c.gguf", "d.gguf:-1"]
    parts = [part("lora", s, Kind.LORA, f"X-GGUF/{s.partition(':')[0]}") for s in sources]

    found = [line for line in lines(*parts) if "--lora" in line]

    at = f"{MODELS}/X-GGUF"
    assert found == [
        f"--lora {at}/a.gguf,{at}/c.gguf",
        f"--lora-scaled {at}/b.gguf:0.5,{at}/d.gguf:-1",
    ]


def test_how_drafts_are_made_can_be_said() -> None:
    draft = part("draft", "p.gguf", Kind.DRAFT)

    assert [x for x in lines(draft, spec_type="draft-mtp,ngram-mod") if "spec-type" in x] == [
        "--spec-type draft-mtp,ngram-mod"
    ]


def test_a_file_that_an_argument_names_is_its_path() -> None:
    source = "hf://me/X-GGUF/g.gbnf"
    found = lines(part("file", source, "", "X-GGUF/g.gbnf"), extra_args=["--grammar-file", source])

    assert found[-1] == f"--grammar-file {MODELS}/X-GGUF/g.gbnf"


@pytest.mark.parametrize(
    ("header", "flags", "wanted"),
    [
        ({"architecture": "bert"}, CURRENT, "--embeddings"),
        ({"architecture": "bert"}, OLD, "--embedding"),
        ({"architecture": "bert", "pooling_type": 4}, CURRENT, "--reranking"),
        ({"architecture": "bert", "pooling_type": 4}, OLD, "--rerank"),
    ],
)
def test_what_makes_no_text_is_told_to_llama_server(
    header: dict[str, Any], flags: Flags, wanted: str
) -> None:
    assert wanted in lines(header=header, flags=flags)
    assert [x for x in lines(header=header, extra_args=["--rerank"]) if "rank" in x] == ["--rerank"]
