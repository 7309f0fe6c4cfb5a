"""A directory of models with receipts, and a proxy that serves it."""

import asyncio
import hashlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.app import Settings, create_engine
from proxy.engine.engine import Engine
from proxy.keys.store import KeyStore
from proxy.limits import Limits
from proxy.model_files.verified import VerifiedFiles
from proxy.policy.policy import HerdPolicy, PolicyState
from tests.proxy.support.policy import Lines, entry
from tests.proxy.support.proxy import Script, Upstream, answer, listening, split_head

PEER = "sk-herd-peer-0123456789-abcdefghijk"
ANNA = "sk-herd-anna-0123456789-abcdefghijk"
ADMIN = "sk-herd-admin-0123456789-abcdefghij"


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def mtime_of(path: Path) -> str:
    """As `stat -f %Fm` of macOS."""
    nanoseconds = path.stat().st_mtime_ns
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09}"


def vouch(top: Path, path: str, sha256: str) -> Path:
    """A receipt for what is there now, as the fetcher writes it."""
    file, receipt = top / path, top / ".herd" / f"{path}.receipt"
    receipt.parent.mkdir(parents=True, exist_ok=True)
    found = file.stat()
    receipt.write_text(f"{sha256} {found.st_size} {mtime_of(file)} {found.st_ino} fetched\n")
    return receipt


def put(top: Path, path: str, content: bytes) -> str:
    """A verified file; its SHA-256."""
    file = top / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    sha256 = sha256_of(content)
    vouch(top, path, sha256)
    return sha256


def journal(top: Path, path: str, **told: object) -> Path:
    """Of a fetch that is under way."""
    file = top / ".herd" / f"{path}.0123456789ab.pieces"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told) + "\n")
    return file


@dataclass
class Answer:
    """One that was read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    """A proxy, its models, and its keys."""

    models: Path
    config: Path
    grants: Path
    engine: Engine
    log: Lines
    port: int
    tls: ssl.SSLContext | None

    def grant(self, *entries: object) -> None:
        new = self.grants.with_suffix(".new")
        new.write_text(json.dumps({"apiKeys": entries}))
        new.replace(self.grants)

    async def connect(
        self, receive: int | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = "localhost" if self.tls else None
        return await asyncio.open_connection(
            "127.0.0.1", self.port, limit=receive or 2**20, ssl=self.tls, server_hostname=name
        )

    async def ask(self, line: str, key: str | None = PEER, **headers: str) -> Answer:
        """One request on a connection of its own."""
        reader, writer = await self.connect()
        try:
            return await ask(reader, writer, line, key, **headers)
        finally:
            writer.close()


def request(line: str, key: str | None = PEER, **headers: str) -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: mac.example"]
    lines += [f"Authorization: Bearer {key}"] if key else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str,
    key: str | None = PEER, **headers: str,
) -> Answer:  # fmt: skip
    writer.write(request(line, key, **headers))
    return await read_answer(reader, to_head=line.startswith("HEAD"))


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, pairs = split_head(await reader.readuntil(b"\r\n\r\n"))
    return int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}


async def read_answer(reader: asyncio.StreamReader, *, to_head: bool = False) -> Answer:
    status, headers = await read_head(reader)
    size = 0 if to_head else int(headers.get("content-length", 0))
    return Answer(status, headers, await reader.readexactly(size))


@asynccontextmanager
async def site(
    directory: Path, script: Script | None = None, *, limits: Limits | None = None,
    serves: bool = True, tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
) -> AsyncIterator[Site]:  # fmt: skip
    """`tls` is what the proxy has and what its clients trust."""
    config, grants, models = directory / "config.json", directory / "peers.json", directory / "m"
    keys = [entry("anna", ANNA), entry("admin", ADMIN, scopes=["admin", "inference", "metrics"])]
    config.write_text(json.dumps({"apiKeys": [*keys, entry("peer", PEER, scopes=["files"])]}))
    log = Lines()
    async with listening(Upstream(script or answer())) as upstream:
        store = KeyStore(config, grants=grants)
        files = VerifiedFiles(models) if serves else None
        policy = HerdPolicy(PolicyState(store, log=log, files=files))
        settings = Settings(
            keys=store, policy=policy, upstream=f"http://127.0.0.1:{upstream.port}",
            limits=limits or Limits(),
        )  # fmt: skip
        engine = create_engine(settings)
        _, port = await engine.listen("127.0.0.1", 0, tls[0] if tls else None)
        trusted = tls[1] if tls else None
        try:
            yield Site(models, config, grants, engine, log, port, trusted)
        finally:
            engine.close()
            await engine.closed(1)


def open_files() -> int:
    """Descriptors of this process."""
    return len(os.listdir("/dev/fd"))
