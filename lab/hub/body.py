"""Sends a file's bytes: ranges and conditions as RFC 9110 has them, faults as tests ask."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

from aiohttp import web

from lab.hub.control import Control, Fault, Seen
from lab.hub.store import Entry

CHUNK = 1 << 16


async def send(
    request: web.Request, entry: Entry, headers: dict[str, str], control: Control, seen: Seen
) -> web.StreamResponse:
    """Answer GET or HEAD for `entry`; `headers` holds its ETag."""
    seen.range = request.headers.get("Range")
    fault = None if request.method == "HEAD" else control.fault(seen.path, "body")
    if fault and fault.delay:
        await asyncio.sleep(fault.delay)
    if fault and fault.status:
        seen.status = fault.status
        return faulty(fault)
    headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        seen.status = 304
        return web.Response(status=304, headers=headers)
    span = _span(request, entry.size, headers["ETag"])
    if span is None:
        seen.status, headers["Content-Range"] = 416, f"bytes */{entry.size}"
        return web.Response(status=416, headers=headers)
    start, stop, partial = span
    if partial:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{entry.size}"
    seen.status = 206 if partial else 200
    response = web.StreamResponse(status=seen.status, headers=headers)
    response.content_length = stop - start
    await response.prepare(request)
    if request.method != "HEAD":
        # A client that leaves half-way is none of our business.
        with contextlib.suppress(ConnectionError):
            await _pump(request, response, entry.file, start, stop, fault, control, seen)
    return response


def faulty(fault: Fault) -> web.Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if fault.ratelimit is not None:
        headers["ratelimit"] = fault.ratelimit
    return web.Response(status=fault.status or 500, headers=headers, text="a fault, as asked for")


def _span(request: web.Request, size: int, etag: str) -> tuple[int, int, bool] | None:
    """First byte, one past the last, and whether that is a part; None if not satisfiable."""
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range", ""))
    condition = request.headers.get("If-Range", etag)
    if not asked or asked.groups() == ("", "") or condition != etag:
        return 0, size, False
    first, last = asked.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
    return (start, stop, True) if start < stop else None


async def _pump(
    request: web.Request,
    response: web.StreamResponse,
    file: Path,
    start: int,
    stop: int,
    fault: Fault | None,
    control: Control,
    seen: Seen,
) -> None:
    fault = fault or Fault()
    end = stop if fault.drop_after is None else min(stop, start + fault.drop_after)
    step = CHUNK if fault.rate is None else max(1, min(CHUNK, int(fault.rate / 20)))
    with file.open("rb") as source:
        source.seek(start)
        position = start
        while position < end:
            chunk = bytearray(source.read(min(step, end - position)))
            if not chunk:
                break
            if fault.corrupt is not None and 0 <= fault.corrupt - position < len(chunk):
                chunk[fault.corrupt - position] ^= 0xFF
            await response.write(bytes(chunk))
            control.count(seen, len(chunk))
            position += len(chunk)
            if fault.rate is not None:
                await asyncio.sleep(len(chunk) / fault.rate)
    if position < stop and request.transport is not None:
        request.transport.close()
