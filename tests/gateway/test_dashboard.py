"""Every query of the dashboard asks for metrics and labels that its programs have.

Proxy and HAProxy are real; of llama-swap (v250) and llama-server (build 10068) their own words are
in exposition/, as recorded from the real ones, which are asked again where there are any.
"""

import asyncio
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.gateway import test_chain as chain
from tests.gateway.gateway import free_port
from tests.proxy.support.llama_server import get, llama_server
from tests.proxy.support.policy import ANNA, METER
from tests.proxy.support.proxy import Seen, Wire, body, run, status

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "docs/grafana/llama-herd.json"
RECORDED = Path(__file__).parent / "exposition"
OF_PROMETHEUS = {"instance", "job"}
"""Labels that its configuration gives to what it reads."""
_WORDS = {"by", "without", "and", "or", "unless", "on", "ignoring"}
# A name, then labels in braces, where nothing like a call follows; a range is no matter here.
_SELECTOR = re.compile(r"(?<![\w.$])([a-zA-Z_:][\w:]*)\b(?!\s*\()(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
_GROUPED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


def queries() -> list[str]:
    board = json.loads(BOARD.read_text())
    return [each["expr"] for panel in board["panels"] for each in panel.get("targets", ())]


def selectors(query: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Each metric that a query reads, and its matchers."""
    bare = re.sub(r"\[[^\]]*\]", "", _GROUPED.sub("", query))
    for name, labels in _SELECTOR.findall(bare):
        if name not in _WORDS:
            yield name, _MATCHER.findall(labels)


def samples(*texts: str) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for each in family.samples:
                found.setdefault(each.name, []).append(each)
    return found


def is_chosen(sample: Sample, matchers: list[tuple[str, str, str]]) -> bool:
    for label, how, value in matchers:
        if label in OF_PROMETHEUS:
            continue
        there = sample.labels.get(label)
        if there is None:
            return False
        same = re.fullmatch(value, there) if "~" in how else value == there
        if bool(same) is how.startswith("!"):
            return False
    return True


def wrong(query: str, there: dict[str, list[Sample]]) -> list[str]:
    """What of a query nobody has."""
    found, groups = [], {w.strip() for part in _GROUPED.findall(query) for w in part.split(",")}
    for name, matchers in selectors(query):
        chosen = [each for each in there.get(name, ()) if is_chosen(each, matchers)]
        if not chosen:
            found.append(f"no {name} with {matchers}")
        elif lacking := groups - OF_PROMETHEUS - chosen[0].labels.keys():
            found.append(f"{name} has no {sorted(lacking)}")
    return found


async def talking(_: Seen, wire: Wire) -> None:
    """As llama-server ends a stream: with what it counted."""
    timings = {"prompt_n": 5, "predicted_n": 40, "predicted_per_second": 50.0}
    last = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 40}}
    await chain.begin(wire)
    await wire.chunk(f"data: {json.dumps({**last, 'timings': timings})}\n\n".encode())
    await wire.chunk(chain.EVENTS[1])
    await wire.send(b"0\r\n\r\n")


def real() -> dict[str, list[Sample]]:
    """Of a gateway's proxy and HAProxy, after requests of each kind; and what was recorded."""
    texts: list[str] = []

    async def situation() -> None:
        async with chain.herd() as herd:
            for swap in herd.swaps.values():
                swap.then = talking
            assert status(await herd.ask(chain.CHAT, key=ANNA)) == 200
            await herd.ask({**chain.CHAT, "model": "nobodys"}, key=ANNA)
            herd.gateway.readiness.stuck["gpt-oss"] = "none in 60 s"
            own = await herd.ask(b"", "/metrics", method="GET", key=METER)
            of = await asyncio.to_thread(herd.haproxy.ask, None, "/haproxy/metrics", method="GET")
            assert (status(own), of.status) == (200, 200)
            texts.extend((body(own).decode(), of.body.decode()))

    run(situation())
    recorded = [path.read_text() for path in sorted(RECORDED.glob("*.txt"))]
    return samples(*texts, *recorded)


def test_each_query_asks_for_what_there_is() -> None:
    there = real()

    assert {query: found for query in queries() if (found := wrong(query, there))} == {}


def test_a_query_for_what_is_not_there_is_found() -> None:
    there = samples('a_total{key="x",status="404"} 1\nb 2\n')

    assert wrong('sum by (key) (rate(a_total{status=~"4..",instance="i"}[5m])) / b', there) == [
        "b has no ['key']"
    ]
    for query in ("rate(c_total[1m])", 'a_total{status="500"}', 'a_total{code="404"}', 'b{x="1"}'):
        assert wrong(query, there), query


def test_the_board_is_one_that_grafana_takes() -> None:
    board = json.loads(BOARD.read_text())

    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel["title"] and "gridPos" in panel for panel in board["panels"])
    assert {each["name"] for each in board["templating"]["list"]} == {"datasource", "instance"}
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]}
    assert len(places) == len(ids)


def names(text: str) -> set[tuple[str, frozenset[str]]]:
    return {(name, frozenset(each[0].labels)) for name, each in samples(text).items()}


def test_llama_server_has_the_metrics_that_were_recorded(tmp_path: Path) -> None:
    with llama_server(tmp_path) as port:
        there = names(get(port, "/metrics"))

    assert names((RECORDED / "llama-server.txt").read_text()) <= there


@pytest.mark.skipif("LAB_LLAMA_SWAP" not in os.environ, reason="LAB_LLAMA_SWAP names no llama-swap")
def test_llama_swap_has_the_metrics_that_were_recorded(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "config.yaml").write_text(f"startPort: {port + 1}\nmodels: {{}}\n")
    words = ["-config", str(tmp_path / "config.yaml"), "-listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen([os.environ["LAB_LLAMA_SWAP"], *words], stderr=subprocess.DEVNULL)
    wanted = names((RECORDED / "llama-swap.txt").read_text())
    there: set[tuple[str, frozenset[str]]] = set()
    try:
        end = time.monotonic() + 30  # it looks each 5 seconds
        while not wanted <= there and time.monotonic() < end:
            with suppress(OSError):
                there = names(get(port, "/metrics"))
            time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(20)

    assert wanted <= there


def test_prometheus_reads_what_is_behind_a_macs_proxy_by_its_own_key() -> None:
    async def situation() -> None:
        async with chain.herd() as herd:
            herd.gateway = herd.macs["mac1"]  # whom `ask` asks
            for path in ("/llama-swap/metrics", "/llama-server/gpt-oss/metrics"):
                assert status(await herd.ask(b"", path, method="GET", key=METER)) == 200
                assert status(await herd.ask(b"", path, method="GET", key=ANNA)) == 404
            asked = [seen.line.split()[1] for seen in herd.swaps["mac1"].seen]
            assert asked == ["/metrics", "/upstream/gpt-oss/metrics"]

    run(situation())
