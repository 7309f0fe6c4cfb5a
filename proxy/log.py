"""One line per request, and no line that could hold a key, a prompt or an answer."""

import asyncio
import logging
import secrets
import sys
import time

from aiohttp import web
from aiohttp.typedefs import Handler

_log = logging.getLogger("proxy.access")

REQUEST_ID = web.RequestKey("REQUEST_ID", str)
KEY_LABEL = web.RequestKey("KEY_LABEL", str)
STATUS = web.RequestKey("STATUS", int)  # of a streamed answer, once its head is sent
SENT = web.RequestKey("SENT", int)  # bytes of its body so far
NOTE = web.RequestKey("NOTE", str)  # what else the line should say

LONGEST_PATH = 200


def set_up() -> None:
    """Sends all logging of this program to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_silence_others)
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _silence_others(record: logging.LogRecord) -> bool:
    """aiohttp quotes a malformed head, keys and all; of its reports only the kind is kept."""
    if not record.name.startswith("proxy"):
        kind = record.exc_info[0] if record.exc_info else None
        record.msg = f"{record.name}: {kind.__name__ if kind else 'a report, not shown'}"
        record.args, record.exc_info, record.exc_text = (), None, None
    return True


@web.middleware
async def log_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Gives the request its id, and writes its line when it is over, however it ends."""
    request[REQUEST_ID] = secrets.token_hex(6)
    started = time.monotonic()
    try:
        response = await handler(request)
    except asyncio.CancelledError:
        # The client is gone, or the drain is over. 499 is nginx's number for it.
        _write(request, request.get(STATUS, 499), "cancelled", request.get(SENT, 0), started)
        raise
    sent = request.get(SENT, response.content_length or 0)
    _write(request, response.status, request.get(NOTE, "-"), sent, started)
    return response


def _write(request: web.Request, status: int, note: str, sent: int, started: float) -> None:
    path = request.raw_path.partition("?")[0][:LONGEST_PATH]
    _log.info(
        "%s %s key=%s %s %s %d %.3fs %dB %s",
        request.get(REQUEST_ID, "-"),
        request.remote or "-",
        request.get(KEY_LABEL, "-"),
        request.method,
        path.encode("ascii", "backslashreplace").decode(),
        status,
        time.monotonic() - started,
        sent,
        note,
    )
