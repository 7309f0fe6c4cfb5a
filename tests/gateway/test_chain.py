"""All of a gateway: our proxy, a real HAProxy with our configuration, and the Macs' proxies."""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from herd.core.gateway.fleet import Gateway, Mac, Pool, Share
from proxy.readiness import availability
from proxy.readiness.agent_listener import Agent
from proxy.readiness.availability import State, Word
from tests.gateway.gateway import KEY, SOON, Running, free_port
from tests.proxy.support.policy import ANNA, METER, ROOT, STANDARD
from tests.proxy.support.proxy import Seen, Wire, body, error, headers, run, status, until
from tests.proxy.support.stack import Stack, gateway_to, stack

OWN = {"name": "gateway", "sha256": hashlib.sha256(KEY.encode()).hexdigest(), "gateway": True}
SLOTS = [{"names": ["gpt-oss", "gpt"], "slots": 2}]
LISTING = {
    "object": "list",
    "data": [
        {"id": "gpt-oss", "object": "model", "meta": {"llamaswap": {"aliases": ["gpt"]}}},
        {"id": "qwen", "object": "model", "meta": {"llamaswap": {"aliases": []}}},
    ],
}
NO_MODEL = b"no router for requested model"
EVENTS = (b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b"data: [DONE]\n\n")


@dataclass
class Swap:
    """The llama-swap of a Mac: it streams two events, or does what a test wants."""

    name: str
    seen: list[Seen] = field(default_factory=list)
    left: int = 0
    """Requests whose client went away."""
    then: Callable[[Seen, Wire], Awaitable[None]] | None = None

    async def __call__(self, seen: Seen, wire: Wire) -> None:
        if seen.line.startswith("GET /health"):
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
            return
        self.seen.append(seen)
        if self.then is not None:
            await self.then(seen, wire)
            return
        await begin(wire)
        await wire.chunk(EVENTS[1])
        await wire.send(b"0\r\n\r\n")

    async def silent(self, seen: Seen, wire: Wire) -> None:
        await wire.closed_by_peer()
        self.left += 1

    async def endless(self, seen: Seen, wire: Wire) -> None:
        await begin(wire)
        await self.silent(seen, wire)


async def begin(wire: Wire) -> None:
    await wire.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    await wire.chunk(EVENTS[0])


def refusing(status: str, text: bytes) -> Callable[[Seen, Wire], Awaitable[None]]:
    async def refuse(_: Seen, wire: Wire) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        await wire.send(head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(text), text))

    return refuse


async def dying(_: Seen, wire: Wire) -> None:
    wire.die()


@dataclass
class Herd:
    """A gateway, and two Macs behind it."""

    gateway: Stack
    haproxy: Running
    macs: dict[str, Stack]
    swaps: dict[str, Swap]

    def drain(self, name: str, state: State = State.DRAIN) -> None:
        path = self.macs[name].readiness.path
        assert path
        availability.write(path, Word(state))

    async def becomes(self, name: str, state: str) -> None:
        async def is_so() -> bool:
            return (await asyncio.to_thread(self.haproxy.states))[name].startswith(state)

        async with asyncio.timeout(8):
            while not await is_so():  # noqa: ASYNC110 - it is asked, and tells nobody
                await asyncio.sleep(0.02)

    async def begun(self, sent: bytes | dict[str, Any], path: str = "/v1/chat/completions",
                    *, method: str = "POST", key: str = ANNA, head: str = "") -> tuple[
        asyncio.StreamReader, asyncio.StreamWriter
    ]:  # fmt: skip
        data = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        length = f"Content-Length: {len(data)}\r\n" if data else ""
        lines = f"Host: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n{length}{head}"
        writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + data)
        return reader, writer

    async def ask(self, *words: Any, **more: Any) -> bytes:
        reader, writer = await self.begun(*words, **more)
        try:
            return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def herd() -> AsyncIterator[Herd]:
    async with AsyncExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        (folder / "key").write_text(KEY)
        macs, swaps, seen = {}, {}, {}
        for name in ("mac1", "mac2"):
            (folder / name).mkdir()
            swap = swaps[name] = Swap(name)
            mac = macs[name] = await ends.enter_async_context(stack(folder / name, swap))
            mac.write(OWN, *STANDARD, slots=SLOTS)
            agent = Agent(mac.readiness.agent_line)
            _, port = await agent.listen("127.0.0.1", 0)
            ends.callback(agent.close)
            seen[name] = Mac(name, "127.0.0.1", mac.port, agent_port=port)
        both = [Share(mac, 2, 32) for mac in seen.values()]
        pools = [Pool(["gpt-oss", "gpt"], both), Pool(["qwen"], [Share(seen["mac1"], 1, 32)])]
        rendered = Gateway(
            list(seen.values()), pools, json.dumps(LISTING), free_port(), 1, 1, 64 * 1024,
            ["x-session-id"], ".", timing=SOON,
        )  # fmt: skip
        haproxy = Running(rendered, {}, folder)
        ends.callback(haproxy.stop)
        await asyncio.to_thread(haproxy.start)
        front = await ends.enter_async_context(
            gateway_to(folder, rendered.port, upstream_key=folder / "key")
        )
        yield Herd(front, haproxy, macs, swaps)


def in_a_herd(test: Callable[[Herd], Awaitable[None]]) -> None:
    async def situation() -> None:
        async with herd() as made:
            await test(made)

    run(situation(), 40)


CHAT = {"model": "gpt-oss", "messages": [{"role": "user", "content": "hi"}], "stream": True}


def test_a_request_goes_all_the_way_and_each_log_has_it_by_one_id() -> None:
    async def then(made: Herd) -> None:
        mine = "X-Request-Id: mine\r\nX-Served-By: me\r\nX-Herd-Model: qwen\r\n"
        got = await made.ask(CHAT, head=mine)
        told = headers(got)
        assert status(got) == 200
        assert all(event in got for event in EVENTS)
        assert told["x-served-by"] in made.macs
        assert told["x-served-why"] == "opening"

        mac = made.macs[told["x-served-by"]]
        [up] = made.swaps[told["x-served-by"]].seen
        assert json.loads(up.body) == CHAT
        assert up.all("X-Herd-Model") == []
        assert up.all("Authorization") == []
        await until(lambda: mac.lines and made.gateway.lines)
        assert mac.lines[-1].id == made.gateway.lines[-1].id == told["x-request-id"] != "mine"
        assert (made.gateway.lines[-1].key, mac.lines[-1].key) == ("anna", "gateway")

        models = json.loads(body(await made.ask(b"", "/v1/models", method="GET")))
        assert [each["id"] for each in models["data"]] == ["gpt-oss"], "what anna may use"
        assert status(await made.ask(b"", "/readyz", method="GET")) == 200
        for page in ("/haproxy", "/haproxy;csv"):
            assert b"mac1" in await made.ask(b"", page, method="GET", key=ROOT)
        metrics = await made.ask(b"", "/haproxy/metrics", method="GET", key=METER)
        assert b"haproxy_server_status" in metrics

    in_a_herd(then)


def test_what_names_its_model_in_another_way_is_routed_rightly() -> None:
    """Behind everything, below more brackets than HAProxy reads, in a form, in the query."""
    deep: Any = "x"
    for _ in range(40):
        deep = {"properties": deep}
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nsound\r\n'
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nqwen\r\n--b--\r\n'
    )

    async def then(made: Herd) -> None:
        swap = made.swaps["mac1"]
        swap.then = refusing("200 OK", b'{"choices": []}')
        for sent, path, more in (
            ({"tools": [deep], "messages": [], "model": "qwen"}, "/v1/chat/completions", {}),
            ({"messages": ["x" * 200_000], "model": "qwen"}, "/v1/chat/completions", {}),
            (form, "/v1/audio/transcriptions",
             {"head": "Content-Type: multipart/form-data; boundary=b\r\n"}),
            (b"", "/props?model=qwen", {"method": "GET"}),
        ):  # fmt: skip
            count = len(swap.seen)
            got = await made.ask(sent, path, key=ROOT, **more)
            assert status(got) == 200, got
            assert headers(got)["x-served-by"] == "mac1"
            assert len(swap.seen) == count + 1

        unknown = await made.ask({"model": "gpt-9"}, key=ROOT)
        assert (status(unknown), error(unknown)["code"]) == (404, "model_not_found")
        anthropic = await made.ask({"model": "gpt-9"}, "/v1/messages", key=ROOT)
        assert json.loads(body(anthropic))["error"]["type"] == "not_found_error"
        assert status(await made.ask({"model": "qwen"}, key=ANNA)) == 404, "not anna's"
        assert status(await made.ask({"model": "qwen"}, key="sk-nobody")) == 401

    in_a_herd(then)


