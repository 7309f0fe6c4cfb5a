"""The stand-in's server: it recites the sentence by OpenAI's routes, and computes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from lab.sentence import SENTENCE, words

TOKEN_SECONDS = 0.002
"""What each takes in a stream, as nobody would see one that came at once for a stream."""
LOADING = {"message": "Loading model", "type": "unavailable_error", "code": 503}
# What a real one (build 10434, asked with LLAMA_API_KEY set) says to whoever shows another key, and
# where it asks for none.
REFUSED = {"message": "Invalid API Key", "type": "authentication_error", "code": 401}
OPEN = ("/", "/health", "/v1/health", "/models", "/v1/models")
READY = web.AppKey("ready", asyncio.Event)
MODEL = web.AppKey("model", str)


def serve(model: str, host: str, port: int, *, embeds: bool = False, ranks: bool = False) -> None:
    """Until it is stopped."""
    app = create_app(model, embeds=embeds, ranks=ranks)
    web.run_app(app, host=host, port=port, print=None)


def create_app(
    model: str, loading_seconds: float = 0.3, *, embeds: bool = False, ranks: bool = False
) -> web.Application:
    app = web.Application(middlewares=[_refuse_while_loading, _refuse_strangers])
    app[READY] = asyncio.Event()
    app[MODEL] = model

    async def load(app: web.Application) -> None:
        asyncio.get_running_loop().call_later(loading_seconds, app[READY].set)

    app.on_startup.append(load)
    for prefix in ("", "/v1"):
        app.router.add_get(prefix + "/health", _health)
        app.router.add_get(prefix + "/models", _models)
        app.router.add_post(prefix + "/completions", _completions)
        app.router.add_post(prefix + "/chat/completions", _chat)
    app.router.add_post("/v1/embeddings", _embeddings if embeds else _without("embeddings"))
    app.router.add_post("/v1/rerank", _rerank if ranks else _without("reranking"))
    return app


@web.middleware
async def _refuse_while_loading(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    # tools/server/server-http.cpp: before routing, so unknown paths are 503 as well.
    if not request.app[READY].is_set():
        return web.json_response({"error": LOADING}, status=503)
    return await handler(request)


@web.middleware
async def _refuse_strangers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    key = os.environ.get("LLAMA_API_KEY")
    shown = request.headers.get("X-Api-Key", request.headers.get("Authorization", ""))
    if key and request.path not in OPEN and shown.removeprefix("Bearer ") != key:
        return web.json_response({"error": REFUSED}, status=401)
    return await handler(request)


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _models(request: web.Request) -> web.Response:
    entry = {"id": request.app[MODEL], "object": "model", "owned_by": "llamacpp", "meta": None}
    return web.json_response({"object": "list", "data": [entry]})


def _without(what: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def refuse(request: web.Request) -> web.Response:
        words = f"This server does not support {what}. Start it with `--{what}`"
        error = {"code": 501, "message": words, "type": "not_supported_error"}
        return web.json_response({"error": error}, status=501)

    return refuse


async def _embeddings(request: web.Request) -> web.Response:
    entry = {"object": "embedding", "index": 0, "embedding": [1.0, 0.0, 0.0, 0.0]}
    return web.json_response(
        {"object": "list", "model": request.app[MODEL], "data": [entry], "usage": _READ}
    )


async def _rerank(request: web.Request) -> web.Response:
    documents = (await request.json()).get("documents", [])
    results = [{"index": n, "relevance_score": 1.0 / (n + 1)} for n in range(len(documents))]
    return web.json_response({"object": "list", "results": results, "usage": _READ})


_READ = {"prompt_tokens": 3, "total_tokens": 3}


async def _completions(request: web.Request) -> web.StreamResponse:
    return await _answer(request, "text_completion", lambda text: {"text": text}, {"text": ""})


async def _chat(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    field = "delta" if body.get("stream") else "message"
    role = {} if body.get("stream") else {"role": "assistant"}
    kind = "chat.completion.chunk" if body.get("stream") else "chat.completion"
    return await _answer(
        request, kind, lambda text: {field: {**role, "content": text}}, {field: {}}
    )


async def _answer(
    request: web.Request, kind: str, choice: Callable[[str], dict[str, Any]], last: dict[str, Any]
) -> web.StreamResponse:
    body = await request.json()
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
        "model": request.app[MODEL],
    }

    def message(choices: dict[str, Any], finish: str | None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "finish_reason": finish, **choices}]}

    if not body.get("stream"):
        whole = message(choice("".join(said)), reason)
        return web.json_response({**whole, "usage": usage, "timings": timings})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    probable = int(body.get("top_logprobs", 0)) if body.get("logprobs") else None
    each = [choice(word) | _logprobs(word, probable) for word in said]
    for chunk in [*(message(one, None) for one in each), message(last, reason)]:
        # The real one sends timings unasked and usage with stream_options only.
        tail = {"timings": timings} if chunk["choices"][0]["finish_reason"] else {}
        await response.write(f"data: {json.dumps(chunk | tail)}\n\n".encode())
        await asyncio.sleep(TOKEN_SECONDS)
    if (body.get("stream_options") or {}).get("include_usage"):
        final = {**head, "choices": [], "usage": usage, "timings": timings}
        await response.write(f"data: {json.dumps(final)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


def _logprobs(word: str, others: int | None) -> dict[str, Any]:
    """How sure the model was, as tools/server/server-task.cpp has it, if that was asked for."""
    if others is None:
        return {}
    token = {"id": 0, "token": word, "bytes": list(word.encode()), "logprob": 0.0}
    return {"logprobs": {"content": [token | {"top_logprobs": [token] * others}]}}
