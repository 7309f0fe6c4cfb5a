"""How late a token comes through the proxy while others send hostile bodies: the worst, beside what
it is when nobody does.

A stand-in for llama-swap sends a token every 10 ms with the time in it, to one client through the
proxy and to one without it, so that what the machine adds is seen apart. Each kind of body comes
over four connections at once, again and again. Run it on a machine that does nothing else.
"""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEY = "sk-bench-0123456789-abcdefghijkl"
SECONDS = 4.0
SENDERS = 4
MIB = 2**20

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def bodies() -> dict[str, bytes]:
    """Each kind; none names a model before its end."""
    part = b'{"type":"text","text":"x"}'
    return {
        "31 MiB of messages": b'{"messages":["' + b"x" * (31 * MIB) + b'"],"model":"m"}',
        "500,000 parts": b'{"messages":[' + b",".join([part] * 500_000) + b'],"model":"m"}',
        "1,000,000 integers": b'{"input":[' + b",".join([b"12345"] * 10**6) + b'],"model":"m"}',
        "brackets": b'{"x":[' + b",".join([b"[[[[[[1]]]]]]"] * 200_000) + b'],"model":"m"}',
        "members": b"{" + b",".join([b'"\\u0061":1'] * 300_000) + b',"model":"m"}',
        "escapes": b'{"x":"' + b"\\u0041" * 10**6 + b'","model":"m"}',
        "no JSON": b"{" + b" " * (8 * MIB) + b"x",
    }


def request(body: bytes, *, step: int = 0) -> bytes:
    """A POST with it, in chunks of a size if there is one."""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        "Connection: close\r\nContent-Type: application/json\r\n"
    ).encode()
    if not step:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    size = b"%x\r\n" % step
    pieces = (size + body[at : at + step] + b"\r\n" for at in range(0, len(body) - step, step))
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(pieces) + b"0\r\n\r\n"


async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tokens for who asks for `stream`; else takes the body and says nothing much."""
    with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/props" in head:
            writer.write(HEAD)
            while True:
                told = b"data: %f\n\n" % time.monotonic()
                writer.write(b"%x\r\n%b\r\n" % (len(told), told))
                await asyncio.sleep(0.01)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        while await reader.read(MIB):
            pass
    writer.close()


async def listen(port: int, late: list[float]) -> None:
    """Notes how late each token is, in seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /props?model=m HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    writer.write(head.encode())
    while line := await reader.readline():
        if line.startswith(b"data: "):
            late.append(time.monotonic() - float(line[6:]))


async def send(port: int, data: bytes) -> None:
    """One hostile connection after the other."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            writer.write(data)
            await reader.read()
        writer.close()


async def measure(port: int, direct: int) -> tuple[list[float], list[float]]:
    """Through the proxy and directly."""
    through: list[float] = []
    beside: list[float] = []
    running = [
        asyncio.create_task(task) for task in (listen(port, through), listen(direct, beside))
    ]
    await asyncio.sleep(SECONDS)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return sorted(through), sorted(beside)


def child(kind: str, *args: str) -> None:
    """The other processes: tokens, and those who send; so that none waits for another here."""
    if kind == "upstream":
        asyncio.run(_serve(int(args[0])))
    else:
        asyncio.run(_all(int(args[0]), Path(args[1]).read_bytes()))


async def _serve(port: int) -> None:
    server = await asyncio.start_server(upstream, "127.0.0.1", port, limit=MIB)
    await server.serve_forever()


async def _all(port: int, data: bytes) -> None:
    await asyncio.gather(*(send(port, data) for _ in range(SENDERS)))


def main() -> None:
    """Prints a table."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as started:
        config = Path(directory, "config.json")
        config.write_text(json.dumps({"apiKeys": [KEY]}))

        def start(*args: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen([sys.executable, *args], cwd=ROOT, stderr=subprocess.DEVNULL)
            started.callback(process.wait)
            started.callback(process.kill)
            return process

        direct, port = free_port(), free_port()
        start(__file__, "upstream", str(direct))
        start("-m", "proxy", "serve", "--config", str(config), "--listen", f"127.0.0.1:{port}",
              "--upstream", f"http://127.0.0.1:{direct}")  # fmt: skip
        time.sleep(3)
        kinds: dict[str, bytes] = {"none": b""}
        kinds |= {name: request(body) for name, body in bodies().items()}
        kinds["chunks of a byte"] = request(b'{"x":"' + b"x" * 10**6, step=1)
        kinds["pipelined"] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 20000
        print(
            f"{'sent by others':20} {'p50 ms':>8} {'p99 ms':>8} {'worst':>8} {'direct':>8} {'x':>6}"
        )
        usual = 0.0
        for name, data in kinds.items():
            file = Path(directory, "body")
            file.write_bytes(data)
            sender = start(__file__, "send", str(port), str(file)) if data else None
            through, beside = asyncio.run(measure(port, direct))
            if sender is not None:
                sender.kill()
            p50, p99 = (through[int(len(through) * share)] * 1000 for share in (0.5, 0.99))
            worst = through[-1] * 1000
            usual = usual or worst
            print(
                f"{name:20} {p50:8.2f} {p99:8.2f} {worst:8.2f} {beside[-1] * 1000:8.2f}"
                f" {worst / usual:6.1f}",
                flush=True,
            )


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(*sys.argv[1:])
    else:
        main()
