"""A TCP relay that keeps each byte for half a round trip, both ways: a far network, on loopback."""

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

CHUNK = 1 << 16


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, seconds: float) -> None:
    """What comes goes on after its delay; however much is on its way, nothing waits for more."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                break
            sink.write(data)
            await sink.drain()
        sink.close()

    delivery = asyncio.create_task(deliver())
    with suppress(OSError):
        while data := await source.read(CHUNK):
            under_way.put_nowait((loop.time() + seconds, data))
    under_way.put_nowait((loop.time() + seconds, b""))
    with suppress(OSError):
        await delivery


async def _listen(port: int, seconds: float) -> tuple[asyncio.Server, int]:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # at the end
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(
                _carry(reader, to_writer, seconds), _carry(to_reader, writer, seconds)
            )

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    return server, int(server.sockets[0].getsockname()[1])


async def _end(servers: Iterable[asyncio.Server]) -> None:
    for server in servers:
        server.close()
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


@contextmanager
def farther(ports: Mapping[str, int], round_trip: float) -> Iterator[dict[str, int]]:
    """Ports of loopback that lead to the given ones, by the same names, `round_trip` seconds away;
    the same ports where that is nothing."""
    if not round_trip:
        yield dict(ports)
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers = []
    try:
        found = {}
        for name, port in ports.items():
            opening = asyncio.run_coroutine_threadsafe(_listen(port, round_trip / 2), loop)
            server, found[name] = opening.result(10)
            servers.append(server)
        yield found
    finally:
        asyncio.run_coroutine_threadsafe(_end(servers), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
