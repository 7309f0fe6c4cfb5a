"""TLS with a certificate pair, taken anew when it was renewed."""

import asyncio
import logging
import os
import ssl
from pathlib import Path

_log = logging.getLogger("proxy.tls")

RENEW_SECONDS = 60.0
"""Between two looks at the files."""


class Certificate:
    """A pair of files and the context made of them.

    A renewed pair goes into the live context: new connections get it, running ones live on.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Reads the pair; ValueError says what is wrong with it."""
        self._certificate = certificate
        self._key = key
        self._stamps = self._look()
        self.context = self._load()

    def renew(self) -> None:
        """Reads the pair again if it has changed; what cannot be used leaves the old one."""
        if (stamps := self._look()) == self._stamps:
            return
        self._stamps = stamps
        try:
            self._load()  # into a context of its own: half a pair must not get into the live one
            self.context.load_cert_chain(self._certificate, self._key, _no_password)
        except (ValueError, OSError) as problem:
            _log.error("the old certificate stays in use: %s", problem)
        else:
            _log.info("certificate read again: %s", self._certificate)

    async def renew_often(self) -> None:
        """Takes a renewed pair soon, without being told; for ever."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            self.renew()

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # work that a client could ask for without end
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certificate, self._key, _no_password)
        except FileNotFoundError as error:
            missing = self._key if self._certificate.exists() else self._certificate
            raise ValueError(f"{error.filename or missing} does not exist") from None
        except ssl.SSLError as error:
            reason = (error.reason or "not PEM").lower().replace("_", " ")
            raise ValueError(f"{self._certificate} and {self._key}: {reason}") from None
        except OSError as error:
            raise ValueError(f"{self._certificate}, {self._key}: {error.strerror}") from None
        return context

    def _look(self) -> tuple[object, ...]:
        return _stamp(self._certificate), _stamp(self._key)


def _no_password() -> str:
    """Instead of a question on the terminal, which a service would wait at for ever."""
    raise ValueError("the private key has a password; remove it with `openssl pkey`")


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino
