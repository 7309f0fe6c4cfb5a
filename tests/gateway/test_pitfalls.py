"""What is easy to get wrong with HAProxy in front of LLM servers, each tried on a real one."""

import http.client
import json
import time
from collections import Counter
from typing import Any

import pytest

from tests.gateway.gateway import Running, Stream, chat, eventually, version

# More than is read: what comes behind is passed on unread.
LARGE = "x" * 200_000
IMAGE = f"data:image/png;base64,{'iVBORw0KGgo' * 300_000}"
OPEN_ERRORS = (http.client.IncompleteRead, OSError)


def model_first(last: str) -> bytes:
    """As our proxy sends it up: a conversation whose last message is long."""
    said = [{"role": "user", "content": "look"}, {"role": "user", "content": last}]
    return json.dumps({"model": "big", "messages": said}).encode()


def nested(depth: int) -> dict[str, Any]:
    """A tool whose schema goes so deep."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"x": schema}
    return schema


def home(herd: Running, text: str) -> str:
    """Where a conversation goes when all is well."""
    name = herd.turn(chat(text=text)).by
    herd[name].asked.clear()
    return name


def held(herd: Running, text: str, count: int = 1) -> list[Stream]:
    """Requests of one conversation that are under way."""
    before = len(herd.asked())
    streams = [herd.open(chat(text=text)) for _ in range(count)]
    eventually(lambda: len(herd.asked()) == before + count, f"{count} requests are under way")
    return streams


# 1. mjson reads until it finds; of a body that is cut off, what is behind the cut is not there.


def test_1_messages_may_come_before_the_model(herd: Running) -> None:
    answer = herd.ask({"messages": [{"role": "user", "content": "y" * 20_000}], "model": "big"})

    assert answer.status == 200


def test_1_a_body_that_is_cut_before_its_model_is_refused_and_not_guessed(herd: Running) -> None:
    answer = herd.ask(chat(text=LARGE))

    assert answer.status == 413
    assert answer.json["error"]["code"] == "body_too_large"
    assert "'model' before all else" in answer.json["error"]["message"]
    assert herd.asked() == []


@pytest.mark.parametrize("text", [LARGE, IMAGE])
def test_1_with_the_model_first_a_body_may_have_any_size(herd: Running, text: str) -> None:
    body = model_first(text)

    answer = herd.ask(body)

    assert answer.status == 200
    assert herd[answer.by].asked[0].body == body


def test_1_so_it_may_when_its_length_is_not_told(herd: Running) -> None:
    body = model_first(LARGE)
    connection = http.client.HTTPConnection("127.0.0.1", herd.gateway.port, timeout=10)
    pieces = (body[at : at + 30_000] for at in range(0, len(body), 30_000))
    headers = herd._headers(herd_key(herd), {})
    connection.request("POST", "/v1/chat/completions", pieces, headers, encode_chunked=True)

    answer = connection.getresponse()

    assert answer.status == 200
    assert herd[answer.headers["X-Served-By"]].asked[0].body == body


def herd_key(herd: Running) -> str:
    return (herd.folder / "gateway.key").read_text().strip()


# 2. MJSON_MAX_DEPTH: behind 20 levels there is nothing.


@pytest.mark.parametrize("depth", [21, 60])
def test_2_a_model_behind_deep_tools_is_refused_with_the_reason(herd: Running, depth: int) -> None:
    answer = herd.ask({"tools": [nested(depth)], **chat()})

    assert answer.status == 400
    assert "20 levels" in answer.json["error"]["message"]
    assert herd.asked() == []


@pytest.mark.parametrize("body", [{"tools": [nested(15)], **chat()}, chat(tools=[nested(60)])])
def test_2_tools_may_be_deep_behind_the_model_and_ordinary_before(
    herd: Running, body: dict[str, Any]
) -> None:
    first = dict(body) if "tools" in list(body)[:1] else {"model": "big", **body}

    assert herd.ask(first).status == 200


def test_2_the_auth_proxys_word_is_enough(herd: Running) -> None:
    """It reads every body, forms too; and no Mac is told what it said."""
    body = {"tools": [nested(60)], **chat(text=LARGE)}

    answer = herd.ask(body, x_herd_model="big")

    assert answer.status == 200
    assert "x-herd-model" not in herd[answer.by].asked[0].headers


# 3. What does not fit into the buffer is not there to be sent again.


def test_3_a_small_request_is_sent_again_elsewhere(herd: Running) -> None:
    first = home(herd, "again")
    herd[first].status = 503

    answer = herd.ask(chat(text="again"))

    assert (answer.status, answer.why) == (200, "opening, moved")
    assert answer.by != first
    assert len(herd.asked()) == 2


def test_3_of_a_large_one_the_refusal_is_the_answer(herd: Running) -> None:
    body = model_first(LARGE)
    first = herd.ask(body).by
    herd.reset()
    herd[first].status = 503

    answer = herd.ask(body)

    assert (answer.status, herd.asked()) == (503, [first])


def test_3_a_large_one_that_no_connection_took_goes_elsewhere(herd: Running) -> None:
    body = model_first(LARGE)
    first = herd.ask(body).by
    herd[first].stop()
    try:
        answer = herd.ask(body)
    finally:
        herd[first].start()

    assert answer.status == 200
    assert answer.by != first
    assert herd[answer.by].asked[-1].body == body


# 4. A hash leads to the same server again, unless it is told otherwise.


def test_4_a_try_that_fails_goes_to_another_mac_at_once(herd: Running) -> None:
    first = home(herd, "at once")
    herd[first].stop()
    try:
        answer = herd.ask(chat(text="at once"))
    finally:
        herd[first].start()

    assert answer.status == 200
    assert answer.by != first
    assert answer.seconds < 0.9  # HAProxy's wait before it tries the same one again is 1 s


# 5. hash-balance-factor knows of averages, and not of slots.


@pytest.mark.skipif(version() < (3, 2), reason="HAProxy has hash-preserve-affinity since 3.2")
def test_5_a_conversation_stays_while_its_mac_has_a_slot(herd: Running) -> None:
    first = home(herd, "stays")
    herd[first].held = True
    (stream,) = held(herd, "stays")

    (other,) = held(herd, "stays")

    assert [one.mac for one in herd[first].asked] == [first, first]
    stream.leave()
    other.leave()


def test_5_it_goes_elsewhere_when_its_macs_slots_are_full(herd: Running) -> None:
    first = home(herd, "spills")
    for mac in herd.macs.values():
        mac.held = True
    streams = held(herd, "spills", 3)

    assert Counter(herd.asked())[first] <= 2
    assert len(set(herd.asked())) > 1
    for stream in streams:
        stream.leave()


def test_5_nobody_waits_while_any_mac_has_a_slot(herd: Running) -> None:
    for mac in herd.macs.values():
        mac.held = True

    streams = held(herd, "fills all", 8)

    assert set(Counter(herd.asked()).values()) == {2}
    for stream in streams:
        stream.leave()


# 6. HAProxy counts for each pool; only the Mac itself knows that it is full.


def test_6_a_mac_that_is_full_says_so_and_another_is_asked(herd: Running) -> None:
    first = home(herd, "full")
    herd[first].status = 503

    assert herd.ask(chat(text="full")).by != first


@pytest.mark.parametrize("status", [429, 400, 500, 502, 504])
def test_6_what_is_an_answer_is_not_asked_again(herd: Running, status: int) -> None:
    for mac in herd.macs.values():
        mac.status = status

    answer = herd.ask(chat())

    assert answer.status == status
    assert answer.json["served"] == answer.by
    assert herd.asked() == [answer.by]


@pytest.mark.parametrize("status", [401, 404])
def test_6_a_mac_that_lacks_the_key_or_the_model_is_passed_over(herd: Running, status: int) -> None:
    first = home(herd, "lacks")
    herd[first].status = status

    answer = herd.ask(chat(text="lacks"))

    assert (answer.status, len(herd.asked())) == (200, 2)


def test_6_when_all_refuse_the_last_refusal_is_the_answer(herd: Running) -> None:
    for mac in herd.macs.values():
        mac.status = 503

    answer = herd.ask(chat())

    assert answer.status == 503
    assert answer.json["error"]["code"] == "overloaded"
    assert len(set(herd.asked())) > 1


# 7. Once an answer has begun, nothing is asked again.


def test_7_a_stream_that_dies_is_broken_and_not_begun_anew(herd: Running) -> None:
    first = home(herd, "dies")
    herd[first].streams = True
    stream = herd.open(chat(text="dies"))
    assert stream.line() == b"data: one\n"

    herd[first].stop()
    with pytest.raises(OPEN_ERRORS):
        stream.rest()

    assert herd.asked() == [first]
    herd[first].start()


def test_7_one_that_dies_before_its_first_byte_goes_elsewhere(herd: Running) -> None:
    first = home(herd, "early")
    herd[first].held = True
    (stream,) = held(herd, "early")

    herd[first].stop()

    assert stream.response.status == 200
    assert stream.response.headers["X-Served-By"] != first
    herd[first].start()


# 8. A ring needs points: weights of 100, not of 1.


def test_8_conversations_are_spread_evenly(herd: Running) -> None:
    served = Counter(herd.ask(chat(text=f"conversation {n}")).by for n in range(160))

    assert set(served) == set(herd.macs)
    assert max(served.values()) < 2.5 * min(served.values())


# 9. One opening is one key, however many conversations it opens.


def agent(*texts: str) -> dict[str, Any]:
    """A conversation of an agent: its instructions, then a person and the model in turn."""
    roles = ["system", *["user", "assistant"] * len(texts)]
    return {"model": "big", "messages": [
        {"role": role, "content": text} for role, text in zip(roles, texts, strict=False)
    ]}  # fmt: skip


def test_9_an_agents_conversations_are_told_apart_and_each_stays(herd: Running) -> None:
    first = {n: herd.turn(agent("be helpful", f"task {n}")).by for n in range(12)}
    later = {n: herd.turn(agent("be helpful", f"task {n}", "did it", "go on")).by for n in first}

    assert later == first
    assert len(set(first.values())) > 1


def test_9_without_instructions_the_answer_is_no_part_of_the_key(herd: Running) -> None:
    for n in range(6):
        one = herd.turn(chat(text=f"plain {n}")).by
        messages = [
            {"role": "user", "content": f"plain {n}"},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": "and?"},
        ]
        assert herd.turn({"messages": messages, "model": "big"}).by == one


@pytest.mark.parametrize("key", ["x_session_id", "x_openwebui_chat_id", "prompt_cache_key"])
def test_9_a_key_of_the_clients_own_is_better_than_the_opening(herd: Running, key: str) -> None:
    def ask(value: str, text: str) -> Any:
        if key == "prompt_cache_key":
            return herd.turn(chat(text=text, prompt_cache_key=value))
        return herd.turn(chat(text=text), **{key: value})

    same = {ask("mine", f"text {n}").by for n in range(8)}
    others = {ask(f"mine {n}", "one text").by for n in range(12)}

    assert len(same) == 1
    assert len(others) > 1
    assert ask("mine", "x").why == (key if key == "prompt_cache_key" else "session")


def test_9_a_session_counts_more_than_a_cache_key(herd: Running) -> None:
    asked = {herd.turn(chat(prompt_cache_key=f"k{n}"), x_session_id="one").by for n in range(8)}

    assert len(asked) == 1


def said(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {"messages": [said([{"type": "text", "text": "@"}])]}),
        ("messages", {"system": "s", "messages": [said("@")]}),
        ("messages", {"metadata": {"user_id": "@"}, "messages": [said("same")]}),
        ("responses", {"instructions": "i", "input": "@"}),
        ("responses", {"input": [said([{"type": "input_text", "text": "@"}])]}),
        ("completions", {"prompt": "@"}),
    ],
)
def test_9_each_api_has_its_opening(herd: Running, path: str, body: dict[str, Any]) -> None:
    def ask(text: str) -> Any:
        return herd.turn(
            json.dumps({**body, "model": "big"}).replace("@", text).encode(), f"/v1/{path}"
        )

    assert {ask("one text").by for _ in range(3)} == {ask("one text").by}
    assert ask("one text").why == "opening"
    assert len({ask(f"text {n}").by for n in range(12)}) > 1


def test_9_without_an_opening_requests_go_round(herd: Running) -> None:
    answers = [herd.ask({"input": "x", "model": "big"}, "/v1/embeddings") for _ in range(40)]

    assert {answer.why for answer in answers} == {"spread"}
    assert len({answer.by for answer in answers}) == 4


# 10. A stream needs nothing, and who leaves is to be noticed.


def test_10_events_pass_as_they_come_and_as_they_are(herd: Running) -> None:
    first = home(herd, "streams")
    herd[first].streams = True
    stream = herd.open(chat(text="streams"))
    assert stream.line() == b"data: one\n"  # while the other is still to come

    herd[first].asked[0].release()

    assert stream.rest() == b"\ndata: two\n\ndata: [DONE]\n\n"
    assert stream.response.headers["Content-Type"] == "text/event-stream"


def test_10_who_leaves_before_the_first_byte_frees_the_mac(herd: Running) -> None:
    first = home(herd, "leaves")
    herd[first].held = True
    (stream,) = held(herd, "leaves")

    stream.leave()

    assert herd[first].asked[0].ended.wait(3)


# 11 and 12. A reload cuts nothing, and forgets nothing.


def test_11_a_stream_goes_on_over_a_reload(herd: Running) -> None:
    first = home(herd, "reloads")
    herd[first].streams = True
    stream = herd.open(chat(text="reloads"))
    assert stream.line() == b"data: one\n"

    herd.reload()
    assert herd.ask(chat(text="after")).status == 200
    herd[first].asked[0].release()

    assert stream.rest().endswith(b"data: [DONE]\n\n")


def test_12_who_is_drained_at_the_gateway_stays_so_over_a_reload(herd: Running) -> None:
    herd["mac2"].agent = "up"  # one that says neither drain nor ready
    eventually(lambda: "L7OK" in herd.stat("agent_status")["mac2"], "it says so")
    herd.command("set server macs/mac2 state drain")
    herd.until("mac2", "DRAIN", "model.big")

    herd.reload()

    assert herd.states("model.big")["mac2"].startswith("DRAIN")
    herd.command("set server macs/mac2 state ready")
    herd.until("mac2", "UP", "model.big")


def test_12_so_does_who_drains_itself_without_a_way_into_the_gateway(herd: Running) -> None:
    herd["mac3"].agent = "drain"
    herd.until("mac3", "DRAIN", "model.big")

    herd.reload()

    assert herd.states("model.big")["mac3"].startswith("DRAIN")
    assert "mac3" not in {herd.ask(chat(text=f"drained {n}")).by for n in range(16)}
    herd["mac3"].agent = "ready up"
    herd.until("mac3", "UP", "model.big")


def test_12_who_drains_finishes_what_it_has_begun(herd: Running) -> None:
    first = home(herd, "finishes")
    herd[first].streams = True
    stream = herd.open(chat(text="finishes"))
    assert stream.line() == b"data: one\n"

    herd[first].agent = "drain"
    herd.until(first, "DRAIN", "model.big")
    herd[first].asked[0].release()

    assert stream.rest().endswith(b"data: [DONE]\n\n")


# 13. A Mac without power closes nothing.


def served_elsewhere(herd: Running, waiting: Stream, text: str) -> str:
    """Who answers a request that waited at a Mac which is down now.

    HAProxy 2.8 asks another itself. Later ones end the connection without a byte of an answer
    (stream_shutdown_self, and what http_wait_for_response makes of it), which is the word for our
    auth proxy to ask once more.
    """
    try:
        answer = waiting.response
    except http.client.RemoteDisconnected:
        assert version() >= (3, 0)
        return herd.ask(chat(text=text)).by
    assert answer.status == 200
    return str(answer.headers["X-Served-By"])


def test_13_a_dark_mac_ends_its_streams_and_what_waited_goes_elsewhere(herd: Running) -> None:
    first = home(herd, "dark")
    mac = herd[first]
    mac.streams = True
    begun = herd.open(chat(text="dark"))
    assert begun.line() == b"data: one\n"
    mac.streams, mac.held = False, True
    waiting = herd.open(chat(text="dark"))
    eventually(lambda: len(herd.asked()) == 2, "both are under way")
    holder = next(name for name in herd.macs if len(herd[name].asked) and herd[name].held)
    assert holder == first or version() < (3, 2)

    began = time.monotonic()
    mac.silent = True
    with pytest.raises(OPEN_ERRORS):
        begun.rest()

    assert served_elsewhere(herd, waiting, "dark") != first
    assert time.monotonic() - began < 5
    assert herd.states()[first] == "DOWN"


def test_13_the_agent_takes_out_who_gives_no_token(herd: Running) -> None:
    first = home(herd, "hangs")
    herd[first].held = True
    (waiting,) = held(herd, "hangs")

    herd[first].agent = "down #no token in 30 s"

    assert served_elsewhere(herd, waiting, "hangs") != first


# 14. A name that nobody serves is not anybody's.


@pytest.mark.parametrize("name", ["none", "BIG", "big ", "bi", "macs", "model.big", "", "bïg"])
def test_14_an_unknown_model_is_404_as_openai_has_it(herd: Running, name: str) -> None:
    answer = herd.ask(chat(name))

    assert answer.status in ({404} if name else {404, 400})
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.json["error"]["code"] == "model_not_found"
    assert herd.asked() == []


# A queue, with a bound and a word.


def full(herd: Running) -> Stream:
    herd["mac1"].held = True
    before = len(herd.asked())
    stream = herd.open(chat("solo"))
    eventually(lambda: len(herd.asked()) == before + 1, "its slot is taken")
    return stream


def queued(herd: Running, count: int, pool: str = "model.solo") -> None:
    """Of one Mac they wait at it, of several for all of them."""
    waiting = lambda: sum(map(int, herd.stat("qcur", pool).values()))  # noqa: E731
    eventually(lambda: waiting() == count, f"{count} wait")


def test_when_a_mac_is_full_the_next_waits_for_it(herd: Running) -> None:
    working = full(herd)
    waiting = herd.open(chat("solo"))
    queued(herd, 1)

    herd["mac1"].held = False
    herd["mac1"].asked[0].release()

    assert working.response.status == 200
    assert waiting.response.status == 200
    assert waiting.response.headers["X-Served-Why"] == "queue"


@pytest.mark.parametrize("first", ["mac1", "mac2"])
def test_when_all_are_full_the_next_gets_the_first_slot_of_any(herd: Running, first: str) -> None:
    herd["mac1"].held = herd["mac2"].held = True
    for count in (1, 2):  # one by one: two of one moment may both be told of the same slot
        herd.open(chat("pair"))
        eventually(lambda count=count: len(herd.asked()) == count, "it is at work")
    assert sorted(herd.asked()) == ["mac1", "mac2"]
    waiting = herd.open(chat("pair"))
    queued(herd, 1, "model.pair")

    herd[first].held = False
    herd[first].asked[0].release()

    assert waiting.response.status == 200
    assert waiting.response.headers["X-Served-By"] == first


def test_beyond_the_queue_the_answer_is_when_to_come_again(herd: Running) -> None:
    working, waiting = full(herd), [herd.open(chat("solo")) for _ in range(2)]
    queued(herd, 2)

    answer = herd.ask(chat("solo"))

    assert answer.status == 503
    assert answer.headers["retry-after"] == "10"
    assert answer.json["error"]["code"] == "overloaded"
    for stream in (working, *waiting):
        stream.leave()


def test_who_has_waited_too_long_is_told_so(herd: Running) -> None:
    working = full(herd)

    answer = herd.ask(chat("solo"))

    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json["error"]["code"] == "upstream_unavailable"
    assert 1.5 < answer.seconds < 6
    working.leave()


def test_without_any_mac_the_answer_comes_at_once(herd: Running) -> None:
    herd["mac1"].ready = False
    herd.until("mac1", "DOWN", "model.solo")

    answer = herd.ask(chat("solo"))

    assert (answer.status, answer.headers["retry-after"]) == (503, "10")
    assert answer.seconds < 1
