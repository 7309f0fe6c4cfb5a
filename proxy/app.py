"""The application: its routes, and the order in which a request meets them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web
from yarl import URL

from proxy import auth, drain, errors, forward, log
from proxy.keystore import KeyStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the proxy works with; where it listens is the server's business."""

    keys: KeyStore
    upstream: str = "http://127.0.0.1:8080"


def create_app(settings: Settings) -> web.Application:
    """The whole proxy. A request passes the middlewares from the first to the last."""
    app = web.Application(
        middlewares=[
            log.log_request,
            errors.answer_refusals,
            auth.require_key,
            drain.keep_count,
        ]
    )
    app[auth.KEYSTORE] = settings.keys
    app[forward.UPSTREAM] = URL(settings.upstream)
    app[drain.DRAIN] = drain.Drain()
    app.cleanup_ctx.append(_upstream_session)
    app.on_response_prepare.append(_last_touch)
    app.router.add_route("*", "/{path:.*}", _dispatch, expect_handler=_say_nothing_yet)
    return app


async def _dispatch(request: web.Request) -> web.StreamResponse:
    # Not two routes: aiohttp routes by the decoded path, and /%68ealthz is llama-swap's to answer.
    if auth.is_open(request):
        return web.Response(text="ok\n")
    return await forward.forward(request)


async def _say_nothing_yet(request: web.Request) -> None:
    """aiohttp would send `100 Continue` here, before the key check; `forward` does it after."""


async def _last_touch(request: web.Request, response: web.StreamResponse) -> None:
    """Undoes what aiohttp adds to a head, and adds the id to be named when asking about it."""
    response.headers["X-Request-Id"] = request.get(log.REQUEST_ID, "-")
    response.headers.popall("Server", None)
    if request.get(forward.UNTYPED):
        response.headers.popall("Content-Type", None)


async def _upstream_session(app: web.Application) -> AsyncIterator[None]:
    app[forward.SESSION] = forward.new_session()
    yield
    await app[forward.SESSION].close()
