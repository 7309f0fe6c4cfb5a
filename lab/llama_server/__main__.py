"""A stand-in for llama-server where none is installed: it recites without computing anything.

It knows only the routes and flags that the toolkit uses, and says on stderr that it is not real.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from lab.reciter import SENTENCE, words

# Flags that take no value; of any other the next argument is skipped, as its value.
SWITCHES = {
    *("--mlock", "--mmap", "--no-mmap", "-dio", "--direct-io", "-ndio", "--no-direct-io"),
    *("--jinja", "--no-jinja", "--metrics", "--no-webui", "--no-ui", "--no-slots", "--offline"),
    *("-kvu", "--kv-unified", "--no-context-shift", "--context-shift", "--embedding"),
}

HELP = """\
----- common params -----

-h,    --help, --usage                  print usage and exit
--version                               show version and build info
-c,    --ctx-size N                     size of the prompt context (default: 0, 0 = loaded from model)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
-ctk,  --cache-type-k TYPE              KV cache data type for K
-ctv,  --cache-type-v TYPE              KV cache data type for V
-np,   --parallel N                     number of server slots (default: -1, -1 = auto)
--mlock                                 DEPRECATED in favor of `--load-mode`: force system to keep model in
                                        RAM rather than swapping or compressing
                                        (env: LLAMA_ARG_MLOCK)
--mmap, --no-mmap                       DEPRECATED in favor of `--load-mode`: whether to memory-map model
                                        (env: LLAMA_ARG_MMAP)
-lm,   --load-mode MODE                 model loading mode (default: auto)
                                        (env: LLAMA_ARG_LOAD_MODE)
-ngl,  --gpu-layers, --n-gpu-layers N   max. number of layers to store in VRAM
-m,    --model FNAME                    model path to load
-a,    --alias STRING                   set model name aliases, comma-separated
--host HOST                             ip address to listen
--port PORT                             port to listen
--metrics                               enable prometheus compatible metrics endpoint (default: disabled)
--jinja, --no-jinja                     whether to use jinja template engine for chat (default: enabled)
"""  # noqa: E501 - as wide as the original

TOKEN_SECONDS = 0.002
"""What each takes in a stream, as nobody would see one that came at once for a stream."""
LOADING = {"message": "Loading model", "type": "unavailable_error", "code": 503}
# What a real one (build 10434, asked with LLAMA_API_KEY set) says to whoever shows another key, and
# where it asks for none.
REFUSED = {"message": "Invalid API Key", "type": "authentication_error", "code": 401}
OPEN = ("/", "/health", "/v1/health", "/models", "/v1/models")
READY = web.AppKey("ready", asyncio.Event)
MODEL = web.AppKey("model", str)


def main() -> int:
    options = parse(sys.argv[1:])
    if "--help" in options:
        print(HELP, end="")
        return 0
    if "--version" in options:
        print("version: 0.0.0-stand-in (build 0, commit 0000000)", file=sys.stderr)
        return 0
    if "--list-devices" in options:
        print("Available devices:\n  (none)")
        return 0
    print("stand-in for llama-server: it recites and computes nothing", file=sys.stderr)
    model = options.get("-m") or options.get("--model") or ""
    if not Path(model).is_file():
        print(f"failed to load model, '{model}'", file=sys.stderr)
        return 1
    name = (options.get("-a") or options.get("--alias") or model).split(",")[0]
    host, port = options.get("--host", "127.0.0.1"), int(options.get("--port", "8080"))
    web.run_app(create_app(name), host=host, port=port, print=None)
    return 0


def parse(arguments: list[str]) -> dict[str, str]:
    """Flags and their values; switches have an empty one."""
    options: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        if argument in ("-h", "--help", "--usage"):
            options["--help"] = ""
        elif argument in ("--version", "--list-devices", *SWITCHES):
            options[argument] = ""
        elif argument.startswith("-"):
            options[argument] = next(rest, "")
        else:
            print(f"error: invalid argument: {argument}", file=sys.stderr)
            raise SystemExit(1)
    return options


def create_app(model: str, loading_seconds: float = 0.3) -> web.Application:
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
    for chunk in [*(message(choice(word), None) for word in said), message(last, reason)]:
        # The real one sends timings unasked and usage with stream_options only.
        tail = {"timings": timings} if chunk["choices"][0]["finish_reason"] else {}
        await response.write(f"data: {json.dumps(chunk | tail)}\n\n".encode())
        await asyncio.sleep(TOKEN_SECONDS)
    if (body.get("stream_options") or {}).get("include_usage"):
        final = {**head, "choices": [], "usage": usage, "timings": timings}
        await response.write(f"data: {json.dumps(final)}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


if __name__ == "__main__":
    raise SystemExit(main())
