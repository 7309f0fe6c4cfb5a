"""Small pieces of the server: reading what a request asks for, and the forms of an answer."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any
from urllib.parse import parse_qs, unquote

from aiohttp import web

from lab.llama_swap.config import Config, Model

UI = "<!doctype html><title>llama-swap</title><p>The lab's stand-in for llama-swap.</p>"

MODEL_FIELD = re.compile(
    rb'(form-data; name="model"\r\n(?:[^\r\n]+\r\n)*\r\n)(.*?)(\r\n--)', re.IGNORECASE | re.DOTALL
)

Answer = web.StreamResponse
Handler = Callable[[web.Request], Awaitable[Answer]]


def send(request: web.Request, status: int, message: str) -> web.Response:
    """An error of llama-swap's own, in the form the client says it takes."""
    accept = request.headers.get("Accept", "")
    if "text/plain" in accept:
        return web.Response(status=status, text=f"llama-swap: {message}")
    if "text/html" in accept:
        page = f"<html><body><h1>llama-swap</h1><p>{escape(message)}</p></body></html>"
        return web.Response(status=status, text=page, content_type="text/html")
    return as_json({"error": message, "src": "llama-swap"}, status)


def as_json(data: Any, status: int = 200) -> web.Response:
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return web.Response(
        status=status, body=text.encode(), headers={"Content-Type": "application/json"}
    )


def moved(status: int, location: str) -> web.Response:
    return web.Response(status=status, headers={"Location": location})


def redirect(status: int, location: str) -> Handler:
    async def redirect(request: web.Request) -> Answer:
        return moved(status, location)

    return redirect


async def ok(request: web.Request) -> Answer:
    return web.Response(text="OK")


async def ui(request: web.Request) -> Answer:
    if "." in request.match_info["path"].split("/")[-1]:
        raise web.HTTPNotFound
    return web.Response(text=UI, content_type="text/html")


def key(request: web.Request) -> str:
    """Basic's password goes before a bearer token, and that before x-api-key."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    key = credentials if scheme.lower() == "bearer" else ""
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(credentials).decode().partition(":")[2]
        except ValueError:
            key = ""
    return key or request.headers.get("x-api-key", "")


def model_name(request: web.Request, body: bytes) -> str:
    kind = request.headers.get("Content-Type", "")
    if request.method == "GET":
        return request.query.get("model", "")
    if "application/json" in kind:
        try:
            # gjson, which reads it there, takes the first of two.
            data = json.loads(body, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
        except ValueError:
            return ""
        name = data.get("model") if isinstance(data, dict) else None
        return "" if name is None else str(name)
    if "multipart/form-data" in kind:
        field = MODEL_FIELD.search(body)
        return field[2].decode(errors="replace") if field else ""
    form = parse_qs(body.decode(errors="replace")) if "urlencoded" in kind else {}
    return (form.get("model") or [request.query.get("model", "")])[0]


def filtered(request: web.Request, body: bytes, model: Model) -> bytes:
    kind, inner = request.headers.get("Content-Type", ""), model.use_model_name
    if "multipart/form-data" in kind and inner:
        return MODEL_FIELD.sub(lambda field: field[1] + inner.encode() + field[3], body, count=1)
    if "application/json" not in kind or not (inner or model.strip_params or model.set_params):
        return body
    data = json.loads(body)
    data |= {"model": inner} if inner else {}
    for name in model.strip_params:
        data.pop(name, None)
    return json.dumps(data | model.set_params).encode()


def model_in_path(config: Config, path: str) -> tuple[str, str, str] | None:
    """The longest beginning of the path that names a model, its id, and what follows."""
    parts = path.strip("/").split("/")
    trailing = "/" if path.endswith("/") and path.strip("/") else ""
    for length in range(len(parts), 0, -1):
        searched = "/".join(parts[:length])
        name = config.real_name(searched)
        if name is not None:
            rest = "/".join(parts[length:])
            return searched, name, f"/{rest}{trailing}" if rest else "/"
    return None


def escaped_rest(raw_path: str, prefix: str) -> str:
    """What follows the decoded `prefix` in a path, escaped as the client escaped it."""
    for end in range(len(prefix), len(raw_path) + 1):
        if raw_path[end : end + 1] in ("", "/") and unquote(raw_path[:end]) == prefix:
            return raw_path[end:] or "/"
    return "/"
