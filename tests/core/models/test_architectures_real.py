"""Our sum of caches beside a real llama-fit-params, of architectures that llama.cpp knows.

architectures.jsonl has of each the keys of its header, by name below the architecture's, with their
types, and its tensors: name, shape, and in which layers, 24 for all of so many. They are those of
models that llama.cpp's own test-llama-archs makes (build 11434, with 24 layers), without keys that
change nothing here.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFWriter

from bench import fit
from fetcher import gguf_header
from herd.core.models.model_facts import read_facts
from lab import fit_params

ROWS = [
    json.loads(line)
    for line in Path(__file__).with_name("architectures.jsonl").read_text().splitlines()
]
_ADD = {
    **{"STRING": "add_string", "UINT32": "add_uint32", "INT32": "add_int32"},
    **{"FLOAT32": "add_float32", "BOOL": "add_bool"},
}


def skeleton(path: Path, row: dict[str, Any]) -> Path:
    """A header, and a hole as long as its tensors."""
    writer = GGUFWriter(path, row["architecture"])
    for name, (kind, value) in row["keys"].items():
        key = name if name.startswith("tokenizer.") else f"{row['architecture']}.{name}"
        if kind.startswith("A:"):
            writer.add_array(key, value)
        else:
            getattr(writer, _ADD[kind])(key, value)
    writer.add_token_list([f"tok_{number}" for number in range(128)])
    length = 0
    for name, shape, layers in row["tensors"]:
        size = 4 * int(np.prod(shape))
        numbers = range(layers) if isinstance(layers, int) else layers
        for full in [f"blk.{layer}.{name}" for layer in numbers] or [name]:
            writer.add_tensor_info(full, shape[::-1], np.dtype("float32"), size)
            length += -(-size // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    header = path.stat().st_size
    os.truncate(path, -(-header // 32) * 32 + length)
    return path


@pytest.mark.parametrize("row", ROWS[:3], ids=lambda row: str(row["architecture"]))
def test_a_skeleton_is_read_as_the_model_is(row: dict[str, Any], tmp_path: Path) -> None:
    path = skeleton(tmp_path / "m.gguf", row)

    assert read_facts(fit.File(path)).block_count == 24
    assert gguf_header.end(path.read_bytes()[: 1 << 20])


@pytest.mark.soak
@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["architecture"]))
def test_it_is_llama_cpps_own_or_a_tenth_more_at_most(row: dict[str, Any], tmp_path: Path) -> None:
    program = fit_params.find()
    if program is None:
        pytest.skip(f"{fit_params.NAMED} names no llama-fit-params to compare with")
    path = skeleton(tmp_path / "m.gguf", row)
    facts = read_facts(fit.File(path))

    for name, use in fit.USES.items():
        theirs, ours = fit.printed(str(program), path, use), fit.counted(use, facts)
        assert theirs is not None, name
        # It prints whole MiB.
        assert theirs - 1 <= ours <= 1.1 * theirs + 1, name
