"""The stand-in's server: it recites the sentence by OpenAI's routes, and computes nothing.

Of the standard library's parts, as every other test begins one: aiohttp takes five times as long
to import.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from lab.sentence import SENTENCE, words

TOKEN_SECONDS = 0.005
"""What each takes in a stream, as nobody would see one that came at once for a stream."""
LOADING_SECONDS = 0.3
LOADING = {"message": "Loading model", "type": "unavailable_error", "code": 503}
# What a real one (build 10434, asked with LLAMA_API_KEY set) says to whoever shows another key, and
# where it asks for none.
REFUSED = {"message": "Invalid API Key", "type": "authentication_error", "code": 401}
UNKNOWN = {"message": "File Not Found", "type": "not_found_error", "code": 404}
OPEN = ("/", "/health", "/v1/health", "/models", "/v1/models")
_READ = {"prompt_tokens": 3, "total_tokens": 3}

Answer = dict[str, Any] | Iterable[dict[str, Any]]
"""One body, or the events of a stream."""


class Server(ThreadingTCPServer):
    """A thread for each connection, as cpp-httplib has."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, model: str, host: str, port: int, *, embeds: bool = False, ranks: bool = False
    ) -> None:
        super().__init__((host, port), _Handler)
        self.model, self.embeds, self.ranks = model, embeds, ranks
        self.ready = time.monotonic() + LOADING_SECONDS


def serve(model: str, host: str, port: int, *, embeds: bool = False, ranks: bool = False) -> None:
    """Until it is stopped."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit())
    Server(model, host, port, embeds=embeds, ranks=ranks).serve_forever()


class _Refused(Exception):
    """By an error that llama-server words."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_GET(self) -> None:
        self._answer({"/health": self._health, "/models": self._models})

    def do_POST(self) -> None:
        self._answer(
            {
                "/completions": self._completions,
                "/chat/completions": self._chat,
                "/embeddings": self._embeddings,
                "/rerank": self._rerank,
            }
        )

    def _answer(self, routes: dict[str, Callable[[Any], Answer]]) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        with suppress(ConnectionError):  # whoever asked has gone
            try:
                # tools/server/server-http.cpp: before routing, so unknown paths are 503 as well.
                if time.monotonic() < self.server.ready:
                    raise _Refused(LOADING)
                if path not in OPEN and not self._has_key():
                    raise _Refused(REFUSED)
                if (route := routes.get(path.removeprefix("/v1"))) is None:
                    raise _Refused(UNKNOWN)
                answer = route(json.loads(text or b"{}"))
            except _Refused as refused:
                (error,) = refused.args
                self._whole({"error": error}, error["code"])
                return
            if isinstance(answer, dict):
                self._whole(answer)
            else:
                self._streamed(answer)

    def _has_key(self) -> bool:
        key = os.environ.get("LLAMA_API_KEY")
        shown = self.headers.get("X-Api-Key", self.headers.get("Authorization", ""))
        return not key or shown.removeprefix("Bearer ") == key

    def _whole(self, answer: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _streamed(self, events: Iterable[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            self._chunk(f"data: {json.dumps(event)}\n\n")
            time.sleep(TOKEN_SECONDS)
        self._chunk("data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _health(self, _: Any) -> Answer:
        return {"status": "ok"}

    def _models(self, _: Any) -> Answer:
        entry = {"id": self.server.model, "object": "model", "owned_by": "llamacpp", "meta": None}
        return {"object": "list", "data": [entry]}

    def _embeddings(self, _: Any) -> Answer:
        if not self.server.embeds:
            raise _without("embeddings")
        entry = {"object": "embedding", "index": 0, "embedding": [1.0, 0.0, 0.0, 0.0]}
        return {"object": "list", "model": self.server.model, "data": [entry], "usage": _READ}

    def _rerank(self, body: Any) -> Answer:
        if not self.server.ranks:
            raise _without("reranking")
        count = len(body.get("documents", []))
        results = [{"index": n, "relevance_score": 1.0 / (n + 1)} for n in range(count)]
        return {"object": "list", "results": results, "usage": _READ}

    def _completions(self, body: Any) -> Answer:
        return self._recited(body, "text_completion", lambda text: {"text": text}, {"text": ""})

    def _chat(self, body: Any) -> Answer:
        streams = body.get("stream")
        field = "delta" if streams else "message"
        role = {} if streams else {"role": "assistant"}
        kind = "chat.completion.chunk" if streams else "chat.completion"
        return self._recited(
            body, kind, lambda text: {field: {**role, "content": text}}, {field: {}}
        )

    def _recited(
        self, body: Any, kind: str, choice: Callable[[str], dict[str, Any]], last: dict[str, Any]
    ) -> Answer:
        limit = body.get("max_tokens", -1)
        said = words()
        if body.get("ignore_eos") and limit > 0:
            said += [" " + said[0], *said[1:]] * (limit // len(said))
        said = said if limit < 0 else said[:limit]
        reason = "stop" if "".join(said) == SENTENCE else "length"
        tokens = len(said) + (reason == "stop")
        prompt = len(json.dumps(body.get("messages", body.get("prompt", ""))))
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": tokens,
            "total_tokens": prompt + tokens,
        }
        timings = {
            "cache_n": 0,
            "prompt_n": prompt,
            "prompt_ms": 1.0,
            "predicted_n": tokens,
            "predicted_ms": tokens * TOKEN_SECONDS * 1000,
        }
        head = {
            "id": f"chatcmpl-{time.time_ns()}",
            "object": kind,
            "created": int(time.time()),
            "model": self.server.model,
        }

        def message(choices: dict[str, Any], finish: str | None) -> dict[str, Any]:
            return {**head, "choices": [{"index": 0, "finish_reason": finish, **choices}]}

        if not body.get("stream"):
            return message(choice("".join(said)), reason) | {"usage": usage, "timings": timings}
        probable = int(body.get("top_logprobs", 0)) if body.get("logprobs") else None
        events = [message(choice(word) | _logprobs(word, probable), None) for word in said]
        # The real one sends timings unasked and usage with stream_options only.
        events.append(message(last, reason) | {"timings": timings})
        if (body.get("stream_options") or {}).get("include_usage"):
            events.append({**head, "choices": [], "usage": usage, "timings": timings})
        return events


def _without(what: str) -> _Refused:
    words = f"This server does not support {what}. Start it with `--{what}`"
    return _Refused({"code": 501, "message": words, "type": "not_supported_error"})


def _logprobs(word: str, others: int | None) -> dict[str, Any]:
    """How sure the model was, as tools/server/server-task.cpp has it, if that was asked for."""
    if others is None:
        return {}
    token = {"id": 0, "token": word, "bytes": list(word.encode()), "logprob": 0.0}
    return {"logprobs": {"content": [token | {"top_logprobs": [token] * others}]}}
