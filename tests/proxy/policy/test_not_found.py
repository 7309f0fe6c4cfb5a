"""What a client is told that asks where nothing is: what it meant, in words it understands."""

import asyncio
import json
from pathlib import Path

import pytest

from proxy.exchange import Local, Reply
from tests.proxy.support.policy import ANNA, METER, ROOT, Desk, error

HOST = "mac.example:3000"
OPENAI, ANTHROPIC = f"http://{HOST}/v1", f"http://{HOST}"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "config.json")


def refused(desk: Desk, line: str, key: str = ANNA, **headers: str) -> Reply:
    reply = desk.meet(desk.request(line, key, Host=HOST, **headers), "gpt-oss")
    assert isinstance(reply, Reply)
    return reply


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("GET /v1//models", "/v1/models"),
        ("GET //v1/models", "/v1/models"),
        ("GET /v1/models/", "/v1/models"),
        ("GET /models/", "/v1/models"),
        ("POST /v1//chat/completions", "/v1/chat/completions"),
        ("POST //chat/completions", "/v1/chat/completions"),
        ("POST /v1/chat/completions/", "/v1/chat/completions"),
        ("POST /chat/completions", "/v1/chat/completions"),
        ("POST /completions", "/v1/completions"),
        ("POST /responses", "/v1/responses"),
        ("POST /embeddings", "/v1/embeddings"),
        ("POST /audio/transcriptions", "/v1/audio/transcriptions"),
        ("POST /v1/v1/chat/completions", "/v1/chat/completions"),
        ("GET /v1/v1/models", "/v1/models"),
        ("GET /v1/v1/models/lab/recite", "/v1/models/lab/recite"),
        ("POST /openai/v1/chat/completions", "/v1/chat/completions"),
        ("POST /openai/deployments/gpt-oss/chat/completions", "/v1/chat/completions"),
        ("POST /api/v1/chat/completions", "/v1/chat/completions"),
        ("GET /api/models", "/v1/models"),
        ("GET /openai/models", "/v1/models"),
        ("POST /v1/chat/completions/chat/completions", "/v1/chat/completions"),
        ("GET /v1/chat/completions/models", "/v1/models"),
        ("POST /v1/completions/chat/completions", "/v1/chat/completions"),
        ("POST /V1/Chat/Completions", "/v1/chat/completions"),
        ("POST /v2/embeddings", "/v1/embeddings"),
    ],
)
def test_a_wrong_base_url_of_openais_clients_is_named(desk: Desk, line: str, meant: str) -> None:
    """Theirs ends in /v1."""
    reply = refused(desk, line)
    if not line.endswith(" /api/models"):
        assert refused(desk, line, ROOT).body == reply.body

    assert reply.status == 404
    assert set(error(reply)) == {"message", "type", "param", "code"}
    assert f" {meant} meant" in error(reply)["message"]
    assert error(reply)["message"].endswith(f" is {OPENAI}")


@pytest.mark.parametrize(
    ("line", "headers", "meant"),
    [
        ("POST /messages", {}, "/v1/messages"),
        ("POST /v1/v1/messages", {}, "/v1/messages"),
        ("POST /v1//messages", {}, "/v1/messages"),
        ("POST /v1/messages/", {}, "/v1/messages"),
        ("POST //v1/messages", {}, "/v1/messages"),
        ("POST /anthropic/v1/messages", {}, "/v1/messages"),
        ("POST /v1/messages/v1/messages", {}, "/v1/messages"),
        ("POST /v1/v1/messages/count_tokens", {}, "/v1/messages/count_tokens"),
        ("GET /v1/v1/models", {"anthropic_version": "2023-06-01"}, "/v1/models"),
    ],
)
def test_a_wrong_base_url_of_anthropics_clients_is_named(
    desk: Desk, line: str, headers: dict[str, str], meant: str
) -> None:
    """Theirs does not."""
    reply = refused(desk, line, **headers)
    told = json.loads(reply.body)

    assert reply.status == 404
    assert (told["type"], told["error"]["type"]) == ("error", "not_found_error")
    assert f" {meant} meant" in told["error"]["message"]
    assert told["error"]["message"].endswith(f" is {ANTHROPIC}")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/slots", "/health", "/v1/files", "/tags"])
def test_both_base_urls_are_told_where_it_is_anybodys_guess(desk: Desk, path: str) -> None:
    """Such a one asks for something else, but may be given the wrong base URL all the same."""
    message = error(refused(desk, f"POST {path}"))["message"]

    assert f" {OPENAI} " in message
    assert f" {ANTHROPIC} " in message


def test_no_host_that_could_be_anything_is_repeated(desk: Desk) -> None:
    """It is text of a client's."""
    request = desk.request("POST /messages", ANNA, Host='x" onload="')
    reply = desk.meet(request)

    assert isinstance(reply, Reply)
    assert "onload" not in reply.body.decode()
    assert "http://<host>:<port>" in reply.body.decode()


