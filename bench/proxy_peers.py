"""The proxies that are compared: how each is configured and started, as its users would."""

import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]

NGINX = """
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  map_hash_bucket_size 128;
  map $http_authorization $known {{ default 0; {keys} }}
  upstream llama {{ server 127.0.0.1:{upstream}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{port};
    keepalive_requests 1000000;
    location / {{
      if ($known = 0) {{ return 401; }}
      proxy_pass http://llama;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "";
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 1h;
    }}
  }}
}}
"""

NODE = """
const http = require('http');
const crypto = require('crypto');
const keys = new Set(JSON.parse(process.env.KEYS));
const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity });
const server = http.createServer((request, response) => {
  const [scheme, key] = (request.headers.authorization || '').split(' ');
  if (scheme !== 'Bearer' || !keys.has(key)) {
    response.writeHead(401, { 'content-type': 'application/json' });
    return response.end('{"error":{"message":"unauthorized"}}');
  }
  const headers = { ...request.headers };
  delete headers.authorization;
  delete headers.connection;
  const up = http.request({
    host: '127.0.0.1', port: process.env.UPSTREAM, agent,
    method: request.method, path: request.url, headers,
  }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  up.on('error', () => {
    if (response.headersSent) return response.destroy();
    response.writeHead(502);
    response.end();
  });
  response.on('close', () => up.destroy());
  request.pipe(up);
});
server.keepAliveTimeout = 75000;
server.requestTimeout = 0;
server.listen(Number(process.env.PORT), '127.0.0.1', 1024);
"""


@dataclass
class Peer:
    """One running proxy."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    agent: int | None = None
    """Where a Mac's proxy answers HAProxy's agent check."""

    def ready(self, cpus: set[int]) -> None:
        """Waits until it takes connections, on these cores only, if any are named."""
        if cpus:
            os.sched_setaffinity(self.process.pid, cpus)
        for _ in range(1200):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}")
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.05)
        for pid in self.pids():
            if cpus:
                os.sched_setaffinity(pid, cpus)

    def pids(self) -> list[int]:
        """The process and its children."""
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return [own, *map(int, children)]

    def cpu(self) -> float:
        """Seconds of processor time so far, of all threads."""
        total = 0
        for pid in self.pids():
            for task in Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def memory(self) -> float:
        """MB that are in memory."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids())
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.wait(10)


def new_keys() -> list[str]:
    """Twenty, of which the last is used."""
    return ["sk-herd-" + secrets.token_urlsafe(32) for _ in range(20)]


def start(name: str, upstream: int, keys: list[str], directory: Path, cpus: set[int]) -> Peer:
    """Starts a proxy on a free port, and waits until it takes connections."""
    port = free_port()
    environment = dict(os.environ)
    if name == "nginx":
        lines = "".join(f'"Bearer {key}" 1; ' for key in keys)
        file = directory / "nginx.conf"
        file.write_text(NGINX.format(directory=directory, keys=lines, upstream=upstream, port=port))
        command = ["nginx", "-e", str(directory / "nginx.log"), "-c", str(file)]
    elif name == "node":
        file = directory / "proxy.js"
        file.write_text(NODE)
        command = ["node", str(file)]
        environment |= {"KEYS": json.dumps(keys), "PORT": str(port), "UPSTREAM": str(upstream)}
    else:
        file = directory / "config.json"
        entries = [
            {"name": f"key-{number}", "sha256": hashlib.sha256(key.encode()).hexdigest()}
            for number, key in enumerate(keys)
        ]
        file.write_text(json.dumps({"apiKeys": entries}))
        command = [sys.executable, "-m", "proxy", "serve", "--config", str(file)]
        command += ["--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{upstream}"]
    with (directory / f"{name}.out").open("wb") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
    peer = Peer(name, port, process)
    peer.ready(cpus)
    return peer


def missing() -> list[str]:
    """Peers of the table in the issue that are not on this machine."""
    programs = {"nginx": "nginx", "node": "node", "haproxy": "haproxy", "caddy": "caddy"}
    programs["litellm"] = "litellm"
    return [name for name, program in programs.items() if not shutil.which(program)]


def free_port() -> int:
    """One that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
