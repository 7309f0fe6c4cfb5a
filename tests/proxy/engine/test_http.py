"""HTTP to the letter: paths, methods, headers, odd answers and odd clients."""

import asyncio
import socket
from contextlib import suppress

import pytest

from tests.proxy.support.proxy import (
    KEY,
    Seen,
    Upstream,
    Wire,
    answer,
    body,
    error,
    headers,
    listening,
    proxied,
    proxy_to,
    read_chunks,
    read_head,
    run,
    split_head,
    status,
    until,
)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v1/models?a=1&a=2&b=%20+%2B&c",
        "/upstream/org%2Fmodel%3Aq4/props",
        "/a//b/../c/./d",
        "/%7euser/%7Euser/%c3%a9/%ff",
        "/x?y=http://z/?q&%zz=%",
        "/x?",
        "/x?#y",
        "/x#y?z",
        "//host/path",
        "/a;b=c@d:e'()*!$,",
        '/x?a=b;c=d&&=&[]{}|^`"<>',
    ],
)
def test_path_and_query_arrive_byte_for_byte(target: str) -> None:
    """No percent sign decoded, no dot segment resolved, nothing sorted."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, upstream):
            assert status(await proxy.ask(f"GET {target} HTTP/1.1")) == 200
            assert upstream.seen[0].line == f"GET {target} HTTP/1.1"

    run(situation())


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_pass_with_their_bodies(method: str) -> None:
    """GET with a body too."""

    async def situation() -> None:
        async with proxied(answer(body=b"x")) as (proxy, upstream):
            got = await proxy.ask(f"{method} /x HTTP/1.1", body=b'{"a": 1}')

            assert (status(got), body(got)) == (200, b"x")
            assert upstream.seen[0].line.split()[0] == method
            assert upstream.seen[0].body == b'{"a": 1}'

    run(situation())


def test_nothing_is_added_to_a_request_but_who_asks() -> None:
    """No User-Agent, Accept or Accept-Encoding; and names stay spelled as they were."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, upstream):
            await proxy.ask("POST / HTTP/1.1", "X-A: 1\r\nX-B: \xc3\xa9\r\nx-a: 2\r\n", b"{}")

            assert sorted(upstream.seen[0].headers) == [
                ("Content-Length", "2"),
                ("Host", f"127.0.0.1:{upstream.port}"),
                ("X-A", "1"),
                ("X-B", "\xc3\xa9"),
                ("X-Forwarded-For", "127.0.0.1"),
                ("X-Forwarded-Host", "mac.example"),
                ("X-Forwarded-Proto", "http"),
                ("x-a", "2"),
            ]

    run(situation())


def test_answer_passes_with_its_status_reason_and_headers() -> None:
    """Repeated and unknown headers too; nothing says which software this is."""
    head = "X-A: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nDate: then\r\nServer: secret/1\r\n"

    async def situation() -> None:
        async with proxied(answer(head, b"short", "418 I'm a teapot")) as (proxy, _):
            got = await proxy.ask()
            first, pairs = split_head(got.partition(b"\r\n\r\n")[0])

            assert first == "HTTP/1.1 418 I'm a teapot"
            names = [name for name, _ in pairs]
            assert [value for name, value in pairs if name == "Set-Cookie"] == ["a=1", "b=2"]
            assert ("Date", "then") in pairs
            assert ("Content-Length", "5") in pairs
            assert "Server" not in names
            assert body(got) == b"short"

    run(situation())


def test_answer_without_a_content_type_gets_none() -> None:
    """aiohttp would say it is an octet stream; llama-swap's /health says nothing."""

    async def situation() -> None:
        async with proxied(answer(body=b"OK")) as (proxy, _):
            assert "content-type" not in headers(await proxy.ask())

    run(situation())


def test_cookies_of_one_client_are_not_sent_for_another() -> None:
    """The client towards llama-swap remembers nothing."""

    async def situation() -> None:
        async with (
            listening(Upstream(answer("Set-Cookie: session=1; Path=/\r\n"))) as upstream,
            proxy_to(upstream.port, "localhost") as proxy,  # aiohttp keeps none for an address
        ):
            await proxy.ask()
            await proxy.ask()

            assert not upstream.seen[1].all("Cookie")

    run(situation())


@pytest.mark.parametrize("code", ["301 Moved", "302 Found", "308 Permanent Redirect"])
def test_redirects_are_the_client_s_to_follow(code: str) -> None:
    """Followed here, they would be a way to other hosts."""

    async def situation() -> None:
        async with proxied(answer("Location: /ui/\r\n", b"", code)) as (proxy, upstream):
            got = await proxy.ask()

            assert status(got) == int(code[:3])
            assert headers(got)["location"] == "/ui/"
            assert len(upstream.seen) == 1

    run(situation())


