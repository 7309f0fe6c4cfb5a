"""A model server for the llama-swap tests: says how it was started and what it was asked.

Run by path, with the standard library only, so that it is up before the first health check.
"""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ARGUMENTS = sys.argv[1:]
OPTIONS = dict(each[2:].split("=", 1) for each in ARGUMENTS if each.startswith("--"))
STARTED = time.time()


class Responder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/health"):
            late = time.time() - STARTED < float(OPTIONS.get("loading", "0"))
            self.answer({"status": "loading" if late else "ok"}, 503 if late else 200)
        elif self.path.startswith("/die"):
            os._exit(3)
        else:
            self.answer(self.told(""))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        if '"stream"' in body:
            self.stream(json.loads(body))
        else:
            self.answer(self.told(body))

    def told(self, body: str) -> dict[str, object]:
        return {
            "arguments": ARGUMENTS,
            "environment": dict(os.environ),
            "pid": os.getpid(),
            "group": os.getpgid(0),
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body,
        }

    def answer(self, data: object, status: int = 200) -> None:
        text = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def stream(self, body: dict[str, float]) -> None:
        """`stream` events, `pause` seconds apart; `die` ends the process after so many."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for number in range(int(body["stream"])):
                if number == body.get("die"):
                    os._exit(3)
                event = f"data: {number}\n\n".encode()
                self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                self.wfile.flush()
                time.sleep(body.get("pause", 0.0))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
            print("client gone", flush=True)

    def log_message(self, format: str, *args: object) -> None:
        pass


def linger(*_: object) -> None:
    time.sleep(float(OPTIONS["linger"]))
    os._exit(0)


if __name__ == "__main__":
    if "deaf" in OPTIONS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "linger" in OPTIONS:
        signal.signal(signal.SIGTERM, linger)
    print("responder", *ARGUMENTS, flush=True)
    server = ThreadingHTTPServer(("127.0.0.1", int(OPTIONS["port"])), Responder)
    server.daemon_threads = True
    server.serve_forever()
