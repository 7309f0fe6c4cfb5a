"""The policy as a whole: who gets how far, and what is written down about it."""

import asyncio
import json
from pathlib import Path

import pytest

from proxy.accounting.charging import Ticket
from proxy.exchange import Forward, Local, Reply
from tests.proxy.support.policy import ANNA, METER, PLAIN, ROOT, Desk, entry, error

STREAM = b"text/event-stream"
JSON = b"application/json; charset=utf-8"
EVENT = b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n'
LAST = b'data: {"usage": {"prompt_tokens": 7, "completion_tokens": 5}}\n\ndata: [DONE]\n\n'


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "config.json")


class TestWhoGetsWhere:
    """Scopes, models and what does not exist."""

    @pytest.mark.parametrize(
        ("line", "inference", "admin", "metrics"),
        [
            ("POST /v1/chat/completions", 0, 403, 403),
            ("POST /v/messages", 0, 403, 403),
            ("GET /props?model=gpt-oss", 0, 403, 403),
            ("GET /v1/models", 0, 403, 403),
            ("GET /running", 404, 0, 404),
            ("GET /unload", 404, 0, 404),
            ("POST /api/models/unload/gpt/oss", 404, 0, 404),
            ("GET /logs/stream/proxy", 404, 0, 404),
            ("GET /ui/", 404, 0, 404),
            ("DELETE /upstream/gpt-oss/slots/1", 404, 0, 404),
            ("GET /admin/usage", 404, 0, 404),
            ("GET /metrics", 404, 404, 200),
            ("GET /v1/chat/completions", 405, 404, 404),
            ("POST /v1/chat/completions/", 404, 404, 404),
            ("POST /V1/chat/completions", 404, 404, 404),
            ("POST /v1/chat%2Fcompletions", 400, 400, 400),
            ("GET /slots", 404, 404, 404),
            ("GET /comfyui", 404, 404, 404),
            ("GET /healthz/x", 404, 404, 404),
            ("OPTIONS /v1/models", 405, 404, 404),
            ("TRACE /running", 404, 405, 404),
            ("GET /ui/../running", 400, 400, 400),
            ("GET /ui/%2e%2E/running", 400, 400, 400),
            ("GET //running", 400, 400, 400),
            ("GET /ui/..;/running", 400, 400, 400),
            ("GET /ui/.", 400, 400, 400),
            ("GET /ui/a%5c..%5cb", 400, 400, 400),
            ("GET /ui/%252e%252e/x", 400, 400, 400),
            ("GET /upstream/gpt-oss/%00", 400, 400, 400),
            ("GET /ui/%zz", 400, 400, 400),
            ("GET http://x/running", 400, 400, 400),
            ("GET /ui/a.b/..c/%20", 404, 0, 404),
        ],
    )
    def test_each_scope_opens_its_routes(
        self, tmp_path: Path, line: str, inference: int, admin: int, metrics: int
    ) -> None:
        """And nobody anything else; without a key there is not even a 404."""
        keys = {
            scope: f"sk-{scope}-0123456789-abcdef" for scope in ("inference", "admin", "metrics")
        }
        config = tmp_path / "config.json"
        entries = [entry(scope, key, scopes=[scope]) for scope, key in keys.items()]
        config.write_text(json.dumps({"apiKeys": entries}))

        async def situation() -> None:
            desk = Desk(config)
            got = [desk.status(line, keys[scope]) for scope in ("inference", "admin", "metrics")]
            assert got == [inference, admin, metrics]
            assert desk.status(line) == 401
            assert desk.status(line, "sk-wrong-0123456789-abcdef") == 401

        asyncio.run(situation())

    def test_health_needs_no_key(self, desk: Desk) -> None:
        """Readiness asks llama-swap, which is left to a handler."""
        assert desk.status("GET /healthz") == 200
        assert isinstance(desk.meet(desk.request("GET /readyz")), Local)

    def test_plain_keys_only_infer(self, desk: Desk) -> None:
        """As before there were scopes."""
        assert isinstance(desk.meet(desk.request("GET /v1/models", PLAIN)), Local)
        assert desk.status("GET /running", PLAIN) == 404
        assert desk.status("GET /metrics", PLAIN) == 404

    def test_models_outside_the_patterns_are_not_there(self, desk: Desk) -> None:
        """Neither is a request that names none, if some are forbidden."""

        async def situation() -> None:
            allowed, other, none = (desk.chat(ANNA, model)[1] for model in ("gpt-x", "qwen", None))
            assert isinstance(allowed, Ticket)
            assert isinstance(other, Reply)
            assert (other.status, error(other)["code"]) == (404, "model_not_found")
            assert isinstance(none, Reply)
            assert (none.status, error(none)["code"]) == (400, "model_required")

        asyncio.run(situation())

    def test_streams_that_must_have_an_ending_are_told_to_the_engine(self, desk: Desk) -> None:
        """Each kind has its own."""
        for path, ending in (("/v1/chat/completions", b"[DONE]"), ("/v/messages", b"message_stop")):
            request = desk.request(f"POST {path}", ROOT)
            caller = desk.policy.authenticate(request)
            assert not isinstance(caller, Reply)
            way = desk.policy.route(request, caller)
            assert isinstance(way, Forward)
            assert ending in way.endings[0].last
            assert way.needs_model

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": f"Basic {ANNA}"},
            {"Authorization": f"Bearer {ANNA}", "x_api_key": PLAIN},
            {"Authorization": f"Bearer {ANNA}, Bearer {PLAIN}"},
            {"Authorization": f"Basic {ANNA}", "x_api_key": ANNA},
            {"Authorization": "Bearer"},
            {"x_api_key": "\udcff"},
        ],
    )
    def test_anything_but_one_good_credential_is_refused(
        self, desk: Desk, headers: dict[str, str]
    ) -> None:
        """With what is to be done."""
        reply = desk.policy.authenticate(desk.request("POST /v1/completions", **headers))

        assert isinstance(reply, Reply)
        assert reply.status == 401
        assert ("WWW-Authenticate", "Bearer") in reply.headers
        assert ("x-should-retry", "false") in reply.headers
        assert ANNA.encode() not in reply.body

    def test_expired_key_is_told_so(self, desk: Desk) -> None:
        """Its owner would look for a typo otherwise."""
        desk.write(PLAIN, entry("anna", ANNA, expires="2020-01-01"))
        reply = desk.policy.authenticate(desk.request("GET /v1/models", ANNA))

        assert isinstance(reply, Reply)
        assert error(reply)["message"] == "This API key has expired."


