"""The pass-through: opens llama-swap, and streams the request up and the answer down.

Nothing is buffered, decoded or waited for: a chunk is passed on when it comes, and whichever side
goes away takes the other with it.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
from aiohttp import web
from yarl import URL

from proxy import errors, headers
from proxy.log import NOTE, REQUEST_ID, SENT, STATUS

_log = logging.getLogger("proxy.upstream")

UPSTREAM = web.AppKey("UPSTREAM", URL)
SESSION = web.AppKey("SESSION", aiohttp.ClientSession)
UNTYPED = web.RequestKey("UNTYPED", bool)

CONNECT_SECONDS = 5.0
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 seconds


def new_session() -> aiohttp.ClientSession:
    """A client that adds, changes and remembers nothing, and never gives up on a slow model."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
    )


async def forward(request: web.Request) -> web.StreamResponse:
    """Answers a request with llama-swap's answer to it."""
    refuse_what_cannot_pass(request)
    async with open_upstream(request) as upstream:
        request[UNTYPED] = "Content-Type" not in upstream.headers
        response = web.StreamResponse(
            status=upstream.status,
            reason=upstream.reason,
            headers=headers.to_client(upstream.headers),
        )
        try:
            # The head goes out now: the client sees the status long before the first token.
            await response.prepare(request)
            request[STATUS], request[SENT] = response.status, 0
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
                request[SENT] += len(chunk)
        except Exception as error:  # whatever it is, the answer has begun and cannot be finished
            request[NOTE] = f"broken off: {type(error).__name__}"
            break_off(request)
        return response


def refuse_what_cannot_pass(request: web.Request) -> None:
    """Refuses what is not a plain exchange of messages, or would change its meaning on the way."""
    if not request.raw_path.startswith("/"):
        raise errors.bad_request("The request target must be a path.")
    if headers.wants_upgrade(request.headers):
        raise errors.bad_request("Upgrades are not possible here.", code="upgrade_not_supported")
    if request.headers.get("Transfer-Encoding", "chunked").strip().lower() != "chunked":
        raise errors.bad_request("The only transfer coding possible here is chunked.")
    if not all(map(headers.is_utf8, (request.raw_path, *request.headers.values()))):
        raise errors.bad_request("The head of the request is not UTF-8.")


@asynccontextmanager
async def open_upstream(request: web.Request) -> AsyncIterator[aiohttp.ClientResponse]:
    """llama-swap's answer, its body still to come.

    The only place where a failing llama-swap becomes a 502 or 503. On the way out the connection
    is closed unless the answer was read to its end: that is how llama-swap learns that it can stop.
    """
    try:
        upstream = await request.app[SESSION].request(
            request.method,
            target(request),
            headers=headers.to_upstream(
                request.headers, client=request.remote or "unknown", scheme=request.scheme
            ),
            data=request_body(request) if request.body_exists else None,
            allow_redirects=False,
        )
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        _log.warning("%s cannot connect: %s", request[REQUEST_ID], type(error).__name__)
        raise errors.upstream_down() from None
    except (aiohttp.ClientError, OSError) as error:
        _log.warning("%s no answer: %s", request[REQUEST_ID], type(error).__name__)
        raise errors.upstream_broken() from None
    try:
        if upstream.status == HTTPStatus.SWITCHING_PROTOCOLS:  # nobody asked for that
            raise errors.upstream_broken()
        end_with_connection(upstream)
        yield upstream
    finally:
        upstream.close()


def target(request: web.Request) -> URL:
    """The request's target at llama-swap, byte for byte.

    All of it is given as the path, query included: yarl would drop an empty query and a fragment.
    """
    upstream = request.app[UPSTREAM]
    return URL.build(
        scheme="http",
        host=upstream.host or "",
        port=upstream.port,
        path=request.raw_path,
        encoded=True,
    )


def end_with_connection(upstream: aiohttp.ClientResponse) -> None:
    """Makes an answer fail when its connection ends early, also after chunks that are none.

    aiohttp 3.14 closes a connection on a malformed chunk and leaves the reader waiting for ever.
    """
    if upstream.connection is None or upstream.connection.protocol is None:  # read to its end
        return
    if (closed := upstream.connection.protocol.closed) is None:
        return

    def fail(ended: asyncio.Future[None]) -> None:
        if not ended.cancelled():
            ended.exception()  # seen; what it says is said better by the content's own
        if not upstream.content.is_eof() and upstream.content.exception() is None:
            upstream.content.set_exception(aiohttp.ClientPayloadError("connection ended"))

    closed.add_done_callback(fail)


async def request_body(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes. Read once llama-swap is there, so only then is the client told to send.

    A body from a client that asked first (`Expect: 100-continue`) is thus never sent for nothing.
    """
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
    async for chunk in request.content.iter_any():
        yield chunk


def break_off(request: web.Request) -> None:
    """Ends the connection so that an unfinished answer cannot be taken for a finished one.

    In HTTP/1.1 the missing last chunk, or the missing bytes, say so. In HTTP/1.0 an answer may end
    with its connection, and only a reset differs from a good end.
    """
    transport = request.transport
    if transport is None:
        return
    if request.version < (1, 1):
        peer = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    transport.abort()
