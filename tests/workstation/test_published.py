"""`make lock` of repositories as people publish them: headers by the `gguf` package, the lab's Hub,
the real client."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gguf import GGUFWriter

from herd.core.models.models_lock import Locked
from herd.core.settings.problems import SettingsError
from tests.core.models.test_gguf import written
from tests.workstation.conftest import Fleet

Fill = Callable[[GGUFWriter], Any]


def weights(file_type: int = 1, width: int = 64, **keys: Any) -> Fill:
    def fill(writer: GGUFWriter) -> None:
        writer.add_type("model")
        writer.add_block_count(2)
        writer.add_context_length(512)
        writer.add_embedding_length(width)
        writer.add_head_count(2)
        writer.add_file_type(file_type)
        for key, value in keys.items():
            writer.add_uint32(f"llama.{key}", value)
        writer.add_token_list(["a", "b"])
        writer.add_chat_template("{{ messages }}")

    return fill


def projector(file_type: int | None = 1, width: int = 0, audio: bool = False) -> Fill:
    def fill(writer: GGUFWriter) -> None:
        writer.add_type("mmproj")
        if file_type is not None:
            writer.add_file_type(file_type)
        writer.add_bool(f"clip.has_{'audio' if audio else 'vision'}_encoder", True)
        if width:
            writer.add_uint32("clip.vision.projection_dim", width)

    return fill


def imatrix(writer: GGUFWriter) -> None:
    writer.add_type("imatrix")
    writer.add_uint32("imatrix.chunk_count", 3)


def adapter(writer: GGUFWriter) -> None:
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")


def adapter_of_qwen(writer: GGUFWriter) -> None:
    adapter(writer)


def split(count: int) -> Fill:
    def fill(writer: GGUFWriter) -> None:
        weights()(writer)
        writer.add_uint16("split.count", count)

    return fill


def vector(writer: GGUFWriter) -> None:
    writer.add_uint32("controlvector.layer_count", 2)


def eagle(width: int) -> Fill:
    def fill(writer: GGUFWriter) -> None:
        writer.add_block_count(1)
        writer.add_uint32("eagle3.target_hidden_size", width)

    return fill


def shaped(fill: Fill, shapes: dict[str, tuple[int, ...]]) -> Fill:
    """The same with tensors, rows before columns."""

    def more(writer: GGUFWriter) -> None:
        fill(writer)
        for name, shape in shapes.items():
            writer.add_tensor(name, np.zeros(shape, dtype=np.float32))

    more.__name__, more.__qualname__ = fill.__name__, fill.__qualname__
    return more


def predicting(*layers: int, blocks: int = 2) -> Fill:
    """Of the model's own architecture, with one layer that predicts and these layers."""

    def fill(writer: GGUFWriter) -> None:
        weights()(writer)
        writer.add_nextn_predict_layers(1)
        for layer in layers:
            names = ["nextn.eh_proj" if layer == blocks else "attn_q", "attn_norm", "ffn_up"]
            for name in names:
                writer.add_tensor(f"blk.{layer}.{name}.weight", np.zeros(64, dtype=np.float32))

    return fill


CUT = "m.Q6_K.gguf.part2of2"


def head(writer: GGUFWriter) -> None:
    writer.add_block_count(1)
    writer.add_uint32("gemma4-assistant.nextn_predict_layers", 1)


ARCHITECTURES = {
    "projector": "clip",
    "vector": "controlvector",
    "head": "gemma4-assistant",
    "adapter_of_qwen": "qwen3",
    "eagle": "eagle3",
}


def put(fleet: Fleet, files: dict[str, Fill | bytes], repo: str = "me/pub-GGUF") -> None:
    for path, content in files.items():
        place = fleet.root / repo / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            place.write_bytes(content)
            continue
        name = getattr(content, "__name__", "")
        outer = content.__qualname__.split(".")[0]
        written(place, content, ARCHITECTURES.get(outer, ARCHITECTURES.get(name, "llama")))


