"""One HAProxy for each module of tests: its Macs are put back between them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.gateway import Running, running


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Four Macs that serve `big`, with two slots each; mac1 serves `solo`, too, one at a time, and
    `pair` with mac2."""
    pools = {
        "big": {f"mac{n}": 2 for n in range(1, 5)},
        "solo": {"mac1": 1},
        "pair": {"mac1": 1, "mac2": 1},
    }
    folder: Path = tmp_path_factory.mktemp("gateway")
    with running(folder, pools) as gateway:
        yield gateway


@pytest.fixture
def herd(four: Running) -> Running:
    """The same, with all Macs up, and nothing asked yet."""
    four.reset()
    return four
