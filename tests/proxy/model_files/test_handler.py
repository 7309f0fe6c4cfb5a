"""Model files over sockets: who gets them, which part, and how a transfer ends."""

import asyncio
import gc
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxy.certificate import Certificate
from proxy.limits import Limits
from tests.proxy.support.files import (
    ADMIN,
    ANNA,
    PEER,
    Site,
    ask,
    journal,
    open_files,
    put,
    read_answer,
    read_head,
    request,
    sha256_of,
    site,
)
from tests.proxy.support.policy import entry
from tests.proxy.support.proxy import ROOT, STREAM_HEAD, Seen, Wire, command, run, until
from tests.proxy.support.tls import make, trusting

SMALL = b"0123456789"
MB = 2**20


def random_file(top: Path, size: int) -> tuple[str, bytes]:
    content = random.Random(size).randbytes(MB) * (size // MB)
    return put(top, f"{size}.gguf", content), content


def tried(directory: Path, test: Callable[[Site], Awaitable[None]], **how: object) -> None:
    async def situation() -> None:
        async with site(directory, **how) as made:  # type: ignore[arg-type]
            await test(made)

    run(situation(), 60)


def sending() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "file"]


class TestWhoGetsWhat:
    """Scopes, grants, and what is not there."""

    @pytest.mark.parametrize("path", ["/files", "/files/{}"])
    def test_the_scope_files_opens_these_and_nothing_else(self, tmp_path: Path, path: str) -> None:
        async def test(site: Site) -> None:
            line = "GET " + path.format(put(site.models / "model", "a", SMALL))
            assert (await site.ask(line)).status == 200
            assert (await site.ask(line, ANNA)).status == 404
            assert (await site.ask(line, ADMIN)).status == 404
            assert (await site.ask(line, None)).status == 401
            assert (await site.ask(line, "sk-herd-nobody-0123456789")).status == 401
            assert (await site.ask("GET /v1/models")).status == 403
            for other in ("/running", "/metrics", "/admin/usage", "/upstream/a/b"):
                assert (await site.ask(f"GET {other}")).status == 404
            assert (await site.ask(line.replace("GET", "POST"))).status == 405
            assert (await site.ask(line.replace("GET", "DELETE"))).status == 405

        tried(tmp_path, test)

    def test_without_a_directory_there_is_no_such_path(self, tmp_path: Path) -> None:
        async def test(site: Site) -> None:
            path = "/files/" + put(site.models / "model", "a", SMALL)
            for key in (PEER, ANNA):
                unknown = await site.ask("GET /nothing", key)
                for line in ("GET /files", f"GET {path}", "HEAD /files"):
                    found = await site.ask(line, key)
                    assert found.status == unknown.status == 404
                    assert found.body in (unknown.body, b"")

        tried(tmp_path, test, serves=False)

    def test_a_grant_lets_in_until_it_goes_or_expires(self, tmp_path: Path) -> None:
        key = "sk-herd-lent-0123456789-abcdefghijk"

        async def test(site: Site) -> None:
            async def status() -> int:
                await asyncio.sleep(0.01)  # longer than looks are shared
                return (await site.ask("GET /files", key)).status

            assert await status() == 401
            site.grant(entry("peers", key, scopes=["files"], expires="2999-01-01"))
            assert await status() == 200
            site.grant(entry("peers", key, scopes=["files"], expires="2001-01-01"))
            assert await status() == 401
            site.grant(entry("peers", key, scopes=["admin", "inference"]))
            assert await status() == 200
            assert (await site.ask("GET /running", key)).status == 404
            assert (await site.ask("POST /v1/chat/completions", key)).status == 403
            site.grants.write_text("{")
            assert await status() == 401
            assert (await site.ask("GET /files")).status == 200
            site.grants.unlink()
            assert await status() == 401

        tried(tmp_path, test)

    def test_the_list_has_what_is_whole_and_what_is_under_way(self, tmp_path: Path) -> None:
        async def test(site: Site) -> None:
            assert json.loads((await site.ask("GET /files")).body) == {"data": []}
            await asyncio.sleep(0.4)
            whole = put(site.models / "model", "a", SMALL)
            partly = sha256_of(b"partly")
            journal(site.models / "model", "b", sha256=partly, size=9, have=9, ranges=[[0, 9]])
            journal(site.models / "model", "c", sha256=whole, size=10, have=1, ranges=[[0, 1]])
            found = await site.ask("GET /files")
            told = [
                {"sha256": whole, "size": 10, "have": 10},
                {"sha256": partly, "size": 9, "have": 8},
            ]
            assert json.loads(found.body) == {
                "data": sorted(told, key=lambda row: str(row["sha256"]))
            }
            head = await site.ask("HEAD /files")
            assert head.headers["content-length"] == str(len(found.body))
            assert (await site.ask(f"GET /files/{partly}")).status == 404

        tried(tmp_path, test)

    def test_only_the_very_file_is_served(self, tmp_path: Path) -> None:
        """Not one that was cut since, not by another name, and never by a path."""

        async def test(site: Site) -> None:
            top = site.models / "model"
            cut, good = put(top, "cut", SMALL), put(top, "good", b"good")
            assert (await site.ask(f"GET /files/{cut}")).body == SMALL
            os.truncate(top / "cut", 5)
            assert (await site.ask(f"GET /files/{cut}")).status == 404
            for path in (
                f"/files/{good.upper()}", f"/files/{good}/", f"/files/{good}0", "/files/",
                "/files/model/good", "/files/" + "0" * 64, f"/filesx/{good}",
            ):  # fmt: skip
                assert (await site.ask(f"GET {path}")).status == 404, path
            for path in (
                f"/files//{good}", f"/files/../files/{good}", f"/files/%2e%2e/{good}",
                f"/files/{good}%00", f"/files/./{good}", f"/files\\{good}", f"/files/{good};a",
            ):  # fmt: skip
                assert (await site.ask(f"GET {path}")).status == 400, path
            assert (await site.ask(f"GET /files/{good}?a=b")).body == b"good"

        tried(tmp_path, test)