def lock(fleet: Fleet, **terms: Any) -> Locked:
    return fleet.lock(mac1={"m": {"repo": "me/pub-GGUF", **terms}})["m"]


def refused(fleet: Fleet, **terms: Any) -> str:
    with pytest.raises(SettingsError) as found:
        lock(fleet, **terms)
    assert not fleet.path.exists()
    return str(found.value)


PUBLISHED: dict[str, tuple[dict[str, Fill | bytes], str, str | None]] = {
    "the projector's name ends in mmproj": (
        {"Qwen3VL-2B-F16.gguf": weights(), "Qwen3VL-2B-F16-mmproj.gguf": projector()},
        *("Qwen3VL-2B-F16.gguf", "Qwen3VL-2B-F16-mmproj.gguf"),
    ),
    "text model and projector by their names": (
        {"moondream2-text-model-f16.gguf": weights(), "moondream2-mmproj-f16.gguf": projector()},
        *("moondream2-text-model-f16.gguf", "moondream2-mmproj-f16.gguf"),
    ),
    "a projector that no name tells": (
        {"a.gguf": weights(), "vision-tower.gguf": projector()},
        *("a.gguf", "vision-tower.gguf"),
    ),
    "a model that is called like a projector": (
        {"mmproj-tuned.gguf": weights()},
        *("mmproj-tuned.gguf", None),
    ),
    "three projectors": (
        {
            "m-Q4_K_M.gguf": weights(15),
            "mmproj-BF16.gguf": projector(32),
            "mmproj-F16.gguf": projector(1),
            "mmproj-F32.gguf": projector(0),
        },
        *("m-Q4_K_M.gguf", "mmproj-BF16.gguf"),
    ),
    "two that lose nothing": (
        {"m.gguf": weights(), "mmproj-F32.gguf": projector(0), "mmproj-F16.gguf": projector(1)},
        *("m.gguf", "mmproj-F16.gguf"),
    ),
    "one that loses, and one that does not": (
        {"m.gguf": weights(), "mmproj-Q8_0.gguf": projector(7), "mmproj-F32.gguf": projector(0)},
        *("m.gguf", "mmproj-F32.gguf"),
    ),
    "projectors for models of two sizes": (
        {"m.gguf": weights(width=64), "a.gguf": projector(1, 128), "b.gguf": projector(0, 64)},
        *("m.gguf", "b.gguf"),
    ),
    "precisions that only names tell": (
        {
            "m.gguf": weights(),
            "mmproj.f32.gguf": projector(None),
            "mmproj.f16.gguf": projector(None),
            "mmproj.q8_0.gguf": projector(7),
        },
        *("m.gguf", "mmproj.f16.gguf"),
    ),
    "an imatrix": ({"m.gguf": weights(), "imatrix_unsloth.gguf": imatrix}, "m.gguf", None),
    "a head for drafts": ({"m.gguf": weights(), "MTP/x.gguf": head}, "m.gguf", None),
    "a head with a model's header": (
        {"m.gguf": weights(), "mtp-m.gguf": weights()},
        "m.gguf",
        None,
    ),
    "adapters": ({"m.gguf": weights(), "l.gguf": adapter, "v.gguf": vector}, "m.gguf", None),
    "a suffix in capitals": (
        {"M.GGUF": weights(), "MMPROJ.GGUF": projector()},
        "M.GGUF",
        "MMPROJ.GGUF",
    ),
    "a folder": ({"q4/m.gguf": weights(), "README.md": b"# M"}, "q4/m.gguf", None),
}


@pytest.mark.parametrize(("files", "first", "mmproj"), PUBLISHED.values(), ids=PUBLISHED)
def test_the_default_finds_the_model_and_its_projector(
    fleet: Fleet, files: dict[str, Fill | bytes], first: str, mmproj: str | None
) -> None:
    put(fleet, files)

    found = lock(fleet)

    assert found.first == first
    assert [file.path for file in found.files] == [first]
    assert [(part.role, part.first) for part in found.parts] == (
        [("mmproj", mmproj)] if mmproj else []
    )


