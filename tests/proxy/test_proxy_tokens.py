"""Counting tokens in passing, wherever the pieces are cut and whatever a model writes."""

import json
import time

import pytest

from proxy.tokens import TAIL, Observer, Tokens

CHAT = (
    [{"choices": [{"delta": {"role": "assistant", "content": None}}]}]
    + [{"choices": [{"delta": {"content": f"w{number}"}}]} for number in range(40)]
    + [
        {
            "choices": [],
            "usage": {"completion_tokens": 41, "prompt_tokens": 17, "total_tokens": 58},
            "timings": {"cache_n": 5, "prompt_n": 12, "predicted_n": 41,
                        "predicted_per_second": 52.5},
        }
    ]
)  # fmt: skip


def events(*objects: object, named: bool = False) -> list[bytes]:
    names = [f"event: {item['type']}\n" if named else "" for item in objects]  # type: ignore[index]
    return [
        f"{name}data: {json.dumps(item)}\n\n".encode()
        for name, item in zip(names, objects, strict=True)
    ]


def observed(body: bytes, size: int, *, stream: bool = True, whole: bool = True) -> Tokens:
    observer = Observer(stream=stream)
    for start in range(0, len(body), size):
        observer.feed(body[start : start + size])
    return observer.tokens(whole=whole)


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 100, 100_000])
class TestWhereverThePiecesAreCut:
    """The network does not respect events."""

    def test_chat_stream(self, size: int) -> None:
        """The last event has usage, timings, or both."""
        body = b"".join(events(*CHAT)) + b"data: [DONE]\n\n"

        assert observed(body, size) == (17, 41, 52.5)

    def test_timings_alone(self, size: int) -> None:
        """What llama-server sends unasked; cached prompt tokens are prompt tokens."""
        last = {key: value for key, value in CHAT[-1].items() if key != "usage"}
        body = b"".join(events(*CHAT[:-1], last)) + b"data: [DONE]\n\n"

        assert observed(body, size) == (17, 41, 52.5)

    def test_messages_stream(self, size: int) -> None:
        """Anthropic's first event has the prompt, the last but one the answer."""
        start = {"type": "message_start", "message": {"id": "m", "usage": {
            "input_tokens": 9, "cache_read_input_tokens": 3, "output_tokens": 0}}}  # fmt: skip
        texts = [{"type": "content_block_delta", "delta": {"text": "x" * 90}} for _ in range(60)]
        delta = {"type": "message_delta", "usage": {"output_tokens": 60}}
        body = b"".join(events(start, *texts, delta, {"type": "message_stop"}, named=True))

        assert observed(body, size) == (12, 60, None)

    def test_responses_stream(self, size: int) -> None:
        """The last event repeats the whole answer before the usage."""
        completed = {"type": "response.completed", "response": {
            "output": "y" * 3 * TAIL,
            "usage": {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6,
                      "input_tokens_details": {"cached_tokens": 1}}}}  # fmt: skip
        body = b"".join(events({"type": "response.created"}, completed, named=True))

        assert observed(body, size) == (4, 2, None)

    def test_whole_json_answers(self, size: int) -> None:
        """Usage may stand before the bulk, as in embeddings, or behind it."""
        usage = {"prompt_tokens": 8, "total_tokens": 8}
        first = {"object": "list", "usage": usage, "data": [0.1] * 5000}
        last = {"choices": ["x" * 20000], "usage": {"prompt_tokens": 8, "completion_tokens": 3}}

        assert observed(json.dumps(first).encode(), size, stream=False) == (8, 0, None)
        assert observed(json.dumps(last, indent=1).encode(), size, stream=False) == (8, 3, None)

    def test_stream_that_ended_early(self, size: int) -> None:
        """Charged by its events; comments and text that looks like one are none."""
        tricky = {"choices": [{"delta": {"content": "\ndata: \n\ndata: x"}}]}
        body = b": ping\n\n" + b"".join(events(*CHAT[:20], tricky)) + b": ping\n\n" + b'data: {"ch'

        assert observed(body, size, whole=False) == (0, 22, None)


def test_stream_without_any_numbers_is_charged_by_its_events_although_whole() -> None:
    """Another server behind llama-swap may tell nothing."""
    body = b"".join(events(*CHAT[:7])) + b"data: [DONE]\n\n"

    assert observed(body, 50).completion == 7


def test_text_of_the_model_cannot_pass_for_numbers() -> None:
    """Quotation marks in JSON strings are escaped."""
    lie = '"usage": {"prompt_tokens": 1, "completion_tokens": 999999}'
    body = json.dumps({"content": lie, "usage": {"prompt_tokens": 2, "completion_tokens": 3}})

    assert observed(body.encode(), 10, stream=False) == (2, 3, None)


@pytest.mark.parametrize(
    "told",
    ["{", '{"prompt_tokens": "7"}', '{"prompt_tokens": -7}', '{"prompt_tokens": true}',
     '{"predicted_per_second": 1e999}', '{"prompt_tokens": 1e9}', "{" * 4000, '{"a": "\udcff"}'],
)  # fmt: skip
def test_nonsense_counts_nothing(told: str) -> None:
    """And breaks nothing."""
    body = f'{{"usage": {told}}}'.encode("utf-8", "surrogateescape")

    assert observed(body, 64, stream=False) == (0, 0, None)


def test_what_is_kept_of_a_long_answer_is_bounded() -> None:
    """1000 streams keep some MB together."""
    observer = Observer(stream=True)
    for _ in range(1000):
        observer.feed(b"data: " + b"x" * 200 + b"\n\n")
        held = len(observer._head) + len(observer._tail) + observer._size
        assert held < 3 * TAIL


def test_a_piece_costs_well_under_two_microseconds() -> None:
    """Per token of each stream; about 0.3 on an idle machine."""
    piece = events(CHAT[3])[0] + b" " * 150
    best = min(_seconds_per_piece(piece) for _ in range(5))

    assert best < 2e-6


def _seconds_per_piece(piece: bytes) -> float:
    observer = Observer(stream=True)
    started = time.perf_counter()
    for _ in range(5000):
        observer.feed(piece)
    return (time.perf_counter() - started) / 5000
