"""HAProxy's agent check: one line at once, and the real HAProxy understands it."""

import asyncio
import json
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from proxy.exchange import Reply
from proxy.readiness import agent_listener as agent_of
from proxy.readiness import availability
from proxy.readiness.agent_listener import MOST, Agent
from proxy.readiness.availability import State, Word
from proxy.readiness.loaded import Loaded
from proxy.readiness.readiness import Readiness
from tests.proxy.support.haproxy import free_port, haproxy
from tests.proxy.support.proxy import run, until


async def told(port: int, say: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(say)
    try:
        return await reader.read()
    finally:
        writer.close()


def test_each_is_told_one_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says something first, too; and who never leaves takes no place for long."""

    async def situation() -> None:
        agent = Agent(lambda: "ready up")
        _, port = await agent.listen("127.0.0.1", 0)
        monkeypatch.setattr(agent_of, "SECONDS", 0.3)
        monkeypatch.setattr(agent_of, "SAYS_NOTHING_SECONDS", 0.1)
        try:
            lines = await asyncio.gather(*(told(port, b"x" * n) for n in (0, 0, 1, 100_000)))
            assert lines == [b"ready up\n"] * 4
            staying = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST)]
            await until(lambda: len(agent.open) == MOST)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with suppress(ConnectionResetError):
                assert await reader.read() == b"", "one too many"
            writer.close()
            await until(lambda: not agent.open)
            assert await told(port) == b"ready up\n"
            for _, leaving in staying:
                leaving.close()
        finally:
            agent.close()

    run(situation())


def test_whether_a_model_is_loaded_is_said_by_its_name() -> None:
    async def situation() -> None:
        async def is_loaded(name: str) -> bool:
            return name == "gpt-oss"

        agent = Agent(lambda: "ready up", is_loaded)
        _, port = await agent.listen("127.0.0.1", 0)
        try:
            for said, line in (
                (b"warm %s 7\n" % b"gpt-oss".hex().upper().encode(), b"ready up 100%\n"),
                (b"warm %s 7\n" % b"qwen".hex().upper().encode(), b"ready up 7%\n"),
                (b"warm FF 7\n", b"ready up 7%\n"),
                (b"warm 41 999\n", b"ready up 100%\n"),
                (b"warm xx 7\n", b"ready up\n"),
                (b"state\n", b"ready up\n"),
            ):
                assert await told(port, said) == line, said
        finally:
            agent.close()

    run(situation())


def test_llama_swap_is_asked_once_for_all_who_ask_at_once() -> None:
    asked = []

    async def ask(method: str, target: str, body: bytes, seconds: float) -> Reply:
        asked.append(target)
        running = [{"model": "a", "state": "ready"}, {"model": "b", "state": "starting"}]
        running += [{"model": "c", "state": "stopping"}]
        return Reply(status=200, body=json.dumps({"running": running}).encode())

    async def situation() -> None:
        loaded = Loaded(ask, lambda name: {"alias": "a"}.get(name, name))
        found = await asyncio.gather(*map(loaded.has, ("a", "alias", "b", "c", "d")))
        assert found == [True, True, True, False, False]
        assert asked == ["/running"]

    run(situation())


def test_haproxy_reads_it() -> None:
    """Each word, its reason, and the way back from it."""

    async def situation(directory: Path) -> None:
        readiness = Readiness(directory / "availability.json")
        agent = Agent(readiness.agent_line)
        _, port = await agent.listen("127.0.0.1", 0)
        config = (
            "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n"
            "  timeout server 1s\nbackend macs\n"
            f"  server mac1 127.0.0.1:{port} maxconn 9 check inter 100ms "
            f'agent-check agent-port {port} agent-inter 40ms agent-send "state\\n"\n'
        )
        with haproxy(directory, config) as gateway:

            async def becomes(status: str, reason: str = "") -> None:
                await until(lambda: gateway.server("mac1")["status"].startswith(status))
                await until(lambda: reason in gateway.says("show stat"))

            def say(state: State) -> None:
                assert readiness.path is not None
                availability.write(readiness.path, Word(state))

            try:
                await becomes("UP")
                say(State.DRAIN)
                await becomes("DRAIN")
                say(State.MAINT)
                await becomes("MAINT")
                say(State.READY)
                await becomes("UP")
                readiness.stuck["gpt-oss"] = "none in 60 s"
                await becomes("DOWN", "a model gives no token")
                readiness.slots = lambda: 3
                readiness.stuck.clear()
                await becomes("UP")
                await until(lambda: gateway.server("mac1")["slim"] == "3")
                readiness.ending = True
                await becomes("DRAIN")
            finally:
                agent.close()

    with tempfile.TemporaryDirectory() as directory:  # a short path, for a socket
        run(situation(Path(directory)))


def test_a_port_that_is_taken_is_an_error() -> None:
    async def situation() -> None:
        first, second = Agent(str), Agent(str)
        port = free_port()
        await first.listen("127.0.0.1", port)
        try:
            await second.listen("127.0.0.1", port)
        except OSError:
            return
        finally:
            first.close()
            second.close()
        raise AssertionError("two listen on one port")

    run(situation())
