"""Where connections are taken: of which family, and what a client's address is then."""

import argparse
import asyncio
import errno
import socket
from pathlib import Path
from typing import Any

import pytest

import proxy.engine.listening_sockets as listening_of
from proxy.app import Settings, create_engine
from proxy.certificate import Certificate
from proxy.engine.listening_sockets import listeners, plain_address, text
from proxy.keys.store import KeyStore
from proxy.options import listen_address
from proxy.policy.policy import HerdPolicy, PolicyState
from tests.proxy.support.proxy import KEY, Upstream, answer, config_file, listening, run, status
from tests.proxy.support.tls import make, trusting

ASK = f"GET /props?model=x HTTP/1.1\r\nHost: x\r\nX-Api-Key: {KEY}\r\nConnection: close\r\n\r\n"


def reached(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    ("host", "four", "six"),
    [
        ("::", True, True),
        ("0.0.0.0", True, False),
        ("127.0.0.1", True, False),
        ("::1", False, True),
        ("localhost", True, True),
    ],
)
def test_an_address_is_its_family_and_everywhere_is_both(host: str, four: bool, six: bool) -> None:
    """What the system does by default with `::` is different from one to the next."""
    if host == "localhost":
        host = (
            "127.0.0.1" if len(socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)) < 2 else host
        )
        six = host == "localhost"
    opened = listeners(host, free_port() if host == "localhost" else 0)
    try:
        [port] = {each.getsockname()[1] for each in opened}
        assert reached("127.0.0.1", port) is four
        assert reached("::1", port) is six
        assert text(opened).count(f":{port}") == len(opened)
    finally:
        for each in opened:
            each.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


@pytest.mark.parametrize("secure", [False, True])
def test_a_client_has_its_own_address_in_either_family(tmp_path: Path, secure: bool) -> None:
    """Not ::ffff:127.0.0.1, which no allow-list and no log knows."""
    make(tmp_path, "localhost")
    keys = KeyStore(config_file(tmp_path, KEY))
    certificate = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem") if secure else None
    context = certificate.context if certificate else None

    async def situation() -> None:
        async with listening(Upstream(answer())) as upstream:
            engine = create_engine(
                Settings(
                    keys=keys,
                    policy=HerdPolicy(PolicyState(keys)),
                    upstream=f"http://127.0.0.1:{upstream.port}",
                )
            )
            where, port = await engine.listen("::", 0, context)
            assert where == f"0.0.0.0:{port} and [::]:{port}"
            for host in ("127.0.0.1", "::1"):
                assert status(await said(host, port)) == 200
                assert upstream.seen[-1].all("X-Forwarded-For") == [host]
            engine.close()
            await engine.closed(1)

    async def said(host: str, port: int) -> bytes:
        trust: dict[str, Any] = {"ssl": trusting(tmp_path), "server_hostname": "localhost"}
        reader, writer = await asyncio.open_connection(host, port, **(trust if secure else {}))
        writer.write(ASK.encode())
        try:
            return await reader.read()
        finally:
            writer.close()

    run(situation())


@pytest.mark.parametrize("why", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_host_without_ipv6_is_served_by_ipv4(monkeypatch: pytest.MonkeyPatch, why: int) -> None:
    """The kernel says so when the socket is made, or when it is bound."""
    opened = socket.create_server

    def without(address: Any, *, family: int, **more: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(why, "no")
        return opened(address, family=family, **more)

    monkeypatch.setattr(listening_of.socket, "create_server", without)
    [only] = listeners("::", 0)
    with only:
        assert only.family == socket.AF_INET
    with pytest.raises(OSError, match="no"):
        listeners("::1", 0)


@pytest.mark.parametrize("taken", ["0.0.0.0", "::"])
def test_a_port_that_is_taken_in_one_family_is_an_error(taken: str) -> None:
    """Half of the clients would get to somebody else."""
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    with socket.create_server((taken, 0), family=family) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=r"in use|Address"):
            listeners("::", port)
        free = socket.AF_INET if family == socket.AF_INET6 else socket.AF_INET6
        with socket.create_server(
            ("::" if free == socket.AF_INET6 else "0.0.0.0", port), family=free
        ):
            pass  # nothing was left open there


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("[::]:3000", ("::", 3000)), ("[fd00::7]:1", ("fd00::7", 1)), ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("studio.local:3000", ("studio.local", 3000)), ("::1:3000", None), (":::3000", None),
        ("[::]", None), (":3000", None), ("[]:3000", None), ("x:70000", None), ("x:\u0663", None),
    ],
)  # fmt: skip
def test_an_address_of_ipv6_has_brackets(said: str, meant: tuple[str, int] | None) -> None:
    """`::1:3000` is an address, and no port."""
    if meant is None:
        with pytest.raises(argparse.ArgumentTypeError):
            listen_address(said)
    else:
        assert listen_address(said) == meant


@pytest.mark.parametrize(
    ("came", "is_"),
    [("::ffff:10.0.0.7", "10.0.0.7"), ("10.0.0.7", "10.0.0.7"), ("fe80::1", "fe80::1"),
     ("::1", "::1"), ("::ffff:a00:7", "::ffff:a00:7")],
)  # fmt: skip
def test_a_mapped_address_is_one_of_ipv4(came: str, is_: str) -> None:
    assert plain_address(came) == is_