def test_it_is_said_which_projector_that_is_and_why(fleet: Fleet) -> None:
    put(fleet, PUBLISHED["three projectors"][0])

    lock(fleet)

    (told,) = [line for line in fleet.said if line.startswith("m: ")]
    assert "mmproj mmproj-BF16.gguf (BF16, " in told
    assert "the smallest that loses nothing of 3" in told


def test_a_quantisation_that_is_asked_for_has_its_projector_too(fleet: Fleet) -> None:
    """As `llama-server -hf` has it."""
    put(
        fleet,
        {"m-Q4_K_M.gguf": weights(15), "m-Q8_0.gguf": weights(7), "mmproj-m.gguf": projector()},
    )

    found = lock(fleet, include=["*Q4_K_M*"])

    assert (found.first, found.parts[0].first) == ("m-Q4_K_M.gguf", "mmproj-m.gguf")


def test_a_projector_is_as_declared(fleet: Fleet) -> None:
    put(fleet, PUBLISHED["three projectors"][0])

    assert lock(fleet, mmproj="*F32*").parts[0].first == "mmproj-F32.gguf"
    assert lock(fleet, mmproj=None).parts == []
    other = {"there/own.gguf": projector()}
    put(fleet, other, "you/eyes-GGUF")
    found = lock(fleet, mmproj="hf://you/eyes-GGUF/there/*.gguf").parts[0]
    assert (found.repo, found.first) == ("you/eyes-GGUF", "there/own.gguf")


