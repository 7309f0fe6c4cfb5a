"""The GPU's limit leaves macOS enough, and holds after a restart."""

import pytest

from herd.core.mac import wired_limit
from herd.core.models import wired_memory
from herd.core.text.units import GIB
from tests.core.samples import settings


@pytest.mark.parametrize(
    ("memory", "most"),
    [(8, 6), (16, 12), (24, 18), (32, 24), (64, 56), (96, 84), (128, 112), (192, 168), (512, 448)],
)
def test_macos_keeps_its_share(memory: int, most: int) -> None:
    assert wired_memory.most(memory * GIB) == most * 1024


def test_a_limit_above_it_is_refused_with_the_figure() -> None:
    (problem,) = wired_limit.problems(settings(mac_gpu_wired_limit_mb=499712), 512 * GIB)

    assert problem.what == "499712 MiB of 512.0 GiB leave macOS 24.0 GiB, too little to be stable."
    assert problem.fix == "set it to 458752 at most for this host."


def test_one_within_it_is_none() -> None:
    assert not list(wired_limit.problems(settings(mac_gpu_wired_limit_mb=57344), 64 * GIB))
    assert not list(wired_limit.problems(settings(), 8 * GIB))


def test_the_job_of_each_start() -> None:
    job = wired_limit.job(57344)

    assert job["ProgramArguments"] == ["/usr/sbin/sysctl", "iogpu.wired_limit_mb=57344"]
    assert job["RunAtLoad"]
    assert "KeepAlive" not in job
    assert job != wired_limit.job(57345)


@pytest.mark.parametrize("said", ["", "sysctl: unknown oid 'iogpu.wired_limit_mb'", "-1", "٣"])
def test_what_is_no_number(said: str) -> None:
    with pytest.raises(ValueError, match="does not say"):
        wired_limit.parse(said)
