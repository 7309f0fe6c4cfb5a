"""What a gateway is told by a Mac: what is the Mac's own is a 503, so that another one is asked."""

import json
from pathlib import Path

import pytest

from proxy.exchange import Reply
from proxy.policy.behind_a_gateway import elsewhere, id_of
from tests.proxy.support.policy import ANNA, STANDARD, Desk, entry, error, in_a_loop

GATEWAY = "sk-herd-gateway-0123456789-abcdefgh"
SLOTS = [{"names": ["gpt-oss", "gpt"], "slots": 2}]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "config.json")
    made.write(
        *STANDARD, entry("gateway", GATEWAY, gateway=True), entry("one", GATEWAY + "1", parallel=1),
        slots=SLOTS,
    )  # fmt: skip
    return made


def swap(message: str) -> bytes:
    return json.dumps({"error": message, "src": "llama-swap"}).encode()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (429, swap("too many"), "model_busy"),
        (429, b'{"error": {"message": "too many", "type": "x"}}', "model_busy"),
        (404, swap("no router for requested model"), "model_not_here"),
        (500, swap("unspecific error: upstream command exited prematurely"), "model_loading"),
        (500, b'{"src": "llama-swap", "error": {"message": "is shutting down"}}', "model_loading"),
        (404, swap("no model id could be identified"), None),
        (500, b'{"error": {"message": "compute error", "type": "server_error"}}', None),
        (404, b'{"error": {"message": "File Not Found", "code": 404}}', None),
        (400, swap("bad"), None),
        (503, swap("[m] process is not ready"), None),  # one already
        (429, b"too many", None),
        (500, b"[" * 100_000, None),
        (500, b'{"error": 5, "src": "llama-swap"}', None),
    ],
)
@in_a_loop
def test_what_is_no_fault_of_the_request_goes_elsewhere(
    desk: Desk, status: int, body: bytes, code: str | None
) -> None:
    told = elsewhere(status, body)
    assert (told and told[0]) == code

    for key in (GATEWAY, ANNA):
        request, _ = desk.chat(key)
        instead = desk.policy.instead(request, status, body)
        assert (instead is not None) is (key == GATEWAY and code is not None)
        if instead is not None:
            assert instead.status == 503
            assert dict(instead.headers)["Retry-After"]
            assert error(instead)["code"] == code


@in_a_loop
def test_what_llama_swap_did_not_answer_may_go_elsewhere(desk: Desk) -> None:
    """To others it is a 502."""
    for key, status, code in (
        (GATEWAY, 503, "upstream_unavailable"),
        (ANNA, 502, "upstream_error"),
    ):
        request, _ = desk.chat(key)
        reply = desk.policy.error(502, "upstream_error", "It ended.", request)
        assert (reply.status, error(reply)["code"]) == (status, code)
        assert ("Retry-After" in dict(reply.headers)) is (key == GATEWAY)


@in_a_loop
def test_beyond_its_slots_a_model_takes_no_more_of_a_gateway(desk: Desk) -> None:
    """Others wait as before, and count; a key's own limit stays a 429."""
    first, ticket = desk.chat(GATEWAY, "gpt")
    assert not isinstance(ticket, Reply)
    desk.chat(ANNA)
    for model in ("gpt-oss", "gpt"):
        _, full = desk.chat(GATEWAY, model)
        assert isinstance(full, Reply)
        assert full.status == 503
        assert error(full)["code"] == "model_busy"
        assert dict(full.headers)["Retry-After"] == "2"
    assert not isinstance(desk.chat(ANNA)[1], Reply)
    desk.chat(GATEWAY + "1", "qwen")
    _, over = desk.chat(GATEWAY + "1", "qwen")
    assert isinstance(over, Reply)
    assert over.status == 429
    assert not isinstance(desk.chat(GATEWAY, "qwen")[1], Reply), "nobody said its slots"
    desk.end(first, ticket)


def test_its_id_goes_through_and_nobody_elses() -> None:
    assert id_of("5f1c0d2a00002f", "own") == "5f1c0d2a00002f"
    for sent in (None, "", "a b", "x" * 65, "a\nb", "é"):
        assert id_of(sent, "own") == "own"


@in_a_loop
def test_both_logs_have_one_id(desk: Desk) -> None:
    for key, id_ in ((GATEWAY, "5f1c"), (ANNA, "id1")):
        request, ticket = desk.chat(key, X_Request_Id="5f1c")
        assert not isinstance(ticket, Reply)
        desk.end(request, ticket)
        line = desk.log.lines[-1]
        assert (line.id, line.key) == (id_, "gateway" if key == GATEWAY else "anna")
