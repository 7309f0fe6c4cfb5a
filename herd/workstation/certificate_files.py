"""The proxy's certificate and its key, in files of the workstation."""

import base64
import hashlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate

from herd.core.settings.schema import Settings
from proxy.certificate import Certificate


@dataclass(frozen=True)
class Pair:
    """Both in PEM; the key never shown."""

    certificate: str
    key: str = field(repr=False)

    @property
    def shown(self) -> bytes:
        """What clients see of it first (DER)."""
        return _first(self.certificate)


def of_host(settings: Settings, base: Path = Path()) -> Pair | None:
    """The pair of a host, None for plain HTTP; files are relative to `base`.

    Raises ValueError when the proxy could not use it, by the proxy's own check.
    """
    if not settings.proxy_tls_certificate or not settings.proxy_tls_key:
        return None
    certificate = base / Path(settings.proxy_tls_certificate).expanduser()
    key = base / Path(settings.proxy_tls_key).expanduser()
    Certificate(certificate, key)
    return Pair(certificate.read_text(), key.read_text())


def authorities(name: str, base: Path = Path()) -> str:
    """A PEM file of who may vouch for certificates. Raises ValueError, in words."""
    path = base / Path(name).expanduser()
    try:
        text = path.read_text()
        ssl.create_default_context(cadata=text)
    except OSError as error:
        why = error.strerror if not isinstance(error, ssl.SSLError) else "it is no certificate"
        raise ValueError(f"{path} cannot be read: {why}") from None
    except ValueError:
        raise ValueError(f"{path} cannot be read: it is no text") from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ValueError(f"{path} holds no certificate")
    return text


def shown(settings: Settings, base: Path = Path()) -> bytes | None:
    """What the proxy of a host shows to its clients first (DER), None for plain HTTP."""
    if not settings.proxy_tls_certificate:
        return None
    path = base / Path(settings.proxy_tls_certificate).expanduser()
    try:
        text = path.read_text()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    return _first(text)


def _first(text: str) -> bytes:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    inner = text.partition(begin)[2].partition(end)[0]
    return ssl.PEM_cert_to_DER_cert(begin + inner + end)


def pin(certificate: bytes | None) -> str:
    """What curl's --pinnedpubkey compares: of the public key of a certificate (DER), "" of none."""
    if certificate is None:
        return ""
    key = load_der_x509_certificate(certificate).public_key()
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256//{base64.b64encode(hashlib.sha256(public).digest()).decode()}"


def end(certificate: bytes | None) -> float | None:
    """When a certificate (DER) ends, in seconds since 1970; None of none."""
    if certificate is None:
        return None
    return load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()