class TestParts:
    """Ranges, over plain HTTP."""

    def test_each_range_is_that_part_with_its_headers(self, tmp_path: Path) -> None:
        async def test(site: Site) -> None:
            sha256 = put(site.models / "model", "a", SMALL)
            line = f"GET /files/{sha256}"
            for asked, part, told in (
                ("bytes=0-0", b"0", "0-0"), ("bytes=2-4", b"234", "2-4"),
                ("bytes=7-", b"789", "7-9"), ("bytes=-2", b"89", "8-9"),
                ("bytes=8-99", b"89", "8-9"),
            ):  # fmt: skip
                found = await site.ask(line, Range=asked)
                assert (found.status, found.body) == (206, part)
                assert found.headers["content-range"] == f"bytes {told}/10"
                assert found.headers["etag"] == f'"{sha256}"'
            whole = await site.ask(line, Range="bytes=0-1,4-5")
            assert (whole.status, whole.body) == (200, SMALL)
            assert whole.headers["accept-ranges"] == "bytes"
            assert "content-range" not in whole.headers
            beyond = await site.ask(line, Range="bytes=10-")
            assert beyond.status == 416
            assert beyond.headers["content-range"] == "bytes */10"
            assert json.loads(beyond.body)["error"]["code"] == "range_not_satisfiable"
            same = await site.ask(line, Range="bytes=1-2", If_Range=f'"{sha256}"')
            assert (same.status, same.body) == (206, b"12")
            other = await site.ask(line, Range="bytes=1-2", If_Range='"other"')
            assert (other.status, other.body) == (200, SMALL)

        tried(tmp_path, test)

    def test_head_tells_of_the_file_and_sends_nothing_of_it(self, tmp_path: Path) -> None:
        async def test(site: Site) -> None:
            sha256 = put(site.models / "model", "a", SMALL)
            reader, writer = await site.connect()
            for _ in range(3):
                found = await ask(reader, writer, f"HEAD /files/{sha256}", Range="bytes=2-3")
                assert (found.status, found.headers["content-length"]) == (200, "10")
            assert (await ask(reader, writer, f"GET /files/{sha256}")).body == SMALL
            writer.close()

        tried(tmp_path, test)

    def test_an_empty_file_and_one_byte(self, tmp_path: Path) -> None:
        async def test(site: Site) -> None:
            empty, one = put(site.models / "m", "e", b""), put(site.models / "m", "o", b"1")
            assert (await site.ask(f"GET /files/{empty}")).body == b""
            assert (await site.ask(f"GET /files/{empty}", Range="bytes=0-")).status == 416
            assert (await site.ask(f"GET /files/{one}", Range="bytes=0-")).body == b"1"

        tried(tmp_path, test)

    def test_requests_behind_each_other_are_answered_in_their_order(self, tmp_path: Path) -> None:
        """Files, ranges, lists and models, all sent before the first answer is read."""

        async def test(site: Site) -> None:
            sha256, content = random_file(site.models / "model", 3 * MB)
            reader, writer = await site.connect()
            lines = []
            for number in range(40):
                first = number * 70_000
                lines.append(
                    request(f"GET /files/{sha256}", Range=f"bytes={first}-{first + 99_999}")
                )
                lines.append(request("GET /files"))
            lines.append(request(f"GET /files/{sha256}"))
            lines.append(request("GET /v1/models"))
            writer.write(b"".join(lines))
            for number in range(40):
                first = number * 70_000
                part = await read_answer(reader)
                assert part.body == content[first : first + 100_000]
                assert b'"size": 3145728' in (await read_answer(reader)).body
            assert (await read_answer(reader)).body == content
            assert (await read_answer(reader)).status == 403
            writer.close()

        tried(tmp_path, test)

    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    def test_a_connection_that_is_to_end_ends_behind_the_file(
        self, tmp_path: Path, version: str
    ) -> None:
        async def test(site: Site) -> None:
            sha256, content = random_file(site.models / "model", MB)
            reader, writer = await site.connect()
            text = request(f"GET /files/{sha256}", Connection="close").decode()
            writer.write(text.replace("HTTP/1.1", f"HTTP/{version}").encode())
            got = await reader.read()
            assert got.partition(b"\r\n\r\n")[2] == content
            writer.close()

        tried(tmp_path, test)


