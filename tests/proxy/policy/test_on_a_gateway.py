"""A gateway's proxy: HAProxy is behind it, and what is llama-swap's own is not there."""

import asyncio
from pathlib import Path

import pytest

from proxy.exchange import Reply
from proxy.policy import on_a_gateway
from proxy.policy.policy import HerdPolicy, PolicyState
from tests.proxy.support.policy import ANNA, METER, ROOT, Desk, error, in_a_loop

HTML = b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available.\n</body></html>\n"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "config.json")
    made.state = PolicyState(made.keys, log=made.log, gateway=True)
    made.policy = HerdPolicy(made.state, clock=lambda: made.now, look_seconds=0)
    return made


@pytest.mark.parametrize(
    ("line", "key", "status"),
    [
        ("GET /haproxy", ROOT, 0),
        ("GET /haproxy;csv", ROOT, 0),
        ("GET /haproxy", ANNA, 404),
        ("GET /haproxy", None, 401),
        ("POST /haproxy", ROOT, 405),
        ("GET /haproxy/metrics", METER, 0),
        ("GET /haproxy/metrics", ROOT, 404),
        ("GET /haproxy;up", ROOT, 400),
        ("GET /health", ROOT, 404),
        ("GET /gateways/limits", ROOT, 404),  # there is no other gateway
        ("GET /gateways/limits", None, 401),
        ("POST /v1/chat/completions", ANNA, 0),
        ("GET /v1/models", ANNA, 0),
        ("GET /admin/usage", ROOT, 0),
        ("GET /metrics", METER, 200),
        ("GET /livez", None, 0),
        *((f"GET {path}", ROOT, 404) for path in ("/ui", "/ui/", "/logs", "/running", "/unload")),
        *((f"POST {path}", ROOT, 404) for path in ("/upstream/x/y", "/api/models/unload")),
    ],
)
@in_a_loop
def test_what_is_reachable(desk: Desk, line: str, key: str | None, status: int) -> None:
    assert desk.status(line, key) == status


@in_a_loop
def test_a_mac_has_none_of_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "config.json")

    assert desk.status("GET /haproxy", ROOT) == 404
    assert desk.status("GET /ui", ROOT) == 0
    request, _ = desk.chat(ANNA)
    assert request.up == b""


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("gpt-oss:20b@q8", b"gpt-oss:20b@q8"),
        ("hf.co/a/b", b"hf.co/a/b"),
        ("a b", b"a%20b"),
        ("a+b", b"a%2Bb"),
        ("größe", b"gr%C3%B6%C3%9Fe"),
        ("x\r\nX-Served-By: me", b"x%0D%0AX-Served-By:%20me"),
        ("x" * 600, b"x" * 512 + b"..."),
    ],
)
def test_haproxy_is_told_the_model_in_one_line(model: str, told: bytes) -> None:
    lines = on_a_gateway.lines("id1", model)

    assert lines == b"X-Request-Id: id1\r\nX-Herd-Model: " + told + b"\r\n"


def test_what_clients_say_in_its_place_is_dropped(desk: Desk) -> None:
    request = desk.request("POST /v1/chat/completions", ANNA)
    sent = [
        (b"X-Request-ID", b"mine"), (b"x-herd-model", b"other"), (b"X-Served-By", b"me"),
        (b"X-Served-Why", b"so"), (b"X-Session-Id", b"s1"), (b"X-Request-Ids", b"1"),
    ]  # fmt: skip
    request.raw_headers = sent
    desk.policy.authenticate(request)

    assert list(request.raw_headers) == sent[4:]


def test_its_pages_are_told_in_the_clients_dialect(desk: Desk) -> None:
    """Those that it makes by itself are for people; its admin's pages stay as they are."""
    for line, kind in (
        ("POST /v1/chat/completions", b'"upstream_unavailable"'),
        ("POST /v1/messages", b'"overloaded_error"'),
    ):
        request = desk.request(line, ANNA)
        told = desk.policy.translate(request, 503, b"text/html", HTML)
        assert kind in told
        assert b"No server of the herd" in told
    page = desk.request("GET /haproxy", ROOT)
    assert desk.policy.translate(page, 503, b"text/html", HTML) == HTML


def test_the_login_leads_to_its_page(desk: Desk) -> None:
    reply = asyncio.run(
        desk.answer(
            "POST /login", body=f"key={ROOT}".encode(), Sec_Fetch_Site="same-origin", Host="x"
        )
    )

    assert reply.status == 303
    assert dict(reply.headers)["Location"] == "/haproxy"


@in_a_loop
def test_drained_it_refuses_and_says_so(desk: Desk) -> None:
    desk.state.readiness.closed = "This server is drained"
    met = desk.meet(desk.request("POST /v1/chat/completions", ANNA), "gpt-oss")

    assert isinstance(met, Reply)
    assert error(met)["code"] == "draining"
    assert desk.status("GET /haproxy", ROOT) == 0