NONE: dict[str, tuple[dict[str, Fill | bytes], dict[str, Any], list[str]]] = {
    "an adapter": ({"l.gguf": adapter}, {}, ["matches no model: l.gguf, a LoRA adapter (llama)"]),
    "a projector": ({"p.gguf": projector()}, {}, ["p.gguf, a projector (clip, F16)"]),
    "a head": ({"h.gguf": head}, {}, ["h.gguf, a draft head (gemma4-assistant)"]),
    "case of a pattern": (
        {"m-q4_k_m.gguf": weights(15), "m-q8_0.gguf": weights(7)},
        {"include": ["*Q4_K_M*"]},
        [
            "matches nothing; me/pub-GGUF has m-q4_k_m.gguf, m-q8_0.gguf",
            '"include": ["m-q4_k_m.gguf"]',
        ],
    ),
    "several": (
        {"m-Q8_0.gguf": weights(7), "m-Q4_K_M.gguf": weights(15), "p.gguf": projector()},
        {},
        [
            "matches 2 models: m-Q4_K_M.gguf (Q4_K_M, ",
            "m-Q8_0.gguf (Q8_0, ",
            '"include": ["m-Q4_K_M.gguf"]',
        ],
    ),
    "pieces": (
        {"m.gguf.part1of2": b"GGUF", "m.gguf.part2of2": b"x"},
        {},
        ["me/pub-GGUF has m.gguf.part1of2, m.gguf.part2of2: pieces of a file"],
    ),
    "other pieces": (
        {"m.gguf-split-a": b"GGUF", "m.gguf-split-b": b"x"},
        {},
        ["me/pub-GGUF has m.gguf-split-a, m.gguf-split-b: pieces of a file"],
    ),
    "a part that is none": (
        {"m.gguf": weights(), "l.gguf": adapter},
        {"draft": "l.gguf"},
        [
            "draft='l.gguf' matches l.gguf, a LoRA adapter (llama): draft wants a model or a "
            "draft head"
        ],
    ),
    "a part that is not there": (
        {"m.gguf": weights(), "mtp-m.gguf": head},
        {"draft": "*MTP*"},
        [
            "draft='*MTP*' matches nothing; me/pub-GGUF has m.gguf, mtp-m.gguf",
            '"draft": "mtp-m.gguf"',
        ],
    ),
    "two that do different things": (
        {"m.gguf": weights(), "eyes.gguf": projector(), "ears.gguf": projector(audio=True)},
        {},
        ["me/pub-GGUF has projectors that do different things", '"mmproj": "ears.gguf"'],
    ),
    "renamed splits": (
        {"m.gguf": split(3)},
        {},
        ["m.gguf is 3 files by its header, and 1 by its name: llama.cpp would not find"],
    ),
    "cut without keys": (
        {"m-00001-of-00002.gguf": weights(), "m-00002-of-00002.gguf": b"rest"},
        {},
        ["m-00001-of-00002.gguf is 1 file by its header, and 2 by its name"],
    ),
    "splits in capitals": (
        {"m-00001-of-00002.GGUF": split(2), "m-00002-of-00002.GGUF": split(2)},
        {},
        ["has splits whose names end in .GGUF, which llama.cpp does not find"],
    ),
    "an adapter for another model": (
        {"m.gguf": weights(), "l.gguf": adapter_of_qwen},
        {"lora": ["l.gguf"]},
        ["lora='l.gguf' is not for m.gguf: l.gguf is for qwen3, and the model is llama"],
    ),
    "an adapter for a wider model": (
        {"m.gguf": weights(), "l.gguf": shaped(adapter, {"blk.0.attn_q.weight.lora_a": (4, 128)})},
        {"lora": ["l.gguf"]},
        ["l.gguf is for a model that is 128 wide, and this one is 64"],
    ),
    "an adapter for a deeper model": (
        {"m.gguf": weights(), "l.gguf": shaped(adapter, {"blk.7.ffn_down.weight.lora_a": (4, 9)})},
        {"lora": ["l.gguf"]},
        ["l.gguf is for a model of 8 layers or more, and this one has 2"],
    ),
    "a control vector for another model": (
        {"m.gguf": weights(), "v.gguf": shaped(vector, {"direction.1": (128,)})},
        {"control_vector": ["v.gguf"]},
        ["v.gguf is for a model that is 128 wide, and this one is 64"],
    ),
    "an adapter with a comma in its name": (
        {"m.gguf": weights(), "a,b.gguf": adapter},
        {"lora": ["a*b.gguf"]},
        ["is 'a,b.gguf', and a comma parts names in llama-server's list"],
    ),
    "a head for a wider model": (
        {"m.gguf": weights(), "e.gguf": eagle(128)},
        {"draft": "e.gguf"},
        ["cannot draft for m.gguf: e.gguf is for a model that is 128 wide, and this one is 64"],
    ),
    "pieces of what is asked for, beside whole files": (
        {"m.Q4_K_M.gguf": weights(15), **dict.fromkeys(("m.Q6_K.gguf.part1of2", CUT), b"x")},
        {"include": ["*Q6_K*"]},
        ["me/pub-GGUF has m.Q6_K.gguf.part1of2, m.Q6_K.gguf.part2of2: pieces of a file"],
    ),
    "pieces by the name of the whole": (
        {"m.Q4_K_M.gguf": weights(15), "m.Q6_K.gguf-split-a": b"GGUF"},
        {"include": ["m.Q6_K.gguf"]},
        ["me/pub-GGUF has m.Q6_K.gguf-split-a: pieces of a file"],
    ),
    "files of whisper.cpp": (
        {"ggml-base.en.bin": b"lmgg"},
        {},
        ["has ggml-base.en.bin: no GGUF file, and llama-server serves no others"],
    ),
    "files of PyTorch": (
        {"model.safetensors": b"x"},
        {"include": ["*.safetensors"]},
        ["has model.safetensors: no GGUF file, and llama-server serves no others"],
    ),
    "a tokenizer alone": (
        {"ggml-vocab-llama-bpe.gguf": weights()},
        {},
        ["ggml-vocab-llama-bpe.gguf, a vocabulary without weights"],
    ),
    "a repository that is not there": (
        {"m.gguf": weights()},
        {"lora": ["hf://me/absent/l.gguf"]},
        ["lora='hf://me/absent/l.gguf' me/absent is not on http"],
    ),
}


