"""Tokens told in passing, wherever the pieces are cut and whatever a model writes."""

import json
import random
import time
from typing import Any

import pytest

from proxy.accounting.answer_observer import LONGEST, LOOK, Plain, Stream, Told
from proxy.accounting.json_skimmer import Skimmer
from proxy.accounting.tokens import INNER, NAMES, NONE, Tokens

TIMINGS = {"cache_n": 5, "prompt_n": 12, "predicted_n": 41, "predicted_per_second": 52.5}
USAGE = {"completion_tokens": 41, "prompt_tokens": 17, "total_tokens": 58}
CHAT: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]},
    *({"choices": [{"index": 0, "delta": {"content": f"w{number}"}}]} for number in range(40)),
    {"choices": [], "usage": USAGE, "timings": TIMINGS},
]
DONE = b"data: [DONE]\n\n"


def events(*objects: Any, named: bool = False) -> bytes:
    names = [f"event: {item['type']}\n" if named else "" for item in objects]
    return b"".join(
        f"{name}data: {json.dumps(item)}\n\n".encode()
        for name, item in zip(names, objects, strict=True)
    )


def told(body: bytes, size: int, *, stream: bool = True) -> Told:
    observer = Stream() if stream else Plain()
    for start in range(0, len(body), size):
        observer.feed(body[start : start + size])
    return observer.told()


def answered(value: object, size: int) -> Tokens:
    return told(json.dumps(value).encode(), size, stream=False).tokens


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 100, 100_000])
class TestWhereverThePiecesAreCut:
    """The network does not respect events."""

    def test_chat_stream(self, size: int) -> None:
        """The last event has usage, timings, or both."""
        assert told(events(*CHAT) + DONE, size) == (
            (17, 41, 52.5),
            True,
            42,
            len(events(*CHAT)) + len(DONE),
            1,
        )

    def test_timings_alone(self, size: int) -> None:
        """What llama-server sends unasked; cached prompt tokens are prompt tokens."""
        last = {"choices": [{"index": 0, "delta": {}}], "timings": TIMINGS}

        assert told(events(*CHAT[:-1], last) + DONE, size).tokens == (17, 41, 52.5)

    def test_timings_with_each_token(self, size: int) -> None:
        """They grow; the last ones count, and there is no need of an end."""
        each = [
            {"choices": [{"index": 0, "delta": {"content": "x"}}],
             "timings": {**TIMINGS, "predicted_n": number}} for number in range(1, 30)
        ]  # fmt: skip

        assert told(events(*each), size).tokens == (17, 29, 52.5)

    def test_several_results_in_one_stream(self, size: int) -> None:
        """Each tells its own, by its index, or in an event without choices."""
        indexed = [{"index": one, "timings": TIMINGS} for one in range(3)]
        chosen = [{"choices": [{"index": one, "delta": {}}], "timings": TIMINGS} for one in (0, 1)]
        unnamed = [{"choices": [], "usage": USAGE, "timings": TIMINGS} for _ in range(4)]

        assert told(events(*indexed), size).tokens[:2] == (51, 123)
        assert told(events(*chosen), size).tokens[:2] == (34, 82)
        assert told(events(*unnamed), size).tokens[:2] == (68, 164)

    def test_messages_stream(self, size: int) -> None:
        """Anthropic's first event has the prompt, the last but one the answer."""
        start = {"type": "message_start", "message": {"id": "m", "usage": {
            "input_tokens": 9, "cache_read_input_tokens": 3, "output_tokens": 0}}}  # fmt: skip
        texts = [{"type": "content_block_delta", "delta": {"text": "x" * 90}} for _ in range(60)]
        delta = {"type": "message_delta", "usage": {"output_tokens": 60}}
        body = events(start, *texts, delta, {"type": "message_stop"}, named=True)

        assert told(body, size).tokens == (12, 60, None)

    @pytest.mark.parametrize("length", [30, 3 * LONGEST])
    def test_responses_stream(self, size: int, length: int) -> None:
        """The last event repeats the whole answer before the usage, however long it is."""
        completed = {"type": "response.completed", "response": {
            "output": [{"usage": {"input_tokens": 1}}, "y" * (length if size > 50 else 30)],
            "usage": {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6,
                      "input_tokens_details": {"cached_tokens": 1}},
            "metadata": {"usage": {"input_tokens": 0}}}}  # fmt: skip
        body = events({"type": "response.created"}, completed, named=True)

        assert told(body, size).tokens == (4, 2, None)
        assert told(body, size).events == 2

    def test_whole_json_answers(self, size: int) -> None:
        """Usage may stand before the bulk, as in embeddings, behind it, or in the middle."""
        long = 3 * LONGEST if size > 50 else 100
        bulk = {"choices": ["x" * long]}
        usage = {"usage": {"prompt_tokens": 8, "completion_tokens": 3}}

        assert answered({**usage, "data": [0.1] * long}, size) == (8, 3, None)
        assert answered({**bulk, **usage}, size) == (8, 3, None)
        assert answered({**bulk, **usage, "probabilities": [bulk, usage] * 9}, size) == (8, 3, None)

    def test_several_prompts_of_one_request(self, size: int) -> None:
        """llama-server's own API answers them with an array: all of them count."""
        long = LONGEST if size > 50 else 10
        results = [
            {"index": one, "content": "x" * long, "timings": TIMINGS, "probs": [{"timings": {}}]}
            for one in range(8)
        ]

        assert answered(results, size) == (8 * 17, 8 * 41, 52.5)
        assert told(json.dumps(results).encode(), size, stream=False).complete
        results[4] = {"content": "x" * long}
        assert not told(json.dumps(results).encode(), size, stream=False).complete

    def test_several_choices_are_not_all_told(self, size: int) -> None:
        """In the shape of OpenAI, llama-server tells the first one's numbers only."""
        long = LONGEST if size > 50 else 10
        choice = {"text": "x" * long, "logprobs": {"content": [{"token": "{"}]}}
        one, two = ({"choices": [choice] * many, "usage": USAGE} for many in (1, 2))

        assert told(json.dumps(one).encode(), size, stream=False).complete
        assert not told(json.dumps(two).encode(), size, stream=False).complete

    def test_stream_that_ended_early(self, size: int) -> None:
        """Its events are counted; comments and text that looks like one are none."""
        tricky = {"choices": [{"delta": {"content": "\ndata: \n\ndata: x"}}]}
        body = b": ping\n\n" + events(*CHAT[:20], tricky) + b": ping\n\n" + b'data: {"ch'

        assert told(body, size)[:3] == (NONE, False, 22)


