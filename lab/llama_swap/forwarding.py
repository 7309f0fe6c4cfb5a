"""Passes one request to a model's process and its answer back, chunk by chunk."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from lab.llama_swap.process import Process

# RFC 9110, 7.6.1: these belong to one connection.
HOP_BY_HOP = {
    *("connection", "proxy-connection", "keep-alive", "proxy-authenticate"),
    *("proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"),
}
# What the client library would add by itself; the real one adds nothing.
NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


async def forward(
    request: web.Request, process: Process, path: str, body: bytes
) -> web.StreamResponse:
    """Cancelling this, as when the client leaves, closes the connection to the process."""
    process.in_flight += 1
    try:
        return await _forward(request, process, path, body)
    finally:
        process.in_flight -= 1
        process.last_use = time.time()


async def _forward(
    request: web.Request, process: Process, path: str, body: bytes
) -> web.StreamResponse:
    headers = _passed_on(request.headers)
    headers.popall("Content-Length", None)
    if request.remote:
        before = headers.popall("X-Forwarded-For", [])
        headers["X-Forwarded-For"] = ", ".join([*before, request.remote])
    query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
    options: dict[str, Any] = {"headers": headers, "skip_auto_headers": NOT_ADDED}
    if body or request.method in ("POST", "PUT", "PATCH"):
        options["data"] = body
    url = URL(process.model.proxy.rstrip("/") + path + query, encoded=True)
    try:
        answer = await process.client.request(request.method, url, allow_redirects=False, **options)
    except (aiohttp.ClientError, OSError):
        return web.Response(status=502)
    async with answer:
        response = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
        if "text/event-stream" in answer.headers.get("Content-Type", "").lower():
            response.headers["X-Accel-Buffering"] = "no"
        await response.prepare(request)
        try:
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
        except aiohttp.ClientError:
            # As the real one: a chunked answer is ended as if it were whole, so that only a
            # missing "[DONE]" tells; the server closes the connection if a length was promised.
            process.log.info(
                f"<{process.model.id}> recovered from upstream disconnection during streaming"
            )
            if response.content_length is not None and request.transport is not None:
                request.transport.close()
        return response


def _passed_on(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    named = {each.strip().lower() for each in headers.get("Connection", "").split(",")}
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP | named
    )