class TestErrorsSpeakTheClientsDialect:
    """By route, or by the header of Anthropic's clients."""

    def test_openai(self, desk: Desk) -> None:
        """Also for a head that could not be read."""
        for request in (desk.request("POST /v1/responses"), None):
            reply = desk.policy.error(503, "shutting_down", "soon", request)
            assert set(error(reply)) == {"message", "type", "param", "code"}
            assert ("Retry-After", "2") in reply.headers

    @pytest.mark.parametrize(
        ("line", "headers"),
        [("POST /v1/messages", {}), ("GET /v1/models", {"anthropic_version": "2023-06-01"})],
    )
    def test_anthropic(self, desk: Desk, line: str, headers: dict[str, str]) -> None:
        """The shape has a type of its own outside."""
        reply = desk.policy.error(404, "x", "nothing", desk.request(line, **headers))

        assert json.loads(reply.body) == {
            "type": "error",
            "error": {"type": "not_found_error", "message": "nothing"},
            "request_id": "id1",
        }


def test_metrics_of_a_stream_count_everything_once(desk: Desk) -> None:
    """And a model that nobody has is no label."""

    async def situation() -> None:
        request, ticket = desk.chat(ANNA)
        assert isinstance(ticket, Ticket)
        ticket.head(200, STREAM)
        desk.now += 0.2
        for piece in (b": ping\n\n", *[EVENT] * 9, LAST):
            ticket.data(piece)
        assert "proxy_open_streams 1.0" in text()
        desk.end(request, ticket, seconds=2.2)
        request, ticket = desk.chat(PLAIN, "made-up-by-a-client")
        assert isinstance(ticket, Ticket)
        ticket.head(404, JSON)
        desk.end(request, ticket, status=404)

    def text() -> str:
        reply = desk.meet(desk.request("GET /metrics", METER))
        assert isinstance(reply, Reply)
        return reply.body.decode()

    asyncio.run(situation())
    told = text()
    for line in (
        'proxy_requests_total{key="anna",model="gpt-oss",status="200"} 1.0',
        'proxy_requests_total{key="#1",model="other",status="404"} 1.0',
        'proxy_tokens_total{direction="in",key="anna",model="gpt-oss"} 7.0',
        'proxy_tokens_total{direction="out",key="anna",model="gpt-oss"} 5.0',
        'proxy_time_to_first_token_seconds_sum{model="gpt-oss"} 0.2',
        "proxy_open_streams 0.0",
        "proxy_open_requests 0.0",
        "proxy_upstream_up 1.0",
        "proxy_keys 4.0",
    ):
        assert line in told or line + "0000000" in told, line
    assert "made-up" not in told
