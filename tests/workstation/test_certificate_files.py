"""A certificate: what the proxy could not use is refused here, and chat trusts exactly this one."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from herd.core.settings.schema import Settings
from herd.workstation import certificate_files as tls
from herd.workstation import chat_completion
from tests.core.samples import settings

EVENTS = b'data: {"choices": [{"delta": {"content": "hello"}}]}\n\ndata: [DONE]\n\n'


def pair(directory: Path, name: str) -> Settings:
    """Settings with a fresh certificate for a name that is not this machine's."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}.example"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return settings(proxy_tls_certificate=str(certificate), proxy_tls_key=str(key))


def test_a_pair_is_read_and_its_key_not_shown(tmp_path: Path) -> None:
    found = tls.of_host(pair(tmp_path, "mine"))

    assert found
    assert found.certificate.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE KEY" in found.key
    assert "PRIVATE KEY" not in repr(found)


def test_without_one_there_is_none() -> None:
    assert tls.of_host(settings()) is None
    assert tls.shown(settings()) is None


def test_what_the_proxy_could_not_use_is_told(tmp_path: Path) -> None:
    mine, other = pair(tmp_path, "mine"), pair(tmp_path, "other")
    mixed = settings(
        proxy_tls_certificate=mine.proxy_tls_certificate, proxy_tls_key=other.proxy_tls_key
    )
    absent = settings(
        proxy_tls_certificate=mine.proxy_tls_certificate, proxy_tls_key=str(tmp_path / "absent")
    )

    with pytest.raises(ValueError, match="key values mismatch"):
        tls.of_host(mixed)
    with pytest.raises(ValueError, match=r"absent does not exist"):
        tls.of_host(absent)


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[tuple[Settings, str, list[str]]]:
    """Settings of a server that completes over TLS, its URL, and the keys that it was shown."""
    mine, shown = pair(tmp_path, "mine"), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            shown.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(EVENTS)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert mine.proxy_tls_certificate
    context.load_cert_chain(mine.proxy_tls_certificate, mine.proxy_tls_key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield mine, f"https://127.0.0.1:{server.server_address[1]}", shown
    server.shutdown()
    server.server_close()


def test_chat_trusts_the_certificate_that_is_deployed_whatever_its_name(
    endpoint: tuple[Settings, str, list[str]],
) -> None:
    mine, url, shown = endpoint
    pieces = chat_completion.complete(
        url, "KEY", "m", "Hi", stream=True, certificate=tls.shown(mine)
    )

    assert list(pieces) == ["hello"]
    assert shown == ["Bearer KEY"]


def test_chat_sends_no_key_to_anybody_else(
    endpoint: tuple[Settings, str, list[str]], tmp_path: Path
) -> None:
    _, url, shown = endpoint
    other = tls.shown(pair(tmp_path, "other"))

    with pytest.raises(
        chat_completion.ChatError, match="another certificate than proxy_tls_certificate"
    ):
        list(chat_completion.complete(url, "KEY", "m", "Hi", stream=True, certificate=other))
    assert shown == []


def test_a_pin_is_what_curl_makes_of_the_certificate(tmp_path: Path) -> None:
    own = pair(tmp_path, "mine")
    text = (
        'openssl x509 -in "$0" -pubkey -noout | openssl pkey -pubin -outform der '
        "| openssl dgst -sha256 -binary | openssl enc -base64"
    )
    words = ["sh", "-c", text, str(own.proxy_tls_certificate)]
    made = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    found = tls.of_host(own)

    assert tls.pin(tls.shown(own)) == f"sha256//{made}"
    assert found
    assert tls.pin(found.shown) == f"sha256//{made}"
    assert tls.pin(None) == ""
