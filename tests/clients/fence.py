"""A web proxy that lets nobody through: clients that would leave this computer are told no."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Fence:
    """Where it listens, and which hosts it was asked for."""

    def __init__(self, port: int) -> None:
        self.asked: set[str] = set()
        self._url = f"http://127.0.0.1:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """What has a client go by it for everything but loopback."""
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
        away = dict.fromkeys(names, self._url)
        return away | dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")


@contextmanager
def fence() -> Iterator[Fence]:
    """A fence for as long as the block lasts."""

    class Refusal(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline(8192).decode("latin-1").split()
            if len(line) > 1:
                made.asked.add(line[1].removeprefix("http://").partition("/")[0].partition(":")[0])
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusal) as server:
        server.daemon_threads = True
        made = Fence(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()
