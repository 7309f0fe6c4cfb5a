"""Labs for the end-to-end tests: one that is deployed once and shared, others made to order."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.fleet import Fleet


@pytest.fixture
def make_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Fleet]]:
    """Makes fleets of fresh Macs: `make_fleet("mac1", "mac2", console=False)`."""
    fleets = []

    def make(*names: str, **facts: Any) -> Fleet:
        fleets.append(Fleet(tmp_path_factory.mktemp("lab"), *names, **facts))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.stop()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One Mac with the stack deployed by its defaults, for the tests of a module."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1")
    run = fleet.deploy()
    assert run.code == 0, run.err
    yield fleet
    fleet.stop()