def test_head_has_the_length_and_no_body() -> None:
    """And the connection can be used again."""

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")

    async def situation() -> None:
        async with proxied(script) as (proxy, upstream):
            reader, writer = await proxy.begin("HEAD /a HTTP/1.1")
            for _ in range(2):
                head = await read_head(reader)
                assert status(head) == 200
                assert headers(head)["content-length"] == "1234"
                assert "transfer-encoding" not in headers(head)
                writer.write(f"HEAD /b HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\n\r\n".encode())
            writer.close()
            assert upstream.connections == 1

    run(situation())


@pytest.mark.parametrize("first", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_end_at_once(first: str) -> None:
    """No chunked framing, no waiting; the next answer on the connection is read right."""

    async def script(seen: Seen, wire: Wire) -> None:
        if "/a" in seen.line:
            await wire.send(f"HTTP/1.1 {first}\r\nETag: x\r\n\r\n".encode())
        else:
            await answer(body=b"next")(seen, wire)

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            reader, writer = await proxy.begin("GET /a HTTP/1.1")
            head = await read_head(reader)
            assert head.startswith(f"HTTP/1.1 {first}".encode())
            assert not {"transfer-encoding", "content-length"} & set(headers(head))
            writer.write(f"GET /b HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\n\r\n".encode())
            assert status(await read_head(reader)) == 200
            assert await reader.readexactly(4) == b"next"
            writer.close()

    run(situation())


def test_interim_answers_of_the_upstream_are_passed_over() -> None:
    """100 and 103 are not the answer."""

    async def script(seen: Seen, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await answer(body=b"real")(seen, wire)

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            got = await proxy.ask()

            assert (status(got), body(got)) == (200, b"real")

    run(situation())


def test_http_1_0_client_gets_a_plain_stream() -> None:
    """No chunk sizes among the events; the end of the connection is the end."""

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await wire.chunk(b"data: 1\n\n")
        await wire.chunk(b"data: 2\n\n")
        await wire.send(b"0\r\n\r\n")

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            got = await proxy.ask("GET / HTTP/1.0")

            assert "transfer-encoding" not in headers(got)
            assert body(got) == b"data: 1\n\ndata: 2\n\n"

    run(situation())


def offer(protocol: str, line: str = "GET /v1/responses HTTP/1.1", key: str = KEY) -> bytes:
    return (
        f"{line}\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: Upgrade\r\n"
        f"Upgrade: {protocol}\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("protocol", ["websocket", "WebSocket", "TLS/1.0", "h2c, websocket"])
@pytest.mark.parametrize("path", ["/v1/responses", "/ws", "/healthzz", "/v1/realtime?model=x"])
def test_upgrade_is_refused_at_once_and_the_connection_goes_on(protocol: str, path: str) -> None:
    """RFC 9110 15.5.22: with what must be spoken here. Codex falls back to plain HTTP on it."""

    async def situation() -> None:
        async with proxied(answer(body=b"fine")) as (proxy, upstream):
            reader, writer = await proxy.connect()
            for _ in range(2):
                writer.write(offer(protocol, f"GET {path} HTTP/1.1"))
                head = await read_head(reader)
                told = headers(head)
                assert status(head) == 426
                assert (told["upgrade"], told["connection"]) == ("HTTP/1.1", "Upgrade")
                got = await reader.readexactly(int(told["content-length"]))
                assert error(head + got)["code"] == "upgrade_not_supported"
                assert upstream.connections == 0
            writer.write(offer(protocol, key="sk-wrong"))
            head = await read_head(reader)
            assert status(head) == 401
            await reader.readexactly(int(headers(head)["content-length"]))
            common = f"POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            writer.write(f"{common}Content-Length: 5\r\n\r\nhello".encode())
            assert status(await read_head(reader)) == 200
            assert await reader.readexactly(4) == b"fine"
            assert [seen.body for seen in upstream.seen] == [b"hello"]
            writer.close()

    run(situation())


@pytest.mark.parametrize("protocol", ["websocket", "TLS/1.0", "h2c, websocket"])
def test_what_comes_behind_an_upgrade_is_no_request(protocol: str) -> None:
    """It is no HTTP if the client takes itself for upgraded; the connection ends."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, upstream):
            smuggled = f"GET /s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
            got = await proxy.raw(offer(protocol) + smuggled.encode())

            assert status(got) == 426
            assert got.count(b"HTTP/1.1 4") == 1
            assert b"\r\nConnection: close\r\n" in got
            assert upstream.connections == 0

    run(situation())


def test_upgrade_in_http_1_0_is_overlooked() -> None:
    """RFC 9110 7.8 wants it so."""

    async def situation() -> None:
        async with proxied(answer(body=b"fine")) as (proxy, _):
            assert body(await proxy.raw(offer("websocket", "GET / HTTP/1.0"))) == b"fine"

    run(situation())


def test_offer_of_h2c_is_overlooked() -> None:
    """`curl --http2` sends it with its first request, and goes on in HTTP/1.1."""

    async def situation() -> None:
        async with proxied(answer(body=b"fine")) as (proxy, upstream):
            head = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"
            reader, writer = await proxy.begin(head=head + "Content-Length: 5\r\n")
            writer.write(b"hello")
            assert status(await read_head(reader)) == 200
            assert await reader.readexactly(4) == b"fine"
            writer.close()

            assert upstream.seen[0].body == b"hello"
            names = {name.lower() for name, _ in upstream.seen[0].headers}
            assert not {"upgrade", "connection", "http2-settings"} & names

    run(situation())


def test_switch_of_protocol_nobody_asked_for_is_a_broken_answer() -> None:
    """A 101 would turn the connection into something nobody watches."""

    async def situation() -> None:
        head = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        async with proxied(answer(head, b"", "101 Switching Protocols")) as (proxy, _):
            assert status(await proxy.ask()) == 502

    run(situation())


@pytest.mark.parametrize("target", ["CONNECT mac:80", "OPTIONS *", "GET http://evil.example/x"])
def test_target_that_is_no_path_is_refused(target: str) -> None:
    """It would be a request to somebody else."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, upstream):
            got = await proxy.ask(f"{target} HTTP/1.1")

            assert status(got) in (400, 404)
            assert error(got)
            assert upstream.connections == 0

    run(situation())


BROKEN_HEADS = {
    "length and chunked": "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    "two lengths": "Content-Length: 3\r\nContent-Length: 4\r\n",
    "signed length": "Content-Length: +3\r\n",
    "space before colon": "Transfer-Encoding : chunked\r\n",
    "unknown coding": "Transfer-Encoding: xchunked\r\n",
    "coding before chunked": "Transfer-Encoding: gzip, chunked\r\n",
    "NUL": "X-A: a\x00b\r\n",
    "folded": "X-A: a\r\n b\r\n",
    "bare CR": "X-A: a\rX-B: b\r\n",
    "not UTF-8": "X-A: caf\xe9\r\n",
}


@pytest.mark.parametrize("head", BROKEN_HEADS.values(), ids=BROKEN_HEADS)
def test_head_that_programs_read_differently_is_refused(head: str) -> None:
    """What llama-swap might read as two requests, or as another one, never gets there."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, upstream):
            reader, writer = await proxy.begin(head=head)
            writer.write(b"3\r\nabc\r\n0\r\n\r\n")
            async with asyncio.timeout(2):
                first = await read_head(reader)
            writer.close()

            assert status(first) == 400
            assert upstream.connections == 0

    run(situation())


@pytest.mark.parametrize("hosts", ["", "Host: a\r\nHost: b\r\n"])
def test_request_for_no_host_or_two_is_refused(hosts: str) -> None:
    """RFC 9112 3.2; HTTP/1.0 knew none."""

    async def situation() -> None:
        async with proxied(answer()) as (proxy, upstream):
            key = f"Authorization: Bearer {KEY}\r\nConnection: close\r\n\r\n"
            got = await proxy.raw(f"GET / HTTP/1.1\r\n{hosts}{key}".encode())
            assert status(got) == 400
            assert not upstream.seen
            got = await proxy.raw(f"GET / HTTP/1.0\r\n{key}".encode())
            assert status(got) == 200

    run(situation())


def test_requests_of_a_client_that_has_left_are_not_begun() -> None:
    """It sent two, and left while the first was answered."""

    async def script(seen: Seen, wire: Wire) -> None:
        if "/warm" in seen.line:
            await asyncio.sleep(0.1)
            await answer()(seen, wire)
        else:
            await wire.closed_by_peer()

    async def situation() -> None:
        async with proxied(script) as (proxy, upstream):
            await asyncio.gather(*[proxy.ask("GET /warm HTTP/1.1") for _ in range(2)])
            _, writer = await proxy.connect()
            one = f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
            writer.write(one * 2)
            await until(lambda: len(upstream.seen) == 3)
            writer.close()
            await until(lambda: not proxy.engine.clients)
            await asyncio.sleep(0.1)
            assert len(upstream.seen) == 3

    run(situation())


def test_malformed_request_body_never_looks_whole_to_the_upstream() -> None:
    """What came before passes; the end of a body that has none does not."""
    rest: list[bytes] = []

    async def script(_: Seen, wire: Wire) -> None:
        rest.append(await wire.reader.read())

    async def situation() -> None:
        async with proxied(script, reads_body=False) as (proxy, _):
            _, writer = await proxy.begin(head="Transfer-Encoding: chunked\r\n")
            writer.write(b"3\r\nabc\r\n")
            await asyncio.sleep(0.1)
            writer.write(b"nonsense\r\n0\r\n\r\n")
            await asyncio.sleep(0.1)
            writer.close()
            await until(lambda: rest)

            assert b"abc" in rest[0]
            assert b"nonsense" not in rest[0]
            assert not rest[0].endswith(b"0\r\n\r\n")

    run(situation())


def test_pipelined_requests_are_answered_in_order() -> None:
    """Each with its own key check."""

    async def script(seen: Seen, wire: Wire) -> None:
        await answer(body=seen.line.split()[1].encode())(seen, wire)

    async def situation() -> None:
        async with proxied(script) as (proxy, upstream):
            good = f"Host: x\r\nAuthorization: Bearer {KEY}\r\n"
            got = await proxy.raw(
                f"GET /1 HTTP/1.1\r\n{good}\r\n"
                "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
                f"GET /3 HTTP/1.1\r\n{good}Connection: close\r\n\r\n".encode()
            )

            assert [seen.line.split()[1] for seen in upstream.seen] == ["/1", "/3"]
            parts = got.split(b"HTTP/1.1 ")[1:]
            assert [part[:3] for part in parts] == [b"200", b"401", b"200"]
            assert parts[0].endswith(b"/1")
            assert parts[2].endswith(b"/3")

    run(situation())


@pytest.mark.parametrize("ends", [False, True])
def test_thousands_of_requests_in_one_read_leave_time_for_others(ends: bool) -> None:
    """All are answered, also to a client that sends no more; one loop over them took 0.6 s."""
    many = 9000

    async def situation() -> None:
        async with proxied(answer()) as (proxy, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, limit=2**24)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * many)
            if ends:
                writer.write_eof()
            longest, got, last = 0.0, b"", asyncio.get_running_loop().time()
            while got.count(b"HTTP/1.1 401 ") < many:
                with suppress(TimeoutError):
                    got += await asyncio.wait_for(reader.read(2**16), 0.001)
                now = asyncio.get_running_loop().time()
                longest, last = max(longest, now - last), now
                assert not reader.at_eof() or got.count(b"HTTP/1.1 401 ") == many
            writer.close()

            assert longest < 0.25

    run(situation())


def test_small_writes_are_not_held_back_by_the_kernel() -> None:
    """TCP_NODELAY on both sides: Nagle would add 40 ms to a token."""

    async def situation() -> None:
        async with listening(Upstream(answer())) as upstream, proxy_to(upstream.port) as proxy:
            reader, writer = await proxy.begin("GET / HTTP/1.1")
            await read_head(reader)
            [client] = proxy.engine.clients
            [above] = proxy.engine.pool.idle
            for connection in (client, above):
                inside = connection.transport.get_extra_info("socket")
                assert inside.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            writer.close()

    run(situation())


def test_answer_that_ends_with_its_connection_is_whole() -> None:
    """An HTTP/1.0 upstream has no other way to end one."""

    async def script(_: Seen, wire: Wire) -> None:
        await wire.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        wire.writer.close()

    async def situation() -> None:
        async with proxied(script) as (proxy, _):
            reader, writer = await proxy.begin()
            await read_head(reader)
            got = [chunk async for chunk in read_chunks(reader)]
            writer.close()

            assert b"".join(got) == b"all of it"

    run(situation())


def test_header_of_other_bytes_in_an_answer_is_left_out() -> None:
    """It cannot be passed on; the answer can."""

    async def situation() -> None:
        async with proxied(answer("X-Name: caf\xe9\r\nX-Other: a\r\n", b"hi")) as (proxy, _):
            got = await proxy.ask()

            assert (status(got), body(got)) == (200, b"hi")
            assert "x-name" not in headers(got)
            assert headers(got)["x-other"] == "a"

    run(situation())