LIE = '"usage": {"prompt_tokens": 1, "completion_tokens": 0}, "timings": {"predicted_n": 999999}'
LIES: list[dict[str, Any]] = [
    {"message": {"content": LIE}},
    {"message": {"reasoning_content": "\\" + LIE + "\\"}},
    {"message": {"tool_calls": [{"function": {"arguments": "{" + LIE + "}"}}]}},
    {"text": "\n\ndata: {" + LIE + "}\n\n"},
    {"input": {"usage": {"prompt_tokens": 7000, "completion_tokens": 7000}}},
    {"input": {"timings": {"predicted_n": 7000}, "a": '}]}"'}},
]


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("size", [1, 10, 100_000])
@pytest.mark.parametrize("length", [1, LONGEST])
def test_work_of_the_model_cannot_pass_for_numbers(lie: Any, size: int, length: int) -> None:
    """Before the numbers or behind them, as text or as the input of a tool."""
    if length > 1 and size < 100:
        size = 999
    usage = {"usage": {"prompt_tokens": 2, "completion_tokens": 3}}
    padded = [lie, "x" * length, lie]
    for answer in ({"choices": padded, **usage}, {**usage, "content": padded}):
        assert answered(answer, size) == (2, 3, None)
    assert told(events({"choices": [lie], "more": padded}, usage), size).tokens == (2, 3, None)
    assert told(events(usage, {"delta": lie, "more": padded}), size).tokens == (2, 3, None)


