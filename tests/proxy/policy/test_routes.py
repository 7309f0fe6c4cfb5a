"""Paths: every program on the way must understand the same."""

import posixpath
import random
from urllib.parse import unquote

import pytest

from proxy.policy.routes import TABLE, is_ambiguous, route_of

PARTS = [
    "/", "/", "/", "//", ".", "..", "%2e", "%2E", "%2f", "%5c", "\\", "%", "%25", "%00", ";", "#",
    "?", " ", "é",
    "v1", "ui", "api", "upstream", "unload", "running", "models", "chat", "a.b", "...",
]  # fmt: skip


def test_no_path_that_passes_means_another_one_when_resolved() -> None:
    """As Go's ServeMux cleans paths, and as anything decodes them, once or twice."""
    chance = random.Random(3)
    passed = 0
    for _ in range(50_000):
        path = "/" + "".join(chance.choices(PARTS, k=chance.randint(1, 8)))
        if is_ambiguous(path):
            continue
        passed += 1
        decoded = unquote(path)
        assert unquote(decoded) == decoded
        cleaned = posixpath.normpath(decoded) + ("/" if decoded[1:].endswith("/") else "")
        assert cleaned == decoded, path

    assert passed > 1000


def test_every_route_of_the_table_can_be_reached() -> None:
    """None of them is refused for its looks."""
    assert not [path for _, path in TABLE if is_ambiguous(path)]
    assert all(route_of(method, path) is route for (method, path), route in TABLE.items())


@pytest.mark.parametrize(
    "path", ["/upstreamx", "/uix", "/apix", "/logsx", "/api", "/metrics/", "/V1/models"]
)
def test_neighbours_of_a_route_are_none(path: str) -> None:
    """A prefix ends at its slash."""
    assert route_of("GET", path) is None