@pytest.mark.parametrize(("files", "terms", "words"), NONE.values(), ids=NONE)
def test_what_cannot_be_served_is_refused_with_what_it_is(
    fleet: Fleet, files: dict[str, Fill | bytes], terms: dict[str, Any], words: list[str]
) -> None:
    put(fleet, files)

    told = refused(fleet, **terms)

    for each in words:
        assert each in told


def test_all_that_goes_along_is_locked(fleet: Fleet) -> None:
    put(fleet, {"m.gguf": weights(), "mtp-m.gguf": head, "t.jinja": b"{{ messages }}"})
    put(fleet, {"l.gguf": adapter, "v.gguf": vector, "g.gbnf": b"root ::= [a-z]+"}, "you/more")

    found = lock(
        fleet,
        draft="mtp-*",
        lora=["hf://you/more/l.gguf:0.5"],
        control_vector=["hf://you/more/v.gguf"],
        chat_template_file="t.jinja",
        extra_args=["--grammar-file", "hf://you/more/g.gbnf"],
    )

    assert [(part.role, part.repo, part.first) for part in found.parts] == [
        ("draft", "me/pub-GGUF", "mtp-m.gguf"),
        ("lora", "you/more", "l.gguf"),
        ("control_vector", "you/more", "v.gguf"),
        ("chat_template_file", "me/pub-GGUF", "t.jinja"),
        ("file", "you/more", "g.gbnf"),
    ]
    files = found.resolved(fleet.url)
    assert [file.path for file in files.files] == ["m.gguf", "mtp-m.gguf", "t.jinja"]
    assert [(each.directory, [f.path for f in each.files]) for each in files.elsewhere] == [
        ("more", ["l.gguf", "v.gguf", "g.gbnf"])
    ]
    assert list(files.weights) == ["m.gguf"]
    fleet.lock(mac1={"m": {"repo": "me/pub-GGUF", "draft": "mtp-*"}})
    assert "lora none, not 'hf://you/more/l.gguf:0.5'" in fleet.said[0]


CLASHES: dict[str, list[tuple[str, str]]] = {
    "repositories": [("lab/X-GGUF", "a.gguf"), ("other/x-gguf", "b.gguf")],
    "owners": [("lab/X-GGUF", "a.gguf"), ("other/X-GGUF", "a.gguf")],
    "files": [("me/q", "m-Q4_k_m.gguf"), ("me/q", "m-Q4_K_M.gguf")],
    "folders": [("me/q", "q4/a.gguf"), ("me/q", "Q4/b.gguf")],
}


@pytest.mark.parametrize("models", CLASHES.values(), ids=CLASHES)
def test_two_models_of_a_mac_that_are_one_on_its_disk_are_refused(
    fleet: Fleet, models: list[tuple[str, str]]
) -> None:
    declared = {}
    for number, (repo, path) in enumerate(models):
        put(fleet, {path: weights()}, repo)
        declared[f"m{number}"] = {"repo": repo, "include": [path]}

    with pytest.raises(SettingsError, match=r"mac1: models\.m[01]"):
        fleet.lock(mac1=declared)
    one, other = declared.items()
    assert len(fleet.lock(mac1=dict([one]), mac2=dict([other]))) == 2


SEVERAL: dict[str, tuple[dict[str, Fill | bytes], dict[str, Any]]] = {
    "files": ({"m-Q8_0.gguf": weights(7), "m-Q4_K_M.gguf": weights(15)}, {}),
    "folders": (
        {
            f"{kind}/m-{kind}-0000{n}-of-00002.gguf": split(2)
            for kind in ("Q8_0", "Q4_K_M")
            for n in (1, 2)
        },
        {},
    ),
    "small letters": ({"a.q4_k_m.gguf": weights(15)}, {"include": ["*Q4_K_M*"]}),
    "odd names": ({"m [1]*.gguf": weights(), "m [2]?.gguf": weights()}, {}),
    "not in the top folder": ({"q/m-Q4_K_M.gguf": weights(15)}, {"include": ["m-Q4_K_M.gguf"]}),
    "another name for it": ({"m.Q4_K_M.gguf": weights(15)}, {"include": ["*-Q4_K_M.gguf"]}),
}


