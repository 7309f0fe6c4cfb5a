"""Paths: every program on the way must understand the same."""

import posixpath
import random
from urllib.parse import unquote

import pytest

from proxy.keys.key import Scope
from proxy.policy.on_a_gateway import gateway_route_of
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


def test_metrics_of_what_is_behind_are_for_prometheus() -> None:
    """By paths of ours, as llama-swap's is taken here; nothing else of a model is behind them."""
    behind = {
        path: route_of("GET", path) for path in ("/llama-swap/metrics", "/llama-server/m/metrics")
    }
    assert {r.scope for r in behind.values() if r} == {Scope.METRICS}
    assert [r.forward.target for r in behind.values() if r] == ["/metrics", "/upstream/m/metrics"]
    for path in ("/llama-server/m/slots", "/llama-server//metrics", "/llama-server/a/b/metrics"):
        assert route_of("GET", path) is None
    assert route_of("POST", "/llama-swap/metrics") is None
    assert all(gateway_route_of("GET", path) is None for path in behind)
