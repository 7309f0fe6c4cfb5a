"""llama.cpp's own figures take the place of ours; of another use, they are scaled by ours."""

from dataclasses import replace

import pytest

from herd.core.models.llama_fit_params import Device, Measured, parse
from herd.core.models.memory_estimate import Served, Told, notes, terms
from herd.core.models.memory_fit import ESTIMATE, FIT, problems
from herd.core.models.memory_fixes import fixes
from herd.core.models.memory_sum import Limits, Sum
from herd.core.models.memory_use import Use
from herd.core.text.units import GIB, MIB
from tests.core.models.test_gguf import GPT_OSS_120B

USE = Use(131072, 1)
NEW = GPT_OSS_120B.model_copy(update={"architecture": "brand-new", "sliding_window": None})
SIZE = 60 * GIB


def told(*rows: tuple[str, int, int, int], use: Use = USE, drafts: bool = False) -> Told:
    """Of rows in MiB, as they are printed."""
    note = "".join(f"{' '.join(map(str, row))}\n" for row in rows)
    found = parse(note)
    assert isinstance(found, Measured)
    return Told(found, use, NEW, 61440 * MIB if not drafts else GIB, drafts)


def served(*told: Told, **fields: object) -> Served:
    return replace(Served("m", USE, {"m": SIZE}, NEW, told=told), **fields)  # type: ignore[arg-type]


def test_lines_of_devices_are_read() -> None:
    assert parse("MTL0 538 2912 50\nHost 1 0 7\n") == Measured(
        (
            Device("MTL0", 538 * MIB, 2912 * MIB, 50 * MIB),
            Device("Host", MIB, 0, 7 * MIB),
        )
    )


@pytest.mark.parametrize(
    ("note", "why"),
    [
        ("error unknown model architecture: 'new'\n", "unknown model architecture: 'new'"),
        ("", "it said nothing"),
        ("MTL0 538 2912\n", "MTL0 538 2912"),
    ],
)
def test_what_it_could_not_tell_is_in_its_words(note: str, why: str) -> None:
    assert parse(note) == why


def test_its_figures_take_the_place_of_ours() -> None:
    it = served(told(("MTL0", 61000, 4000, 700), ("Host", 400, 0, 30)))

    found = {term.name: (term.size // MIB, term.gpu) for term in terms(it)}

    assert found == {
        "weights": (61000, True),
        "KV cache and states": (4000, True),
        "compute buffers": (700, True),
        "weights, beside the GPU": (400, False),
        "compute buffers, beside the GPU": (30, False),
        "prompt cache": (8192, False),
    }
    assert {t.source for t in terms(it) if t.gpu} == {"llama-fit-params on this Mac"}


def test_where_no_device_is_named_all_may_be_the_gpus() -> None:
    found = {term.name: term.gpu for term in terms(served(told(("Host", 9, 8, 7))))}

    assert found["weights"]
    assert found["KV cache and states"]


def test_what_goes_along_is_counted_beside_it_and_a_draft_by_its_own_figures() -> None:
    it = served(
        told(("MTL0", 61440, 100, 100)),
        told(("MTL0", 1000, 50, 20), drafts=True),
        files={"m": SIZE, "draft": GIB, "mmproj": 2 * GIB},
        draft=NEW,
    )

    found = {term.name: term.size // MIB for term in terms(it)}

    assert found["weights of the draft"] == 1000
    assert found["KV cache and states of the draft"] == 50
    assert found["weights of what goes along"] == 2048


def test_without_its_word_a_draft_has_a_cache_by_our_own_sum() -> None:
    alone = {t.name: t.size for t in terms(served())}
    both = {t.name: t.size for t in terms(served(draft=GPT_OSS_120B))}

    more = {name: size for name, size in both.items() if name not in alone}
    # 131072 tokens in f16, whatever types the model has.
    assert more["KV cache of the draft"] == (131072 + 768) * 36864
    assert more["compute buffers of the draft"] == GIB


def test_of_another_use_it_is_scaled_as_ours_would_be() -> None:
    it = served(told(("MTL0", 61440, 4000, 600)))

    def caches(**fields: int) -> int:
        sizes = {t.name: t.size for t in terms(replace(it, use=replace(USE, **fields)))}
        return sizes["KV cache and states"] // MIB

    assert (caches(), caches(ctx_size=65536), caches(ctx_size=32768)) == (4000, 2000, 1000)


def test_a_model_that_fits_by_its_word_is_not_refused_by_ours_and_the_other_way() -> None:
    limits = Limits.of(96 * GIB, (26,), reserve=8 * GIB)
    small = served(told(("MTL0", 61440, 100, 100)), use=replace(USE, parallel=4, ctx_size=1 << 21))
    small = replace(small, told=(replace(small.told[0], use=small.use),))
    large = served(told(("MTL0", 61440, 40000, 100)))
    # Ours says otherwise of both.
    assert not Sum((replace(small, told=()),), limits).fits
    assert Sum((replace(large, told=()),), limits).fits

    assert problems([[small]], limits) == []
    (found,) = problems([[large]], limits)
    assert found.kind == FIT  # though the architecture is unknown here
    assert problems([[replace(small, told=())]], limits)[0].kind == ESTIMATE
    assert any("ctx_size = " in way for way in fixes(Sum((large,), limits)))


def test_both_figures_are_shown_where_they_differ_by_more_than_a_tenth() -> None:
    ours = {t.name: t.size for t in terms(served())}
    cache = sum(size for name, size in ours.items() if name.startswith("KV cache")) // MIB
    same = served(told(("MTL0", 61440, cache * 109 // 100, 1024)))
    other = served(told(("MTL0", 61440, cache // 2, 1024)))

    assert not [note for note in notes(same) if "llama-fit-params" in note]
    (note,) = [note for note in notes(other) if "llama-fit-params" in note]
    assert note == "KV cache and states: 4.5 GiB by llama-fit-params, 9.0 GiB by our own sum"


def test_what_it_could_not_tell_is_a_note() -> None:
    (note, *_) = notes(served(silent="unknown model architecture: 'brand-new'"))

    assert note == (
        "llama-fit-params cannot tell (unknown model architecture: 'brand-new'): our own sum "
        "stands in"
    )


def test_layers_that_predict_are_added_to_what_it_loads_without_them() -> None:
    """llama-fit-params takes no --spec-type (build 11434), and so leaves their weights out."""
    facts = GPT_OSS_120B.model_copy(update={"nextn_predict_layers": 1})
    use = Use(8192, 1, predicts=True)
    measured = parse("MTL0 900 10 5\nHost 0 0 0\n")
    assert isinstance(measured, Measured)
    told = Told(measured, use, facts, 1000 * MIB)

    found = {
        term.name: term.size
        for term in terms(Served("m", use, {"m": 1000 * MIB}, facts, told=(told,)))
    }

    assert found["weights"] == 900 * MIB
    assert found["weights of the draft"] == 100 * MIB
    assert found["KV cache of the draft"] == 8192 * 2 * 2 * 8 * 64
