"""The routes of llama-swap v250; a request is answered by the configuration it began with."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import aiohttp
from aiohttp import web

from lab.llama_swap.answers import (
    Answer,
    Handler,
    as_json,
    escaped_rest,
    filtered,
    key,
    model_in_path,
    model_name,
    moved,
    ok,
    redirect,
    send,
    ui,
)
from lab.llama_swap.config import Config
from lab.llama_swap.forwarding import forward
from lab.llama_swap.logs import Logs, Monitor
from lab.llama_swap.macros import ConfigError
from lab.llama_swap.process import Process, StartError
from lab.llama_swap.scheduler import Scheduler, TooManyRequests

JSON_ROUTES = (
    *("/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/messages"),
    *("/v1/messages/count_tokens", "/v1/embeddings", "/reranking", "/rerank", "/v1/rerank"),
    *("/v1/reranking", "/infill", "/completion", "/v1/audio/speech", "/v1/audio/voices"),
    *("/v1/images/generations", "/sdapi/v1/txt2img", "/sdapi/v1/img2img"),
    *("/v/chat/completions", "/v/responses", "/v/completions", "/v/messages"),
    *("/v/messages/count_tokens", "/v/embeddings", "/v/rerank", "/v/reranking"),
)
FORM_ROUTES = ("/v1/audio/transcriptions", "/v1/images/edits")
GET_ROUTES = ("/v1/audio/voices", "/sdapi/v1/loras", "/props")
OPEN_PATHS = ("/health", "/wol-health", "/", "/favicon.ico", "/upstream")
NOT_LOGGED = ("/wol-health", "/api/performance", "/metrics")
MAX_BODY = 1 << 30


class Generation:
    """What one configuration brought to life: its processes, and who schedules them."""

    def __init__(self, config: Config, logs: Logs, client: aiohttp.ClientSession) -> None:
        for members in config.groups.values():
            for name in members.members:
                if name not in config.models:
                    raise ConfigError(f'creating group router: no model config for "{name}"')
        self.config = config
        self.log = logs.proxy
        self.closing = False
        self.streams_end = asyncio.Event()
        self.processes = {
            name: Process(model, logs, client) for name, model in config.models.items()
        }
        self.scheduler = Scheduler(config, self.processes, logs.proxy)
        self.preloading = asyncio.create_task(self._preload())

    async def shutdown(self, grace: float) -> None:
        self.closing = True
        self.streams_end.set()
        self.preloading.cancel()
        await self.scheduler.shutdown(grace)

    async def _preload(self) -> None:
        for name in self.config.preload:
            self.log.info(f"preloading model: {name}")
            status = 500
            try:
                await self.scheduler.acquire(name)
            except (StartError, TooManyRequests):
                pass
            else:
                try:
                    status = await self._visit(self.processes[name])
                finally:
                    self.scheduler.release(name)
            if status >= 400:
                self.log.log("error", f"failed to preload model {name}: status {status}")

    async def _visit(self, process: Process) -> int:
        process.in_flight += 1
        try:
            async with process.client.get(process.model.proxy.rstrip("/") + "/") as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, OSError):
            return 502
        finally:
            process.in_flight -= 1
            process.last_use = time.time()


class Server:
    """`active` is replaced on a reload; requests under way keep the one they began with."""

    def __init__(self, active: Generation, logs: Logs) -> None:
        self.active = active
        self.logs = logs
        self.open_requests = 0
        self.idle = asyncio.Event()
        self.idle.set()

    def create_app(self) -> web.Application:
        app = web.Application(
            middlewares=[self._log_request, self._not_found, self._preflight, self._authenticate],
            client_max_size=MAX_BODY,
        )
        add = app.router
        for path in (*JSON_ROUTES, *FORM_ROUTES):
            add.add_post(path, self._model_request)
        for path in GET_ROUTES:
            add.add_get(path, self._model_request)
        add.add_get("/health", ok)
        add.add_get("/wol-health", ok)
        add.add_get("/", redirect(302, "/ui"))
        add.add_get("/ui", redirect(307, "/ui/"))
        add.add_get("/ui/{path:.*}", ui)
        add.add_get("/upstream", redirect(302, "/ui/models"))
        add.add_route("*", "/upstream/{path:.*}", self._upstream)
        add.add_get("/v1/models", self._models)
        add.add_get("/models", self._models)
        add.add_get("/running", self._running)
        add.add_get("/unload", self._unload)
        add.add_post("/api/models/unload", self._api_unload)
        add.add_post("/api/models/unload/{model:.+}", self._api_unload_model)
        add.add_get("/logs", self._logs)
        add.add_get("/logs/stream{monitor:(/.*)?}", self._log_stream)
        add.add_get("/metrics", self._metrics)
        add.add_get("/api/version", self._version)
        return app

    # -- models

    async def _model_request(self, request: web.Request) -> Answer:
        generation = self.active
        body = await request.read()
        asked = model_name(request, body)
        if not asked:
            return send(request, 404, "no model id could be identified")
        name = generation.config.real_name(asked)
        if name is None:
            return send(request, 404, "no router for requested model")
        body = filtered(request, body, generation.config.models[name])
        path = request.rel_url.raw_path
        return await self._serve(
            request, generation, name, path.removeprefix("/v") if path[:3] == "/v/" else path, body
        )

    async def _upstream(self, request: web.Request) -> Answer:
        generation = self.active
        found = model_in_path(generation.config, request.match_info["path"])
        if found is None:
            return send(request, 404, "model not found")
        searched, name, rest = found
        if rest == "/" and not request.path.endswith("/"):
            query = (
                f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
            )
            status = 301 if request.method in ("GET", "HEAD") else 308
            return moved(status, f"/upstream/{searched}/{query}")
        ignored = any(re.search(each, rest) for each in generation.config.ignored_paths)
        if ignored and generation.processes[name].state != "ready":
            told = f"model {name} is not loaded; path matches upstream.ignorePaths"
            return send(request, 409, told)
        path = escaped_rest(request.rel_url.raw_path, f"/upstream/{searched}")
        return await self._serve(request, generation, name, path, await request.read())

    async def _serve(
        self, request: web.Request, generation: Generation, name: str, path: str, body: bytes
    ) -> Answer:
        if generation.closing:
            return send(
                request, 500, f"unspecific error: {generation.scheduler.router} is shutting down"
            )
        try:
            await generation.scheduler.acquire(name)
        except TooManyRequests:
            response = as_json({"error": "Too many requests", "src": "llama-swap"}, 429)
            response.headers["Retry-After"] = "1"
            return response
        except StartError as error:
            return send(request, 500, f"unspecific error: {error}")
        try:
            process = generation.processes[name]
            if process.state != "ready":
                return send(request, 503, f"[{name}] process is not ready")
            return await forward(request, process, path, body)
        finally:
            generation.scheduler.release(name)

    # -- the list of models, and what runs

    async def _models(self, request: web.Request) -> Answer:
        config, running = self.active.config, self.active.scheduler.running()
        data = []
        for model in config.models.values():
            if model.unlisted:
                continue
            status = {"value": "loaded" if model.id in running else "unloaded"}
            entry: dict[str, Any] = {
                "object": "model",
                "created": int(time.time()),
                "owned_by": "llama-swap",
                "status": status,
            }
            entry |= {"name": model.name} if model.name else {}
            entry |= {"description": model.description} if model.description else {}
            own: dict[str, Any] = {"type": "model"}
            own |= {"aliases": model.aliases} if model.aliases else {}
            context: dict[str, Any] = {}
            if model.context:
                entry["context_length"] = context["n_ctx"] = model.context
            data.append(
                {
                    "id": model.id,
                    **entry,
                    "meta": {"llamaswap": {**model.metadata, **own}, **context},
                }
            )
            if config.include_aliases:
                other = {**model.metadata, "type": "alias", "modelID": model.id}
                data += [
                    {"id": alias, **entry, "meta": {"llamaswap": other, **context}}
                    for alias in model.aliases
                ]
        data.sort(key=lambda entry: str(entry["id"]))
        response = as_json({"object": "list", "data": data})
        if origin := request.headers.get("Origin"):
            response.headers["Access-Control-Allow-Origin"] = origin
        return response

    async def _running(self, request: web.Request) -> Answer:
        models = self.active.config.models
        running = [
            {
                "model": name,
                "state": state,
                "cmd": models[name].cmd,
                "proxy": models[name].proxy,
                "ttl": models[name].ttl,
                "name": models[name].name,
                "description": models[name].description,
            }
            for name, state in self.active.scheduler.running().items()
        ]
        return as_json({"running": running})

    async def _unload(self, request: web.Request) -> Answer:
        await self.active.scheduler.unload()
        return web.Response(text="OK")

    async def _api_unload(self, request: web.Request) -> Answer:
        await self.active.scheduler.unload()
        return as_json({"msg": "ok"})

    async def _api_unload_model(self, request: web.Request) -> Answer:
        name = self.active.config.real_name(request.match_info["model"])
        if name is None:
            return send(request, 404, "model not found")
        await self.active.scheduler.unload(name)
        return web.Response(text="OK")

    # -- the rest

    async def _logs(self, request: web.Request) -> Answer:
        if "text/html" in request.headers.get("Accept", ""):
            return moved(302, "/ui/")
        return web.Response(body=bytes(self.logs.mux.history), content_type="text/plain")

    async def _log_stream(self, request: web.Request) -> Answer:
        generation = self.active
        monitor = self._monitor(generation, request.match_info["monitor"].strip("/"))
        if monitor is None:
            return send(request, 400, "invalid logger. Use 'proxy', 'upstream' or a model's ID")
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/plain",
                "X-Accel-Buffering": "no",
                "X-Content-Type-Options": "nosniff",
            }
        )
        if monitor.history and "no-history" not in request.query:
            await response.prepare(request)
            await response.write(bytes(monitor.history))
        closing = asyncio.ensure_future(generation.streams_end.wait())
        try:
            with monitor.listen() as lines:
                while not closing.done():
                    line = asyncio.ensure_future(lines.get())
                    await asyncio.wait({line, closing}, return_when=asyncio.FIRST_COMPLETED)
                    if line.done():
                        # Not even the headers are sent before there is something to say.
                        await response.prepare(request)
                        await response.write(line.result())
                    else:
                        line.cancel()
        finally:
            closing.cancel()
        return response

    def _monitor(self, generation: Generation, name: str) -> Monitor | None:
        common = {"": self.logs.mux, "proxy": self.logs.proxy, "upstream": self.logs.upstream}
        if name in common:
            return common[name]
        found = model_in_path(generation.config, name)
        return generation.processes[found[1]].output if found else None

    async def _metrics(self, request: web.Request) -> Answer:
        if not self.active.config.metrics:
            return web.Response(status=503, text="# performance monitor not available\n")
        gauges = {"llamaswap_memory_total_bytes": 1 << 37, "llamaswap_memory_used_bytes": 1 << 36}
        lines = [f"# TYPE {name} gauge\n{name} {value}\n" for name, value in gauges.items()]
        return web.Response(text="".join(lines))

    async def _version(self, request: web.Request) -> Answer:
        return as_json({"build_date": "stand-in", "commit": "0000000", "version": "250"})

    # -- around every request

    @web.middleware
    async def _log_request(self, request: web.Request, handler: Handler) -> Answer:
        started = time.perf_counter()
        self.open_requests += 1
        self.idle.clear()
        status, size = 200, 0
        try:
            response = await handler(request)
            status = response.status
            size = response.content_length or 0
            return response
        finally:
            self.open_requests -= 1
            if not self.open_requests:
                self.idle.set()
            if not request.path.startswith(NOT_LOGGED):
                major, minor = request.version
                took = (time.perf_counter() - started) * 1000
                self.logs.proxy.info(
                    f'Request {request.remote} "{request.method} {request.path} '
                    f'HTTP/{major}.{minor}" {status} {size} '
                    f'"{request.headers.get("User-Agent", "")}" {took:.3f}ms'
                )

    @web.middleware
    async def _not_found(self, request: web.Request, handler: Handler) -> Answer:
        """Go's texts for what no route takes."""
        plain = {"X-Content-Type-Options": "nosniff"}
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return web.Response(status=404, text="404 page not found\n", headers=plain)
        except web.HTTPMethodNotAllowed as error:
            allowed = {**plain, "Allow": ", ".join(sorted(error.allowed_methods))}
            return web.Response(status=405, text="Method Not Allowed\n", headers=allowed)

    @web.middleware
    async def _preflight(self, request: web.Request, handler: Handler) -> Answer:
        if request.method != "OPTIONS":
            return await handler(request)
        usual = "Content-Type, Authorization, Accept, X-Requested-With"
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
                "Access-Control-Allow-Headers": request.headers.get(
                    "Access-Control-Request-Headers", usual
                ),
                "Access-Control-Max-Age": "86400",
            },
        )

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Handler) -> Answer:
        keys = self.active.config.api_keys
        if not keys or request.path in OPEN_PATHS or key(request) in keys:
            return await handler(request)
        response = send(request, 401, "unauthorized: invalid or missing API key")
        response.headers["WWW-Authenticate"] = 'Basic realm="llama-swap"'
        return response
