"""The KV cache of our sum is the one that the real llama-server reports, cell by cell."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from socket import create_server
from threading import Thread, Timer
from typing import Any
from urllib.request import Request, urlopen

import pytest

from herd.core.models.kv_cache import kv_cache
from herd.core.models.memory_use import Use
from herd.core.models.model_facts import Facts, read_facts
from herd.core.text.units import MIB
from lab.llama_server import find, lacks, trial
from lab.reciter import write_model, write_windowed
from tests.core.models.test_gguf import Bytes
from tests.core.samples import one_model

pytestmark = pytest.mark.skipif(lacks() is not None, reason=str(lacks()))

TYPES = ["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]


class Real:
    """A llama-server, and the models that it may load."""

    def __init__(self, directory: Path) -> None:
        program = find()
        assert program
        self.program, self.environment = program, os.environ | trial.environment(program)
        self.models = {
            "reciting": write_model(directory)[0],
            "windowed": write_windowed(directory / "windowed.gguf"),
            "odd": write_windowed(directory / "odd.gguf", layers=7, heads=6, groups=3, window=1000),
        }

    def facts(self, model: str) -> Facts:
        return read_facts(Bytes(self.models[model].read_bytes()))

    def report(self, model: str, arguments: list[str]) -> list[tuple[int, int, float]]:
        """Cells, layers and MiB of each cache, in the order of the server's log."""
        command = [self.program, "-m", self.models[model], "--port", "1", "-lv", "4", *arguments]
        with subprocess.Popen(
            [*map(str, command), "--no-warmup"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            timer = Timer(30, process.kill)
            timer.start()
            assert process.stdout
            lines = list(self._until_allocated(process.stdout))
            process.kill()
            timer.cancel()
        found = [
            re.search(r"llama_kv_cache: size = +([\d.]+) MiB \( *(\d+) cells, *(\d+) layers", line)
            for line in lines
        ]
        caches = [(int(m[2]), int(m[3]), float(m[1])) for m in found if m]
        assert caches, "".join(lines[-20:])
        return caches

    @staticmethod
    def _until_allocated(lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            yield line
            if "sched_reserve:" in line:
                return


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    return Real(tmp_path_factory.mktemp("real"))


def compare(real: Real, model: str, extra: list[str], **fields: Any) -> None:
    settings = one_model(extra_args=extra, **fields).models["tiny"]
    use = Use.of(settings)
    ours = [
        (layers.cells, layers.count, pytest.approx(layers.size / MIB, abs=0.0051))
        for layers in kv_cache(use, real.facts(model))
    ]
    arguments = [
        *("-c", str(settings.total_ctx_size), "-np", str(settings.parallel)),
        *("-ctk", settings.cache_type_k, "-ctv", settings.cache_type_v),
        *("-fa", settings.flash_attention, *extra),
    ]

    assert real.report(model, arguments) == ours


@pytest.mark.parametrize(
    ("model", "ctx_size", "parallel", "types", "extra"),
    [
        ("reciting", 8192, 1, ("f16", "f16"), []),
        ("reciting", 0, 2, ("q8_0", "q8_0"), []),
        ("reciting", 1000, 3, ("q8_0", "q4_0"), []),
        ("windowed", 8192, 1, ("f16", "f16"), []),
        ("windowed", 0, 1, ("q8_0", "q8_0"), []),
        ("windowed", 1000, 3, ("f16", "q8_0"), []),
        ("windowed", 100, 2, ("f16", "f16"), []),
        ("windowed", 8192, 4, ("f16", "f16"), ["-kvu"]),
        ("windowed", 8192, 2, ("f16", "f16"), ["--swa-full"]),
        ("windowed", 8192, 1, ("f16", "f16"), ["-ub", "2048"]),
        ("windowed", 8192, 1, ("f16", "f16"), ["-ub", "2048", "-b", "1024"]),
        ("odd", 20000, 2, ("q5_1", "iq4_nl"), []),
    ],
    ids=str,
)
def test_the_cache_is_what_llama_server_says(
    real: Real,
    model: str,
    ctx_size: int,
    parallel: int,
    types: tuple[str, str],
    extra: list[str],
) -> None:
    key, value = types
    fields = {"ctx_size": ctx_size, "parallel": parallel}
    compare(real, model, extra, cache_type_k=key, cache_type_v=value, **fields)


@pytest.mark.soak
@pytest.mark.parametrize("model", ["reciting", "windowed", "odd"])
@pytest.mark.parametrize(
    "extra",
    [
        [],
        ["-kvu"],
        ["--swa-full"],
        ["-ub", "64"],
        ["-ub", "4096", "-b", "4096"],
        ["-kvu", "-b", "300"],
    ],
    ids=" ".join,
)
def test_every_size_and_number_of_slots(real: Real, model: str, extra: list[str]) -> None:
    for ctx_size, parallel in product((0, 100, 256, 1000, 4096, 10000, 32768), (1, 2, 3, 8)):
        compare(real, model, extra, ctx_size=ctx_size, parallel=parallel)


@pytest.mark.soak
@pytest.mark.parametrize("model", ["reciting", "windowed", "odd"])
def test_every_pair_of_types(real: Real, model: str) -> None:
    for key, value in product(TYPES, TYPES):
        compare(real, model, [], cache_type_k=key, cache_type_v=value, ctx_size=3000, parallel=2)


@pytest.mark.soak
def test_without_flash_attention(real: Real) -> None:
    for model, key in product(real.models, TYPES):
        compare(real, model, [], cache_type_k=key, flash_attention="off", ctx_size=3000)


@pytest.mark.soak
def test_a_context_checkpoint_is_a_copy_of_the_windows(real: Real) -> None:
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = ["-c", "16384", "-np", "1", "--checkpoint-min-step", "1000", "-lv", "4"]
    command = [real.program, "-m", real.models["windowed"], "--port", port, *arguments]
    body = json.dumps({"prompt": "x" * 9000, "n_predict": 2}).encode()
    request = Request(f"http://127.0.0.1:{port}/completion", body)
    lines = []
    with subprocess.Popen(
        list(map(str, command)),
        env=real.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if "listening on" in line:
                break
        Thread(target=lambda: urlopen(request).read() and process.terminate()).start()
        lines = list(process.stdout)
    made = [
        float(m[1]) for line in lines if (m := re.search(r"checkpoint.*size = ([\d.]+) ", line))
    ]

    # A few numbers for each cell come along.
    assert made
    assert max(made) == pytest.approx(128 * 1024 / MIB, abs=0.005)
    assert len(made) <= 16384 // 1000 + 2
