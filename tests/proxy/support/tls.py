"""A proxy that speaks TLS, and clients that trust it."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from proxy.app import Settings, create_engine
from proxy.certificate import Certificate
from proxy.keys.store import KeyStore
from proxy.limits import Limits
from tests.proxy.support.plain import PlainPolicy
from tests.proxy.support.proxy import KEY, Proxy, Script, Upstream, config_file, listening


def make(directory: Path, name: str, *options: str) -> None:
    """A self-signed pair, as cert.pem and key.pem."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-keyout", directory / "key.pem", "-out", directory / "cert.pem", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         *(options or ["-nodes"])],
        check=True, capture_output=True,
    )  # fmt: skip


def trusting(directory: Path) -> ssl.SSLContext:
    """What a client knows that trusts this certificate, and takes the address for its name."""
    context = ssl.create_default_context(cafile=directory / "cert.pem")
    context.check_hostname = False
    return context


@dataclass
class SecureProxy(Proxy):
    """Clients of this one speak TLS."""

    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "127.0.0.1", self.port, limit=2**20, ssl=self.context, server_hostname="localhost"
        )

    async def connect_in_plain(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await super().connect()


@asynccontextmanager
async def secured(
    directory: Path, script: Script, limits: Limits | None = None, *, reads_body: bool = True
) -> AsyncIterator[tuple[SecureProxy, Upstream]]:
    """A proxy with a certificate, and the upstream behind it."""
    make(directory, "localhost")
    async with listening(Upstream(script, reads_body)) as upstream:
        config = config_file(directory, KEY)
        keys = KeyStore(config)
        settings = Settings(
            keys=keys,
            policy=PlainPolicy(keys),
            upstream=f"http://127.0.0.1:{upstream.port}",
            limits=limits or Limits(),
        )
        certificate = Certificate(directory / "cert.pem", directory / "key.pem")
        engine = create_engine(settings)
        _, port = await engine.listen("127.0.0.1", 0, certificate.context)
        try:
            yield SecureProxy(port, engine, config, trusting(directory)), upstream
        finally:
            engine.close()
            await engine.closed(1)
