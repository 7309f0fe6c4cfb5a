"""Puts the test of the process behind all others, so that it sees what they left."""

import pytest

LAST = "test_sockets_are_those_of_python_at_the_end_of_the_session"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.name == LAST)