@pytest.mark.parametrize(("files", "terms"), SEVERAL.values(), ids=SEVERAL)
def test_the_line_that_is_told_can_be_written(
    fleet: Fleet, files: dict[str, Fill | bytes], terms: dict[str, Any]
) -> None:
    put(fleet, files)
    line = re.search(r'"include": (\[".*?"\])', refused(fleet, **terms))

    assert line
    found = lock(fleet, include=json.loads(line[1]))
    assert found.first in files


def draft(tokens: int) -> Fill:
    def fill(writer: GGUFWriter) -> None:
        writer.add_block_count(1)
        writer.add_embedding_length(64)
        writer.add_head_count(2)
        writer.add_context_length(512)
        writer.add_token_list([str(number) for number in range(tokens)])

    return fill


def test_a_draft_with_other_tokens_is_refused_and_one_with_the_same_is_not(fleet: Fleet) -> None:
    put(fleet, {"m.gguf": weights(), "same.gguf": draft(2), "other.gguf": draft(200)})

    assert (
        "draft='other.gguf' cannot draft for m.gguf: other.gguf has 200 tokens, and the model 2"
    ) in refused(fleet, include=["m.gguf"], draft="other.gguf")
    assert lock(fleet, include=["m.gguf"], draft="same.gguf").parts[0].first == "same.gguf"


HEADS: dict[str, tuple[Fill, str]] = {
    # Fewer tensors than a model of so few layers has layers: its keys tell nothing.
    "layers that predict, and no others": (predicting(2), "a draft head"),
    "a model with such layers": (predicting(0, 1, 2), "a model"),
    "a head without tensors, by its name": (predicting(), "a draft head"),
    "another architecture": (eagle(64), "a draft head"),
}


@pytest.mark.parametrize(("fill", "kind"), HEADS.values(), ids=HEADS)
def test_a_head_is_told_from_a_model_by_its_tensors(fleet: Fleet, fill: Fill, kind: str) -> None:
    """llama-server (build 11434) ends over a head that it is to take for a model."""
    put(fleet, {"m.gguf": weights(), "mtp-m.gguf": fill})

    found = lock(fleet, draft="mtp-*.gguf")

    assert [(part.role, part.first, part.kind) for part in found.parts] == [
        ("draft", "mtp-m.gguf", kind)
    ]


@pytest.mark.parametrize("revision", ["v1.0", "refs/pr/3", "user/topic"])
def test_a_revision_is_a_branch_a_tag_or_a_request(fleet: Fleet, revision: str) -> None:
    put(fleet, {"m.gguf": weights(), "l.gguf": adapter, ".refs": f"{revision}\n".encode()})
    written = revision if revision.startswith("refs/pr/") else revision.replace("/", "%2F")

    found = lock(fleet, revision=revision, lora=[f"hf://me/pub-GGUF@{written}/l.gguf"])

    assert found.parts[0].commit == found.commit
    with pytest.raises(SettingsError, match="me/pub-GGUF has no revision 'v9'"):
        lock(fleet, revision="v9")


def test_a_repository_that_was_renamed_is_found_by_its_old_name(fleet: Fleet) -> None:
    put(fleet, {"m.gguf": weights()}, "them/new-GGUF")
    put(fleet, {".moved": b"them/new-GGUF"})

    found = lock(fleet)

    assert (found.repo, found.first, found.files[0].size > 0) == ("me/pub-GGUF", "m.gguf", True)


NAMES = ["my model (1) #2 50%+?.gguf", "モデル-é.gguf", "a/b c/.m.gguf", "m[1]{2}~.gguf"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_may_have_what_disks_take(fleet: Fleet, name: str) -> None:
    put(fleet, {name: weights()})

    assert lock(fleet).first == name
