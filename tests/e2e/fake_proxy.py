"""A proxy as it should not be: `fake_proxy.py PORT UPSTREAM UPSTREAM_KEY [--open] [--whole]`.

Without --open it asks for the key that FAKE_KEY holds; with --whole an answer leaves it in one
piece.
"""

import http.client
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT, UPSTREAM = int(sys.argv[1]), int(sys.argv[2])
UPSTREAM_KEY = Path(sys.argv[3]).read_text().strip()
OPEN, WHOLE = "--open" in sys.argv, "--whole" in sys.argv
KEY = os.environ["FAKE_KEY"]


class Proxy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.forward(None)

    def do_POST(self) -> None:
        self.forward(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def forward(self, body: bytes | None) -> None:
        if not OPEN and self.headers.get("Authorization") != f"Bearer {KEY}":
            self.send_error(401)
            return
        asked = http.client.HTTPConnection("127.0.0.1", UPSTREAM)
        headers = {"Content-Type": "application/json", "x-api-key": UPSTREAM_KEY}
        asked.request(self.command, self.path, body, headers)
        answer = asked.getresponse()
        self.send_response(200 if OPEN else answer.status)
        self.end_headers()
        if WHOLE:
            self.wfile.write(answer.read())
            return
        while piece := answer.read1(65536):
            self.wfile.write(piece)
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", PORT), Proxy).serve_forever()
