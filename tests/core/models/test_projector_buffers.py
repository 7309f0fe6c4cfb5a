"""What projectors work in, beside what llama.cpp says of them."""

from typing import Any

import pytest

from herd.core.models.projector_buffers import buffers
from herd.core.text.units import MIB


def eyes(kind: str, width: int, inner: int, image: int, patch: int, **more: int) -> dict[str, Any]:
    sizes = {"embedding_length": width, "feed_forward_length": inner}
    sizes |= {"image_size": image, "patch_size": patch, **more}
    return {"clip.projector_type": kind, **{f"clip.vision.{k}": v for k, v in sizes.items()}}


WHISPER = {"clip.audio.embedding_length": 1280, "clip.audio.feed_forward_length": 5120}
# MiB of all weights, and of all that mtmd_get_memory_usage says of such a header with flash
# attention (build 11434, from source, on Linux's CPU, 2026-11-29).
SAID: dict[str, tuple[dict[str, Any], float, float]] = {
    "SigLIP, of Gemma 3": (eyes("gemma3", 1152, 4304, 896, 14), 811.79, 933.04),
    "CLIP, of LLaVA": (eyes("mlp", 1024, 4096, 336, 14), 597.76, 619.31),
    "Qwen2.5-VL": (
        eyes("qwen2.5vl_merger", 1280, 3420, 560, 14, n_wa_pattern=8),
        *(1294.58, 1999.37),
    ),
    "Qwen3-VL": (eyes("qwen3vl_merger", 1152, 4304, 768, 16), 865.48, 1113.58),
    "Pixtral": (eyes("pixtral", 1024, 4096, 1540, 14), 838.51, 903.13),
    "Whisper, of Qwen2-Audio": (WHISPER, 1229.55, 1280.82),
}


@pytest.mark.parametrize(("header", "weights", "wanted"), SAID.values(), ids=SAID)
def test_it_is_never_below_what_llama_cpp_says(
    header: dict[str, Any], weights: float, wanted: float
) -> None:
    found = weights + buffers(header) / MIB

    assert wanted <= found <= 1.2 * wanted


def test_one_that_sees_and_hears_has_both() -> None:
    sees = eyes("gemma3", 1152, 4304, 896, 14)

    assert buffers(sees | WHISPER) == buffers(sees) + buffers(WHISPER)


def test_of_one_whose_sizes_nobody_knows_there_is_an_allowance() -> None:
    assert buffers({"general.type": "mmproj", "quantisation": "F16"}) == 256 * MIB