class TestTransfers:
    """Large files, slow clients and ends in the middle."""

    def test_a_large_file_arrives_as_it_is_and_its_line_tells_its_bytes(
        self, tmp_path: Path
    ) -> None:
        async def test(site: Site) -> None:
            sha256, _ = random_file(site.models / "model", 20 * MB)
            found = await site.ask(f"GET /files/{sha256}")
            assert sha256_of(found.body) == sha256
            await until(lambda: site.log.lines)
            line = site.log.lines[-1]
            assert (line.key, line.status, line.sent, line.note) == ("peer", 200, 20 * MB, "-")
            metrics = await site.ask("GET /metrics", ADMIN)
            assert b'proxy_requests_total{key="peer",model="-",status="200"} 1.0' in metrics.body

        tried(tmp_path, test)

    def test_over_tls_as_well(self, tmp_path: Path) -> None:
        make(tmp_path, "localhost")
        certificate = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")

        async def test(site: Site) -> None:
            sha256, content = random_file(site.models / "model", 20 * MB)
            reader, writer = await site.connect()
            whole = await ask(reader, writer, f"GET /files/{sha256}")
            assert sha256_of(whole.body) == sha256
            part = await ask(reader, writer, f"GET /files/{sha256}", Range="bytes=-1000000")
            assert part.body == content[-1_000_000:]
            assert (await ask(reader, writer, f"HEAD /files/{sha256}")).status == 200
            writer.close()
            await until(lambda: not site.engine.clients)
            gc.disable()
            try:
                before = open_files()
                for number in range(5):
                    reader, writer = await site.connect()
                    writer.write(request(f"GET /files/{sha256}"))
                    await read_head(reader)
                    writer.transport.abort()
                    await until(lambda number=number: len(site.log.lines) == 4 + number)
                    assert site.log.lines[-1].note == "cancelled"
                    assert site.log.lines[-1].sent < 20 * MB
                await until(lambda: open_files() <= before)
            finally:
                gc.enable()

        tried(tmp_path, test, tls=(certificate.context, trusting(tmp_path)))

    def test_a_client_that_leaves_in_the_middle_ends_the_transfer_at_once(
        self, tmp_path: Path
    ) -> None:
        async def test(site: Site) -> None:
            sha256, _ = random_file(site.models / "model", 40 * MB)
            for leave in (socket.SHUT_RDWR, None):
                reader, writer = await slow(site, sha256)
                await reader.readexactly(4 * MB)
                assert sending()
                if leave is None:
                    writer.transport.abort()
                else:
                    writer.close()
                await until(lambda: not sending())
                await until(lambda: not site.engine.clients)
                line = site.log.lines[-1]
                assert (line.status, line.note) == (200, "cancelled")
                assert 3 * MB <= line.sent < 40 * MB, "but for what one sendfile was at"
            assert (await site.ask("GET /files")).status == 200

        tried(tmp_path, test)

    def test_a_slow_client_gets_all_of_it_and_one_that_stands_still_is_left(
        self, tmp_path: Path
    ) -> None:
        async def test(site: Site) -> None:
            sha256, content = random_file(site.models / "model", 12 * MB)
            reader, writer = await slow(site, sha256)
            got = bytearray()
            while len(got) < len(content):
                got += await reader.read(600_000)
                await asyncio.sleep(0.05)
            assert got == content
            assert site.log.lines[-1].note == "-"
            still, idle = await slow(site, sha256)
            await until(lambda: len(site.log.lines) == 2, 10)
            assert site.log.lines[-1].note == "cancelled"
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await still.readexactly(12 * MB)
            writer.close()
            idle.close()

        tried(tmp_path, test, limits=Limits(send_seconds=1.0, clock_seconds=0.1))

    def test_a_revoked_key_ends_its_transfers_and_no_others(self, tmp_path: Path) -> None:
        async def test(site: Site) -> None:
            sha256, content = random_file(site.models / "model", 40 * MB)
            lent = "sk-herd-lent-0123456789-abcdefghijk"
            site.grant(entry("peers", lent))
            mine = await slow(site, sha256)
            theirs = await slow(site, sha256, lent)
            await until(lambda: len(sending()) == 2)
            site.grant()
            await until(lambda: site.log.lines)
            assert (site.log.lines[0].key, site.log.lines[0].note) == (
                "peers", "broken off: key revoked",
            )  # fmt: skip
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await theirs[0].readexactly(len(content))
            assert await mine[0].readexactly(len(content)) == content
            for _, writer in (mine, theirs):
                writer.close()

        tried(tmp_path, test)

    def test_so_many_at_once_and_the_next_is_told_to_come_back(self, tmp_path: Path) -> None:
        async def test(site: Site) -> None:
            sha256, content = random_file(site.models / "model", 20 * MB)
            open_ = [await slow(site, sha256) for _ in range(2)]
            refused = await site.ask(f"GET /files/{sha256}")
            assert refused.status == 503
            assert refused.headers["retry-after"] == "2"
            assert json.loads(refused.body)["error"]["code"] == "too_many_files"
            assert (await site.ask("GET /files")).status == 200
            assert (await site.ask(f"HEAD /files/{sha256}")).status == 200
            for reader, writer in open_:
                assert await reader.readexactly(len(content)) == content
                writer.close()
            assert (await site.ask(f"GET /files/{sha256}")).body == content

        tried(tmp_path, test, limits=Limits(files=2))

    def test_a_file_that_becomes_shorter_is_not_told_to_be_whole(self, tmp_path: Path) -> None:
        async def test(site: Site) -> None:
            sha256, content = random_file(site.models / "model", 40 * MB)
            reader, writer = await slow(site, sha256)
            os.truncate(site.models / "model" / f"{40 * MB}.gguf", 30 * MB)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(len(content))
            await until(lambda: site.log.lines)
            assert site.log.lines[0].note == "broken off: the file became shorter"
            writer.close()

        tried(tmp_path, test)

    def test_nothing_stays_open(self, tmp_path: Path) -> None:
        """Whole, broken off, refused and asked for by HEAD."""

        async def test(site: Site) -> None:
            sha256, _ = random_file(site.models / "model", 8 * MB)

            async def several() -> None:
                await site.ask(f"GET /files/{sha256}")
                await site.ask(f"HEAD /files/{sha256}")
                await site.ask(f"GET /files/{sha256}", Range="bytes=99999999-")
                for _ in range(3):
                    _, writer = await slow(site, sha256)
                    writer.transport.abort()
                _, writer = await site.connect()
                writer.write(request(f"GET /files/{sha256}"))
                writer.transport.abort()
                await until(lambda: not (site.engine.clients or sending()))

            await several()
            gc.disable()
            try:
                before = open_files()
                for _ in range(8):
                    await several()
                await until(lambda: open_files() <= before)
            finally:
                gc.enable()

        tried(tmp_path, test)

    def test_tokens_go_on_while_files_leave(self, tmp_path: Path) -> None:
        """Eight downloads at once beside a stream with an event each 10 ms."""

        async def script(_: Seen, wire: Wire) -> None:
            await wire.send(STREAM_HEAD)
            for _ in range(150):
                await wire.chunk(b"data: {}\n\n")
                await asyncio.sleep(0.01)
            await wire.send(b"0\r\n\r\n")

        async def test(site: Site) -> None:
            sha256, _ = random_file(site.models / "model", 64 * MB)
            fetches = [
                await asyncio.create_subprocess_exec(
                    sys.executable, "-c", FETCH, str(site.port), sha256, PEER,
                    stdout=subprocess.PIPE,
                )
                for _ in range(8)
            ]  # fmt: skip
            reader, writer = await site.connect()
            text = request("GET /props?model=a", ANNA)
            writer.write(text)
            await read_head(reader)
            gaps, last = [], time.monotonic()
            while (line := await reader.readline()) != b"0\r\n":
                if line.startswith(b"data"):
                    gaps.append(time.monotonic() - last)
                    last = time.monotonic()
            told = [(await fetch.communicate())[0].decode().split() for fetch in fetches]
            assert {tuple(words[:1]) for words in told} == {(sha256,)}
            assert len(gaps) == 150
            gaps.sort()
            assert gaps[75] < 0.05
            assert gaps[-1] < 0.5
            writer.close()

        tried(tmp_path, test, script=script)


