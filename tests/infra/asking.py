"""Requests from the workstation, and how a stream arrives there."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from herd.core.mac.questions import Question
from herd.workstation.chat_completion import connect
from tests.infra.mac import Mac

# Seconds for an answer that needs no model, and between the pieces of one that does.
PATIENCE, BETWEEN = 10, 120
PROMPT = "Count from one to fifty, in words."
TOKENS = 64


@dataclass(frozen=True)
class Stream:
    """How a streamed completion came: seconds from the request to the first token and to the
    last, and what llama-server said of it (None if it said nothing)."""

    first: float
    last: float
    tokens: int
    generation: float | None

    @property
    def came_as_made(self) -> bool:
        """Whether it was spread over at least half the time that llama-server took to make it."""
        return self.generation is not None and self.last - self.first >= self.generation / 2

    @property
    def rate(self) -> float:
        """Tokens per second as a client sees them."""
        return (self.tokens - 1) / max(self.last - self.first, 1e-9)


def status(mac: Mac, method: str, path: str, key: str | None, body: Any = None) -> int:
    """The HTTP code of an answer. Raises ChatError or OSError when there is none."""
    return _answer(mac, method, path, key, body)[0]


def models(mac: Mac, key: str) -> set[str]:
    """The models that a key sees. Raises ValueError for what is no list of models."""
    code, text = _answer(mac, "GET", "/v1/models", key)
    try:
        return {str(model["id"]) for model in json.loads(text)["data"]}
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"HTTP {code}, and no list of models") from None


def warm(mac: Mac, key: str, model: str) -> tuple[int, str]:
    """One token, so that the model is loaded; HTTP code and text."""
    body = _completion(model, 1, stream=False)
    patience = mac.settings.llama_swap_health_timeout + BETWEEN
    return _answer(mac, "POST", "/v1/chat/completions", key, body, patience)


def answer(mac: Mac, key: str, asked: Question) -> tuple[int, str]:
    """HTTP code and text of what a loaded model answers."""
    return _answer(mac, "POST", asked.path, key, json.loads(asked.body), BETWEEN)


def stream(mac: Mac, key: str, model: str) -> Stream:
    """A streamed completion. Raises ValueError for what is none."""
    with closing(connect(mac.url, mac.shown_certificate)) as connection:
        begin = time.perf_counter()
        body = _completion(model, TOKENS)
        _send(connection, "POST", "/v1/chat/completions", key, body, BETWEEN)
        response = connection.getresponse()
        if response.status != 200:
            raise ValueError(f"HTTP {response.status}: {_words(response.read(2000))}")
        first = last = 0.0
        tokens, generation = 0, None
        for event in _events(response):
            if timings := event.get("timings"):
                tokens, generation = timings["predicted_n"], timings["predicted_ms"] / 1000
            for choice in event.get("choices", []):
                # A model that reasons says so before its answer, or instead of it.
                delta = choice.get("delta", {})
                if delta.get("content") or delta.get("reasoning_content"):
                    last = time.perf_counter() - begin
                    first = first or last
    if not first:
        raise ValueError("the stream held no token")
    return Stream(first, last, tokens, generation)


def _answer(
    mac: Mac,
    method: str,
    path: str,
    key: str | None,
    body: Any = None,
    patience: float = PATIENCE,
) -> tuple[int, str]:
    with closing(connect(mac.url, mac.shown_certificate)) as connection:
        _send(connection, method, path, key, body, patience)
        response = connection.getresponse()
        return response.status, _words(response.read(1 << 20))


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    key: str | None,
    body: Any,
    patience: float,
) -> None:
    connection.timeout = patience
    if connection.sock:  # TLS has its own already
        connection.sock.settimeout(patience)
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    connection.request(method, path, None if body is None else json.dumps(body), headers)


def _completion(model: str, tokens: int, *, stream: bool = True) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": tokens,
        "stream": stream,
        # llama-server's own: a short answer could not show how it comes.
        "ignore_eos": True,
    }


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    for line in iter(response.readline, b""):
        data = line.removeprefix(b"data:").strip()
        if line.startswith(b"data:") and data != b"[DONE]":
            event = json.loads(data)
            if "error" in event:
                raise ValueError(f"the stream ended with an error: {event['error']}")
            yield event


def _words(raw: bytes) -> str:
    return raw.decode(errors="replace").strip()
