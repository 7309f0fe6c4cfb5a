"""What pages of other origins may do, and what their browsers are told."""

import asyncio
from pathlib import Path

import pytest

from proxy.accounting.charging import Ticket
from proxy.exchange import Reply
from tests.proxy.support.policy import ROOT, STANDARD, Desk

JSON = b"application/json"

ASK = {
    "Origin": "https://chat.example",
    "Access_Control_Request_Method": "POST",
    "Access_Control_Request_Headers": "authorization,content-type",
}


class TestCors:
    """Pages of allowed origins may infer."""

    @pytest.fixture
    def desk(self, tmp_path: Path) -> Desk:
        desk = Desk(tmp_path / "config.json")
        desk.write(*STANDARD, allowOrigins=["https://chat.example"])
        return desk

    def test_allowed_origin_is_told_what_it_may_send(self, desk: Desk) -> None:
        """Without a key: browsers send none with the question."""
        reply = desk.meet(desk.request("OPTIONS /v1/chat/completions", **ASK))

        assert isinstance(reply, Reply)
        assert reply.status == 204
        told = dict(reply.headers)
        assert told["Access-Control-Allow-Origin"] == "https://chat.example"
        assert told["Access-Control-Allow-Headers"] == "authorization,content-type"
        assert "Access-Control-Allow-Credentials" not in told

    def test_others_and_other_routes_are_told_nothing(self, desk: Desk) -> None:
        """An admin's routes are never shared."""
        for line, origin in (
            ("OPTIONS /v1/models", "https://evil.example"),
            ("OPTIONS /v1/models", "null"),
            ("OPTIONS /api/models/unload", "https://chat.example"),
        ):
            reply = desk.meet(desk.request(line, **{**ASK, "Origin": origin}))
            assert isinstance(reply, Reply)
            assert reply.status == 403
            assert not [name for name, _ in reply.headers if name.startswith("Access-Control")]

    def test_answers_and_errors_may_be_read_by_the_allowed_page(self, desk: Desk) -> None:
        """An error that a page cannot read looks like a network failure."""

        async def situation() -> None:
            _, ticket = desk.chat(ROOT, Origin="https://chat.example")
            assert isinstance(ticket, Ticket)
            assert b"Access-Control-Allow-Origin: https://chat.example" in ticket.head(200, JSON)
            _, other = desk.chat(ROOT, Origin="https://evil.example")
            assert isinstance(other, Ticket)
            assert b"Allow-Origin" not in other.head(200, JSON)

        asyncio.run(situation())
        reply = desk.policy.authenticate(
            desk.request("POST /v1/completions", "wrong", Origin="https://chat.example")
        )
        assert isinstance(reply, Reply)
        assert ("Access-Control-Allow-Origin", "https://chat.example") in reply.headers

    @pytest.mark.parametrize(
        "origin", ["app://obsidian.md", "http://localhost:5173", "chrome-extension://abcdef"]
    )
    @pytest.mark.parametrize("path", ["/v1/messages", "/v1/models/gpt-oss", "/v1/chat/completions"])
    def test_apps_and_extensions_may_send_what_the_sdks_do(
        self, desk: Desk, origin: str, path: str
    ) -> None:
        """Their preflight names every header, and whether it is a private network's machine."""
        desk.write(
            *STANDARD,
            allowOrigins=["app://obsidian.md", "http://localhost:*", "chrome-extension://*"],
        )
        sent = (
            "anthropic-beta,anthropic-dangerous-direct-browser-access,anthropic-version,"
            "content-type,x-api-key,x-stainless-arch,x-stainless-helper-method,x-stainless-lang,"
            "x-stainless-os,x-stainless-package-version,x-stainless-retry-count,"
            "x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout"
        )
        asked = {**ASK, "Origin": origin, "Access_Control_Request_Headers": sent}
        for private in (False, True):
            if private:
                asked["Access_Control_Request_Private_Network"] = "true"
            reply = desk.meet(desk.request(f"OPTIONS {path}", **asked))
            assert isinstance(reply, Reply)
            told = dict(reply.headers)
            assert (reply.status, told["Access-Control-Allow-Origin"]) == (204, origin)
            assert told["Access-Control-Allow-Headers"] == sent
            assert ("Access-Control-Allow-Private-Network" in told) is private
