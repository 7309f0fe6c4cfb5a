"""What live.sh prints, read: all of it, parts of it, and what others would answer."""

import json

import pytest

from herd.core.live.look import Look, Pools, Slots, parse
from herd.core.live.proxy_metrics import Done, done
from proxy.accounting.metrics import Metrics

MODELS = {"a/b": "ready", "c d": "starting"}


def running() -> str:
    every = [
        {"model": name, "state": state, "proxy": f"http://127.0.0.1:{10001 + number}", "ttl": 0}
        for number, (name, state) in enumerate(MODELS.items())
    ]
    return json.dumps({"running": every})


def slot(*, busy: bool, written: int = 0) -> dict[str, object]:
    """As llama-server b10434 has it, in part."""
    told: dict[str, object] = {"id": 0, "n_ctx": 512, "is_processing": busy}
    return told | ({"next_token": [{"n_decoded": written, "n_remain": 3}]} if busy else {})


def numbers() -> str:
    """Of a real proxy."""
    metrics = Metrics()
    metrics.requests["anna", "a/b", 200] += 3
    metrics.tokens["anna", "a/b", "in"] += 40
    metrics.tokens["anna", "a/b", "out"] += 7
    metrics.first.add("a/b", 0.5)
    metrics.open, metrics.drained, metrics.stuck = 2, True, ["a/b"]
    return metrics.text().decode()


HAPROXY = """# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,weight,
herd,FRONTEND,,,1,2,100,9,OPEN,,
macs,m1,0,0,0,0,,0,UP,1,
macs,m2,0,0,0,0,,0,DOWN (agent),1,
macs,m3,0,0,0,0,,0,UP 1/2,1,
macs,BACKEND,0,0,0,0,1,0,UP,2,
model.p0,m1,1,1,3,3,4,9,UP,1,
model.p0,m2,0,0,0,0,2,0,DOWN,1,
model.p0,BACKEND,2,5,3,3,10,9,UP,1,
"""


def test_all_of_it() -> None:
    slots = json.dumps([slot(busy=True, written=17), slot(busy=False), slot(busy=True, written=2)])
    found = parse(
        "\n".join(
            [
                *("pressure\t2", "vm\tMach Virtual Memory Statistics: (page size of 16384 bytes)"),
                *("vm\tPages wired down:    10.", "--- running", running()),
                *("--- slots http://127.0.0.1:10001", slots),
                *("--- slots http://127.0.0.1:10002", "", "--- proxy", numbers()),
                *("--- gateway", numbers(), "--- haproxy", HAPROXY),
            ]
        ).splitlines(),
        5.0,
    )

    assert (found.at, found.states) == (5.0, MODELS)
    assert found.slots == {"a/b": Slots(busy=2, total=3, written=19)}
    assert found.proxy == found.gateway
    assert found.proxy
    assert (found.proxy.open, found.proxy.drained, found.proxy.stuck) == (2, True, ("a/b",))
    labels = {"key": "anna", "model": "a/b"}
    assert (
        found.proxy.counters["proxy_requests_total", frozenset({**labels, "status": "200"}.items())]
        == 3
    )
    assert done(found.proxy.counters) == Done(3, read=40, written=7, begun=1, waited=0.5)
    assert found.pools == Pools(ready=2, macs=3, busy=3, total=6, queue=3)
    assert (found.vitals.pressure_word, found.vitals.wired) == ("warning", 163840)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "--- running\n--- slots http://127.0.0.1:1\n--- proxy\n--- haproxy",
        "--- running\nUnauthorized\n--- proxy\n<html>\n--- gateway\n{}\n--- haproxy\n<h1>401</h1>",
        '--- running\n{"running": {}}\n--- proxy\nproxy_open_requests\n',
        '--- running\n{"running": [1]}\n--- proxy\nproxy_open_requests{ 2\n',
        "--- running\n[]\n--- proxy\nother_metric 1\n--- haproxy\n# a,b\n1,2",
    ],
)
def test_what_is_no_answer_is_left_out(said: str) -> None:
    states = {} if '"running": {}' in said else None
    assert parse(said.splitlines(), 1.0) == Look(at=1.0, states=states)


@pytest.mark.parametrize(
    "said", ["[]", '{"error": {"code": 501}}', '[{"id": 0}]', "[1]", "null", "404 page not found"]
)
def test_a_server_that_tells_no_slots_has_none(said: str) -> None:
    lines = ["--- running", running(), "--- slots http://127.0.0.1:10001", said]

    assert parse(lines, 1.0).slots == {}
