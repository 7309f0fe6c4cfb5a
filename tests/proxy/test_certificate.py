"""Certificates: read at the start, taken anew when renewed, and never half of a pair."""

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from proxy.certificate import Certificate
from tests.proxy.support.tls import make


def pair(directory: Path) -> Certificate:
    return Certificate(directory / "cert.pem", directory / "key.pem")


async def _shown(context: ssl.SSLContext) -> bytes:
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    server = await asyncio.start_server(lambda _, writer: None, "127.0.0.1", 0, ssl=context)
    try:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
    finally:
        server.close()
    assert isinstance(der, bytes)
    return der


def served(context: ssl.SSLContext) -> str:
    """The name in the certificate that a new connection sees."""
    der = asyncio.run(_shown(context))
    text = subprocess.run(
        ["openssl", "x509", "-inform", "der", "-noout", "-subject"],
        input=der, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    return text.strip().rpartition("CN")[2].strip(" =")


def test_renewed_pair_is_served_to_new_connections(tmp_path: Path) -> None:
    """On the same context: nothing is restarted."""
    make(tmp_path, "old.example")
    certificate = pair(tmp_path)
    assert served(certificate.context) == "old.example"
    make(tmp_path, "new.example")
    certificate.renew()

    assert served(certificate.context) == "new.example"


def test_half_a_renewal_keeps_the_old_pair(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The certificate is there before its key; the next look finds both."""
    (tmp_path / "next").mkdir()
    make(tmp_path, "old.example")
    make(tmp_path / "next", "new.example")
    certificate = pair(tmp_path)
    (tmp_path / "next" / "cert.pem").replace(tmp_path / "cert.pem")
    certificate.renew()
    certificate.renew()
    assert caplog.text.count("the old certificate stays in use") == 1
    assert served(certificate.context) == "old.example"
    (tmp_path / "next" / "key.pem").replace(tmp_path / "key.pem")
    certificate.renew()

    assert served(certificate.context) == "new.example"


def test_unchanged_pair_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking costs two stats."""
    make(tmp_path, "old.example")
    certificate = pair(tmp_path)
    monkeypatch.setattr(certificate, "_load", lambda: pytest.fail("read again"))

    certificate.renew()


def test_what_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    """And nothing waits for a password."""
    with pytest.raises(ValueError, match=r"cert\.pem does not exist"):
        pair(tmp_path)
    make(tmp_path, "old.example")
    (tmp_path / "key.pem").rename(tmp_path / "kept.pem")
    with pytest.raises(ValueError, match=r"key\.pem does not exist"):
        pair(tmp_path)
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(ValueError, match=r"key\.pem: "):
        pair(tmp_path)
    make(tmp_path, "old.example", "-passout", "pass:secret")
    with pytest.raises(ValueError, match="the private key has a password"):
        pair(tmp_path)


def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    """1.2 and 1.3 only."""
    make(tmp_path, "old.example")

    assert pair(tmp_path).context.minimum_version == ssl.TLSVersion.TLSv1_2