FETCH = """
import hashlib, http.client, sys
port, sha256, key = sys.argv[1:]
found = hashlib.sha256()
connection = http.client.HTTPConnection("127.0.0.1", int(port))
connection.request("GET", "/files/" + sha256, headers={"Authorization": "Bearer " + key})
answer = connection.getresponse()
while data := answer.read(2**18):
    found.update(data)
print(found.hexdigest())
"""


async def slow(
    site: Site, sha256: str, key: str = PEER
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client with small buffers, which has read the head of its answer and no more."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", site.port))
    reader, writer = await asyncio.open_connection(sock=peer, limit=65536)
    writer.write(request(f"GET /files/{sha256}", key))
    status, _ = await read_head(reader)
    assert status == 200
    return reader, writer


def fetched(port: int, sha256: str) -> str:
    """By a client in this thread, which keeps nothing; the SHA-256 of what came."""
    found = hashlib.sha256()
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(request(f"GET /files/{sha256}", Connection="close"))
        data = b""
        while b"\r\n\r\n" not in data:
            data += peer.recv(65536)
        found.update(data.partition(b"\r\n\r\n")[2])
        while data := peer.recv(2**20):
            found.update(data)
    return found.hexdigest()


def started(directory: Path, *more: str) -> tuple[subprocess.Popen[str], int]:
    """The program, and its port."""
    (directory / "config.json").write_text(
        json.dumps({"apiKeys": [entry("peer", PEER, scopes=["files"])]})
    )
    process = subprocess.Popen(
        command("serve", "--config", str(directory / "config.json"), "--listen", "127.0.0.1:0",
                "--files", str(directory / "m"), "--grants", str(directory / "peers.json"), *more),
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr
    line = next(line for line in process.stderr if "listening on" in line)
    return process, int(line.split("listening on 127.0.0.1:")[1].split(",")[0])


def test_a_transfer_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A stream of tokens would be waited for; who fetches a file goes on elsewhere, or later."""
    sha256, content = random_file(tmp_path / "m" / "model", 40 * MB)
    process, port = started(tmp_path, "--drain", "10")
    try:
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(request(f"GET /files/{sha256}"))
            assert peer.recv(100).startswith(b"HTTP/1.1 200 ")
            begun = time.monotonic()
            process.terminate()
            assert process.wait(5) == 0
            assert time.monotonic() - begun < 2
            rest = 0
            try:
                while data := peer.recv(MB):
                    rest += len(data)
            except ConnectionError:
                pass
            assert rest < len(content)
        assert process.stderr
        told = process.stderr.read()
        assert 'note="broken off: the proxy ends"' in told
        assert "ending, 1 requests broken off" in told
    finally:
        process.kill()
        process.communicate()


@pytest.mark.soak
def test_a_very_large_file_arrives_as_it_is(tmp_path: Path) -> None:
    sha256, _ = random_file(tmp_path / "m" / "model", 300 * MB)
    process, port = started(tmp_path)
    try:
        assert fetched(port, sha256) == sha256
    finally:
        process.kill()
        process.communicate()