def test_what_is_a_macs_own_trouble_goes_to_another() -> None:
    """Drained, full at llama-swap, a model that does not start, a llama-swap that dies."""

    async def then(made: Herd) -> None:
        swap = b'{"error": "unspecific error: exited", "src": "llama-swap"}'
        for trouble in (
            refusing("429 Too Many Requests", swap),
            refusing("500 Internal Server Error", swap),
            refusing("404 Not Found", swap.replace(b"unspecific error: exited", NO_MODEL)),
            dying,
        ):  # fmt: skip
            for name, other in (("mac1", "mac2"), ("mac2", "mac1")):
                made.swaps[name].then, made.swaps[other].then = trouble, None
                got = await made.ask(CHAT)
                assert (status(got), headers(got)["x-served-by"]) == (200, other), got
        made.swaps["mac1"].then = made.swaps["mac2"].then = None

        made.drain("mac1")
        await made.becomes("mac1", "DRAIN")
        for number in range(4):
            talk = CHAT | {"messages": [{"role": "user", "content": str(number)}]}
            assert headers(await made.ask(talk))["x-served-by"] == "mac2"
        made.drain("mac1", State.READY)
        await made.becomes("mac1", "UP")

        # What a request did to a model would be done to the next one, too.
        bad = b'{"error": {"message": "compute error", "type": "server_error", "code": 500}}'
        for each in made.swaps.values():
            each.then = refusing("500 Internal Server Error", bad)
            each.seen.clear()
        got = await made.ask(CHAT)
        assert (status(got), error(got)["message"]) == (500, "compute error")
        assert sum(len(each.seen) for each in made.swaps.values()) == 1

    in_a_herd(then)


def test_who_leaves_frees_the_mac_and_who_finds_all_full_is_told_when_to_come_back() -> None:
    async def then(made: Herd) -> None:
        for each in made.swaps.values():
            each.then = each.endless
        streams = [await made.begun(CHAT) for _ in range(4)]
        for reader, _ in streams:
            assert EVENTS[0] in await reader.readuntil(EVENTS[0])
        assert {len(each.seen) for each in made.swaps.values()} == {2}, "as many as have slots"
        full = await made.ask(CHAT, "/v1/messages")
        assert status(full) == 503
        assert int(headers(full)["retry-after"]) >= 1
        assert json.loads(body(full))["error"]["type"] == "overloaded_error"

        for _, writer in streams:
            writer.transport.abort()
        await until(lambda: sum(each.left for each in made.swaps.values()) == 4)
        for each in made.swaps.values():  # before the first byte, too
            each.then, each.left = each.silent, 0
        _, writer = await made.begun(CHAT)
        await until(lambda: sum(len(each.seen) for each in made.swaps.values()) == 5)
        writer.transport.abort()
        await until(lambda: sum(each.left for each in made.swaps.values()) == 1)

    in_a_herd(then)


def test_a_mac_whose_model_is_stuck_loses_only_what_had_begun() -> None:
    """What had no byte yet is answered by the other one."""

    async def then(made: Herd) -> None:
        for each in made.swaps.values():
            each.then = each.silent
        reader, writer = await made.begun(CHAT)
        await until(lambda: any(each.seen for each in made.swaps.values()))
        [stuck] = [each for each in made.swaps.values() if each.seen]
        [other] = [each for each in made.swaps.values() if not each.seen]
        other.then = None
        made.macs[stuck.name].readiness.stuck["gpt-oss"] = "none in 60 s"
        got = await reader.read()
        writer.close()
        assert status(got) == 200, got
        assert headers(got)["x-served-by"] == other.name
        # From HAProxy 3.0 on, it was our proxy that asked once more.
        assert headers(got)["x-served-why"] in ("opening", "opening, moved")
        await made.becomes(stuck.name, "DOWN")
        await until(lambda: stuck.left == 1)

        made.haproxy.stop()
        gone = await made.ask(CHAT)
        assert (status(gone), error(gone)["code"]) == (503, "upstream_unavailable")
        assert "HAProxy is not reachable" in error(gone)["message"]
        assert status(await made.ask(b"", "/readyz", method="GET")) == 503

    in_a_herd(then)
