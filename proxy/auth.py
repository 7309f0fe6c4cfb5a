"""The key check: before anything of the request is read, answered or sent on."""

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy import errors, headers
from proxy.keystore import KeyStore
from proxy.log import KEY_LABEL

KEYSTORE = web.AppKey("KEYSTORE", KeyStore)


def is_open(request: web.Request) -> bool:
    """Whether a request needs no key: the one question whether this proxy is alive."""
    return request.method in ("GET", "HEAD") and request.raw_path == "/healthz"


@web.middleware
async def require_key(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets a request pass that has exactly one credential, and a right one."""
    if not is_open(request):
        secret = headers.credential(request.headers)
        if secret is None:
            raise errors.no_key(
                "Exactly one API key is needed, in the header 'Authorization: Bearer <key>' "
                "or 'x-api-key: <key>'."
            )
        key = request.app[KEYSTORE].current().find(secret)
        if key is None:
            raise errors.no_key("This API key is not known here.")
        request[KEY_LABEL] = key.label
    return await handler(request)
