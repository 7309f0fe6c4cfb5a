"""A policy with keys of its own, and requests as the engine would hand them over."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from proxy.accounting.access_log import AccessLog, Line
from proxy.accounting.charging import Ticket
from proxy.accounting.usage import Usage
from proxy.exchange import Forward, Local, Outcome, Reply, Request
from proxy.keys.store import KeyStore
from proxy.policy.policy import HerdPolicy, PolicyState

ANNA = "sk-herd-anna-0123456789-abcdefghijk"
ROOT = "sk-herd-root-0123456789-abcdefghijk"
METER = "sk-herd-meter-0123456789-abcdefghij"
PLAIN = "a-plain-key-0123456789"


def entry(name: str, secret: str, **more: object) -> dict[str, Any]:
    return {"name": name, "sha256": hashlib.sha256(secret.encode()).hexdigest(), **more}


STANDARD: list[object] = [
    PLAIN,
    entry("anna", ANNA, models=["gpt-*"]),
    entry("root", ROOT, scopes=["admin", "inference"]),
    entry("meter", METER, scopes=["metrics"]),
]


class Lines(AccessLog):
    """Keeps the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []

    def write(self, line: Line, *, minor: bool = False) -> None:
        self.lines.append(line)

    def refused(self, id_: str, client: str, status: int, why: str) -> None: ...


@dataclass
class Desk:
    """A policy, and what happens to a request there."""

    config: Path
    now: float = 1000.0
    client: str = "10.0.0.9"
    usage: Usage | None = None
    aborted: list[str] = field(default_factory=list)
    log: Lines = field(default_factory=Lines)

    def __post_init__(self) -> None:
        if not self.config.exists():
            self.write(*STANDARD)
        self.keys = KeyStore(self.config)
        self.state = PolicyState(self.keys, usage=self.usage, log=self.log)
        self.policy = HerdPolicy(self.state, clock=lambda: self.now, look_seconds=0)

    def write(self, *entries: object, **more: object) -> None:
        self.config.write_text(json.dumps({"apiKeys": entries, **more}))

    def request(self, line: str, key: str | None = None, **headers: str) -> Request:
        method, target = line.split(" ", 1)
        path, _, query = target.partition("?")
        named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
        if key:
            named["Authorization"] = f"Bearer {key}"

        def abort(how: str) -> None:
            """As the engine does: nothing is left of the request."""
            self.aborted.append(how)
            self.policy.done(request, Outcome(0, how, 0, 1.0))

        request = Request(
            id="id1", method=method, target=target, path=path, query=query,
            headers=CIMultiDictProxy(named), raw_headers=(), version=(1, 1), client=self.client,
            scheme="http", started=self.now, abort=abort,
        )  # fmt: skip
        return request

    def meet(self, request: Request, model: str | None = None) -> Reply | Local | Forward | Ticket:
        """As far as the request gets."""
        caller = self.policy.authenticate(request)
        if isinstance(caller, Reply):
            return caller
        request.caller = caller
        way = self.policy.route(request, caller)
        if not isinstance(way, Forward):
            return way
        request.model = model
        return self.policy.admit(request, caller, model)

    def status(self, line: str, key: str | None = None, **headers: str) -> int:
        """What becomes of it; 0 if llama-swap or a handler answers."""
        met = self.meet(self.request(line, key, **headers), "gpt-oss")
        return met.status if isinstance(met, Reply) else 0

    async def answer(
        self, line: str, key: str | None = None, body: bytes = b"",
        upstream: Reply | None = None, **headers: str,
    ) -> Reply:  # fmt: skip
        """Of a handler, or at once."""

        async def fetch(_: str) -> Reply:
            return upstream or Reply(status=503)

        request = self.request(line, key, **headers)
        met = self.meet(request)
        if isinstance(met, Local):
            met = await met.handler(request, body, fetch)
        assert isinstance(met, Reply)
        return met

    def chat(self, key: str, model: str = "gpt-oss", line: str = "POST /v1/chat/completions",
             **headers: str) -> tuple[Request, Ticket | Reply]:  # fmt: skip
        request = self.request(line, key, **headers)
        met = self.meet(request, model)
        assert isinstance(met, Ticket | Reply)
        return request, met

    def end(self, request: Request, ticket: Ticket | None, status: int = 200, how: str = "-",
            seconds: float = 1.0) -> None:  # fmt: skip
        outcome = Outcome(status, how, 10, seconds)
        if ticket:
            ticket.finish(outcome)
        self.policy.done(request, outcome)


def error(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reply.body)["error"]
    return found


def until(condition: Callable[[], object], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def in_a_loop(test: Callable[..., None]) -> Callable[..., None]:
    """For a test that admits requests: those set a timer."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def situation() -> None:
            test(*args, **kwargs)

        asyncio.run(situation())

    return run
