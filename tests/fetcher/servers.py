"""A Hub with faults, and the proxy of another Mac as far as its files go; over plain HTTP."""

import json
import re
import socketserver
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fetcher.receipts import Receipts

KEY = "a key that lives for a day"
COMMIT = "1f" * 20


class Server:
    """Notes what it was asked, and counts the bytes of files that it sent."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.sent = 0
        self.release = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.asked.append((unquote(self.path), dict(self.headers.items())))
                server.answer(unquote(self.path), self)

            def log_message(self, *_: Any) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, path: str, request: Any) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.release.set()
        self.http.shutdown()
        self.http.server_close()

    def plain(self, request: Any, status: int, body: bytes = b"", **headers: object) -> None:
        """An answer that is no part of a file."""
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), str(value))
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def head(self, request: Any, content: bytes, start: int) -> None:
        """Of the bytes [start, len(content)) of a file."""
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/*")
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()

    def send(self, request: Any, data: bytes) -> None:
        request.wfile.write(data)
        request.wfile.flush()
        self.sent += len(data)


Fault = Callable[[Any, bytes, int], None]


class Hub(Server):
    """Serves files with ranges; `faults` are answered first, one a request, of `faulty` alone."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.faults: list[Fault] = []
        self.rate = 0.0  # bytes a second of each connection
        super().__init__()

    def url_of(self, path: str) -> str:
        from urllib.parse import quote

        return f"{self.url}/owner/repo/resolve/{COMMIT}/{quote(path)}"

    def answer(self, path: str, request: Any) -> None:
        name = path.partition(f"/resolve/{COMMIT}/")[2]
        if name not in self.files:
            self.plain(request, 404, b"Entry not found")
            return
        content = self.files[name]
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["Range"])
        assert asked
        start = int(asked[1])
        if start >= len(content):
            self.plain(request, 416)
            return
        content = content[: int(asked[2]) + 1]
        if self.faults:
            self.faults.pop(0)(request, content, start)
            return
        self.give(request, content, start)

    def give(self, request: Any, content: bytes, start: int) -> None:
        """What was asked for, at the rate that was set."""
        self.head(request, content, start)
        if not self.rate:
            self.send(request, content[start:])
            return
        step = max(1, int(self.rate / 50))
        for at in range(start, len(content), step):
            self.send(request, content[at : at + step])
            if self.release.wait(1 / 50):
                return

    def ranges(self) -> list[str]:
        """Of each request: what part of the file it asked for."""
        return [headers["Range"].removeprefix("bytes=") for _, headers in self.asked]

    # -- Faults

    def drop(self, after: int) -> None:
        """End a connection after some bytes."""

        def fault(request: Any, content: bytes, start: int) -> None:
            self.head(request, content, start)
            self.send(request, content[start : start + after])
            request.close_connection = True

        self.faults.append(fault)

    def refuse(self, status: int, retry_after: object = None, ratelimit: object = None) -> None:
        headers = {} if retry_after is None else {"Retry_After": retry_after}
        if ratelimit is not None:
            headers["ratelimit"] = ratelimit
        self.faults.append(lambda request, *_: self.plain(request, status, b"no", **headers))

    def corrupt(self) -> None:
        """Flip a byte."""

        def fault(request: Any, content: bytes, start: int) -> None:
            self.head(request, content, start)
            self.send(request, bytes([content[start] ^ 1]) + content[start + 1 :])

        self.faults.append(fault)

    def hang(self, after: int) -> None:
        """Send some bytes, and the rest when the test says so."""

        def fault(request: Any, content: bytes, start: int) -> None:
            self.head(request, content, start)
            self.send(request, content[start : start + after])
            self.release.wait(20)
            self.send(request, content[start + after :])

        self.faults.append(fault)

    def ignore_range(self) -> None:
        def fault(request: Any, content: bytes, start: int) -> None:
            whole = next(each for each in self.files.values() if each.startswith(content))
            self.plain(request, 200, whole)

        self.faults.append(fault)

    def redirect(self, to: str, body: bytes = b"") -> None:
        """To another address with the same path."""

        def fault(request: Any, content: bytes, start: int) -> None:
            self.plain(request, 302, body, Location=f"{to}{request.path}")

        self.faults.append(fault)


class Proxy(Server):
    """What another Mac's proxy serves of the models below a directory, read from its disk."""

    def __init__(self, models: Path) -> None:
        self.models = models
        self.key = KEY
        self.lists = True  # whether it answers
        self.damage: Callable[[Any, bytes, int], bool] | None = None
        super().__init__()

    def answer(self, path: str, request: Any) -> None:
        if not self.lists:
            request.close_connection = True
            return
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            self.plain(request, 401)
            return
        verified = self.verified()
        if path == "/files":
            files = {**self.unfinished(), **{s: (n, n) for s, (_, n) in verified.items()}}
            data = [{"sha256": s, "size": n, "have": h} for s, (h, n) in files.items()]
            self.plain(request, 200, json.dumps({"data": data}).encode())
            return
        found = verified.get(path.removeprefix("/files/"))
        if found is None:
            self.plain(request, 404)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["Range"])
        assert asked
        start, content = int(asked[1]), found[0].read_bytes()[: int(asked[2]) + 1]
        if self.damage and self.damage(request, content, start):
            return
        self.head(request, content, start)
        self.send(request, content[start:])

    def verified(self) -> dict[str, tuple[Path, int]]:
        """Files with a valid receipt, whether they have their name yet or not."""
        found = {}
        for directory in self.models.glob("*"):
            receipts = Receipts(directory)
            for receipt in (directory / ".herd").rglob("*.receipt"):
                path = str(receipt.relative_to(directory / ".herd")).removesuffix(".receipt")
                known = receipts.known(path)
                if known.valid:
                    size = (directory / path).stat().st_size
                    found[known.sha256] = (directory / path, size)
        return found

    def unfinished(self) -> dict[str, tuple[int, int]]:
        """What the journals say."""
        found = {}
        for journal in self.models.glob("*/.herd/**/*.pieces"):
            try:
                told = json.loads(journal.read_text())
            except FileNotFoundError:
                continue
            found[told["sha256"]] = (told["have"], told["size"])
        return found


Say = Callable[[bytes], None]


class Wild:
    """Whatever listens where another Mac's proxy is said to be: each connection is answered by
    `talk`, which gets the request's head and a way to send bytes."""

    def __init__(self, talk: Callable[[bytes, Say, threading.Event], None]) -> None:
        self.release = release = threading.Event()

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    head = b""
                    while b"\r\n\r\n" not in head and (more := self.request.recv(4096)):
                        head += more
                    talk(head, self.request.sendall, release)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
