"""Labs for the end-to-end tests: one that is deployed once and shared, others made to order."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e import one_mac
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


def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One Mac with the stack deployed by its defaults."""
    fleet = Fleet(tmp_path_factory.mktemp("lab"), "mac1")
    run = fleet.deploy()
    assert run.code == 0, run.err
    yield fleet
    fleet.stop()


_of_all = pytest.fixture(scope="session", name="of_all")(serving)
_of_a_module = pytest.fixture(scope="module", name="of_a_module")(serving)


@pytest.fixture(scope="module")
def deployed(request: pytest.FixtureRequest) -> Fleet:
    """For the tests of a module, or of all those that share one."""
    shared = request.module.__name__ in one_mac.NAMES
    fleet: Fleet = request.getfixturevalue("of_all" if shared else "of_a_module")
    return fleet