@pytest.mark.parametrize(
    ("line", "allow"),
    [
        ("GET /v1/chat/completions", "POST"),
        ("HEAD /v1/responses", "POST"),
        ("PUT /v1/messages", "POST"),
        ("POST /v1/models", "GET, HEAD"),
        ("DELETE /v1/models/gpt-oss", "GET, HEAD"),
        ("POST /props", "GET, HEAD"),
        ("POST /healthz", "GET, HEAD"),
        ("DELETE /v1/audio/voices", "GET, HEAD, POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(desk: Desk, line: str, allow: str) -> None:
    """RFC 9110 15.5.6."""
    reply = refused(desk, line)

    assert reply.status == 405
    assert dict(reply.headers)["Allow"] == allow


PROBES = [
    "GET /", "HEAD /", "GET /api/tags", "POST /api/show", "GET /api/version", "GET /api/v0/models",
    "POST /api/chat", "GET /props", "HEAD /props", "GET /slots", "GET /health", "GET /version",
    "GET /metrics", "GET /ui", "GET /ui/", "GET /logs", "GET /running", "GET /unload",
    "GET /upstream/gpt-oss/props", "GET /favicon.ico", "GET /v1/audio/voices", "GET /files",
    "GET /sdapi/v1/loras", "GET /info", "GET /v1/files", "GET /admin/usage", "GET /api/events",
]  # fmt: skip


@pytest.mark.parametrize("line", PROBES)
def test_a_probe_finds_nothing_rather_than_a_bad_key(desk: Desk, line: str) -> None:
    """Clients try what other servers have, and take a 403 for the end of their key."""
    assert refused(desk, line).status == 404
    assert desk.status(line) == 401
    assert desk.status(line, "sk-wrong-0123456789") == 401


def test_an_admin_still_gets_everything(desk: Desk) -> None:
    """And whoever lacks a scope is told which."""

    async def situation() -> None:
        for line in PROBES:
            path = line.split(" ")[1]
            if path.startswith(("/api/", "/ui", "/logs", "/running", "/unload", "/upstream", "/f")):
                assert desk.status(line, ROOT) == (404 if path == "/files" else 0), line
        assert desk.status("GET /", ROOT) == 0

    asyncio.run(situation())
    assert "'admin'" in error(refused(desk, "GET /unload"))["message"]
    assert "'metrics'" in error(refused(desk, "GET /metrics", ROOT))["message"]
    without = refused(desk, "POST /v1/responses", METER)
    assert (without.status, error(without)["code"]) == (403, "insufficient_scope")


def test_a_person_still_gets_to_the_login(desk: Desk) -> None:
    """A browser without a key is sent there, whatever page it opens."""
    for path in ("/", "/ui/", "/logs", "/v1//models"):
        reply = desk.meet(desk.request(f"GET {path}", Accept="text/html,*/*"))
        assert isinstance(reply, Reply)
        assert (reply.status, dict(reply.headers)["Location"]) == (303, "/login")


def test_props_of_a_model_are_llama_swaps_and_without_one_it_is_asked_for(desk: Desk) -> None:
    """It is a route of inference; llama-swap has no props of its own."""
    assert "/props?model=" in error(refused(desk, "GET /props"))["message"]

    async def situation() -> None:
        assert desk.status("GET /props?model=gpt-oss", ANNA) == 0

    asyncio.run(situation())


@pytest.mark.parametrize(
    "path",
    ["/v1/../unload", "/v1/%2e%2e/unload", "/v1/chat%2Fcompletions", "/v1/./messages", "/v1\\x",
     "//unload", "/ui//x", "/%2fchat/completions", "/chat/completions;x", "/v1/messages%00",
     "/v1/models/..%2f..%2funload",
     "/v1/models/%2e%2e/unload", "/models/../unload", "/v1/models/%252fx", "/v1/models/a%2f..%2fb"],
)  # fmt: skip
def test_what_is_truly_ambiguous_stays_refused_as_such(desk: Desk, path: str) -> None:
    """No guess is made about what programs understand differently."""
    for key in (ANNA, ROOT):
        for method in ("GET", "POST"):
            reply = refused(desk, f"{method} {path}", key)
            assert reply.status == 400
            assert "more than one meaning" in reply.body.decode()


@pytest.mark.parametrize("path", ["/v1/models/a%2Fb", "/v1/models/a/b", "/models/a%2fb%20c%3F"])
def test_a_models_name_is_looked_up_here_and_never_a_path(desk: Desk, path: str) -> None:
    """Its encoded slashes are the one exception; what is fetched for it is the list."""
    assert isinstance(desk.meet(desk.request(f"GET {path}", ANNA)), Local)