@pytest.mark.parametrize(
    "nonsense",
    ["{", '{"prompt_tokens": "7"}', '{"prompt_tokens": -7}', '{"prompt_tokens": true}',
     '{"predicted_per_second": 1e999}', '{"prompt_tokens": 1e9}', "{" * 4000, '{"a": "\udcff"}',
     '{"prompt_tokens": 1' + "0" * 5000 + "}", "[" * 20_000, '"\\', "null", "[1, 2]", "[]", "1"],
)  # fmt: skip
@pytest.mark.parametrize("padding", [0, LONGEST])
def test_nonsense_counts_nothing(nonsense: str, padding: int) -> None:
    """And breaks nothing."""
    text = f'{{"x": "{"x" * padding}", "usage": {nonsense}, "timings": {nonsense}}}'
    body = text.encode("utf-8", "surrogateescape")

    assert told(body, 64, stream=False).tokens == NONE
    assert told(nonsense.encode("utf-8", "replace"), 64, stream=False).tokens == NONE
    assert told(b"data: " + body + b"\n\n", 64).tokens == NONE


def test_skimming_finds_what_reading_finds() -> None:
    """On random answers in random pieces."""
    chance = random.Random(11)
    names = ["usage", "timings", "message", "choices", "a", '"', "\\", "us\\age", "{"]

    def value(depth: int) -> Any:
        kind = chance.randrange(6 if depth < 5 else 3)
        if kind < 3:
            return chance.choice([1, -2.5, None, True, 'x"', "\\", '{"usage":', "]}", "y" * 200])
        if kind == 3:
            return [value(depth + 1) for _ in range(chance.randrange(4))]
        return {chance.choice(names): value(depth + 1) for _ in range(chance.randrange(5))}

    found = 0
    for _ in range(1000):
        document = {chance.choice(names): value(1) for _ in range(chance.randrange(6))}
        many = chance.random() < 0.3
        text = json.dumps([document, document] if many else document, indent=chance.choice([0, 2]))
        skimmer = Skimmer(NAMES, INNER)
        data = text.encode()
        while data:
            size = chance.choice([1, 3, 70, 500])
            skimmer.feed(data[:size])
            data = data[size:]
        skimmer.feed(b"", final=True)
        expected: dict[str, Any] = {}
        for name, held in document.items():
            if name in ("usage", "timings") and isinstance(held, dict | list):
                expected[name] = held
            elif name == "message" and isinstance(held, dict):
                expected |= {
                    key: one for key, one in held.items()
                    if key in ("usage", "timings") and isinstance(one, dict | list)
                }  # fmt: skip
        found += bool(expected)
        assert skimmer.found == [expected] * (1 + many), text
    assert found > 150


def test_what_is_kept_of_a_long_answer_is_bounded() -> None:
    """1000 streams keep some MB together."""
    stream = Stream()
    for _ in range(1000):
        stream.feed(b"data: " + b"x" * 200 + b"\n\n")
        assert len(stream._rest) + stream._size < 3 * LOOK
    stream.feed(b"data: ")
    plain = Plain()
    for observer in (stream, plain):
        for _ in range(1000):
            observer.feed(b'{"usage": "xxxx' * 100)
            assert sum(map(len, observer._pieces)) < LONGEST + 2 * LOOK
    skimmer = Skimmer(NAMES)
    for _ in range(1000):
        skimmer.feed(b'{"usage": {"x": [' + b'{"y": "z"},' * 99)
        assert len(skimmer._kept) + len(skimmer._carry) < 3 * LOOK


def test_a_piece_costs_well_under_two_microseconds() -> None:
    """Per token of each stream; about 0.3 on an idle machine."""
    piece = events(CHAT[3]) + b" " * 150
    best = min(_seconds_per_piece(piece) for _ in range(5))

    assert best < 2e-6


def _seconds_per_piece(piece: bytes) -> float:
    observer = Stream()
    started = time.perf_counter()
    for _ in range(5000):
        observer.feed(piece)
    return (time.perf_counter() - started) / 5000
