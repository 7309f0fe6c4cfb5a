"""The dashboard's login: who gets a session, and which requests may act by it."""

import asyncio
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.accounting.charging import Ticket
from proxy.exchange import Reply, Request
from proxy.policy import login, policy
from tests.proxy.support.policy import ANNA, ROOT, STANDARD, Desk, entry

OWN = {"Host": "mac.example:3000", "Origin": "http://mac.example:3000",
       "Sec_Fetch_Site": "same-origin"}  # fmt: skip
PAGE = {"Host": "mac.example:3000", "Accept": "text/html,*/*", "Sec_Fetch_Mode": "navigate"}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(policy, "TICK", 0.02)
    return Desk(tmp_path / "config.json")


def post(desk: Desk, key: str, **headers: str) -> Reply:
    body = urlencode({"key": key}).encode()
    return asyncio.run(desk.answer("POST /login", body=body, **(headers or OWN)))


def cookie(reply: Reply) -> str:
    return dict(reply.headers)["Set-Cookie"].partition(";")[0]


def status(desk: Desk, line: str, **headers: str) -> int:
    async def situation() -> int:
        return desk.status(line, **headers)

    return asyncio.run(situation())


def test_browser_without_a_session_is_sent_to_the_form(desk: Desk) -> None:
    """And a program is told 401."""
    reply = asyncio.run(desk.answer("GET /ui/", **PAGE))
    form = asyncio.run(desk.answer("GET /login", **PAGE))

    assert (reply.status, dict(reply.headers)["Location"]) == (303, "/login")
    assert (form.status, b'<form method="post" action="/login">' in form.body) == (200, True)
    assert "frame-ancestors 'none'" in dict(form.headers)["Content-Security-Policy"]
    assert status(desk, "GET /running", Accept="*/*") == 401


def test_admin_key_gives_a_session_that_opens_the_dashboard(desk: Desk) -> None:
    """The cookie is out of reach of scripts and of other sites."""
    reply = post(desk, ROOT)
    given = dict(reply.headers)["Set-Cookie"]

    assert (reply.status, dict(reply.headers)["Location"]) == (303, "/ui/")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(given.split("; "))
    assert ROOT not in given
    assert status(desk, "GET /ui/", Cookie=cookie(reply), **PAGE, Sec_Fetch_Site="none") == 0
    assert status(desk, "POST /api/models/unload", Cookie=cookie(reply), **OWN) == 0
    assert status(desk, "GET /metrics", Cookie=cookie(reply), **OWN) == 404


def asked(host: str, scheme: str = "http") -> Request:
    headers = CIMultiDictProxy(CIMultiDict({"Host": host}))
    return Request(
        id="", method="GET", target="/", path="/", query="", headers=headers, raw_headers=(),
        version=(1, 1), client="", scheme=scheme, started=0, abort=print,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("host", "name"),
    [("127.0.0.1:3000", "herd-3000"), ("[::1]:49152", "herd-49152"), ("mac", "herd"),
     ("[fe80::1]", "herd"), ("", "herd")],
)  # fmt: skip
def test_dashboards_on_other_ports_of_a_host_have_other_cookies(host: str, name: str) -> None:
    """As several tunnels are: to a browser they are one place, and the last login would count."""
    assert login.set_cookie(asked(host), "id")[1].startswith(f"{name}=id;")


def test_cookie_over_tls_is_for_this_host_only() -> None:
    """Its name makes browsers insist on that."""
    name, value = login.set_cookie(asked("mac.example", "https"), "id")

    assert name == "Set-Cookie"
    assert value.startswith("__Host-herd=id; Path=/;")
    assert value.endswith("; Secure")


@pytest.mark.parametrize("key", ["", "wrong", ANNA, "sk-herd-old-0123456789-abcdefghij"])
def test_others_get_none(desk: Desk, key: str) -> None:
    """Not a key without the scope, not an expired one."""
    old = entry("old", "sk-herd-old-0123456789-abcdefghij", scopes=["admin"], expires="2020-01-01")
    desk.write(*STANDARD, old)
    reply = post(desk, key)

    assert reply.status == 401
    assert "Set-Cookie" not in dict(reply.headers)
    assert key.encode() not in reply.body or not key


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "mac.example:3000"},
        {"Host": "mac.example:3000", "Origin": "http://evil.example"},
        {"Host": "mac.example:3000", "Origin": "http://mac.example:9999"},
        {"Host": "mac.example:3000", "Origin": "https://mac.example:3000"},
        {"Host": "mac.example:3000", "Origin": "null"},
        {**OWN, "Sec_Fetch_Site": "cross-site"},
        {**OWN, "Sec_Fetch_Site": "same-site"},
    ],
)
def test_other_sites_can_neither_log_in_nor_act(desk: Desk, headers: dict[str, str]) -> None:
    """Even if the browser sent the cookie along."""
    assert post(desk, ROOT, **headers).status == 403
    session = cookie(post(desk, ROOT))
    for line in ("POST /api/models/unload", "GET /unload", "GET /upstream/gpt-oss/health"):
        assert status(desk, line, Cookie=session, **headers) == 403


@pytest.mark.parametrize(
    ("site", "mode", "allowed"),
    [("none", "navigate", 0), ("same-site", "navigate", 0), ("same-site", "no-cors", 403),
     ("cross-site", "cors", 403), ("same-origin", "cors", 0)],
)  # fmt: skip
def test_what_is_only_shown_may_be_followed_to_but_not_embedded(
    desk: Desk, site: str, mode: str, allowed: int
) -> None:
    """By a link or a bookmark."""
    session = cookie(post(desk, ROOT))
    headers = {"Host": "mac.example:3000", "Sec_Fetch_Site": site, "Sec_Fetch_Mode": mode}

    assert status(desk, "GET /ui/", Cookie=session, **headers) == allowed


def test_session_ends(desk: Desk) -> None:
    """By a logout, by time, and with its key."""
    sessions = [cookie(post(desk, ROOT)) for _ in range(2)]
    out = asyncio.run(desk.answer("POST /logout", Cookie=sessions[0], **OWN))
    assert "Max-Age=0" in dict(out.headers)["Set-Cookie"]
    assert [status(desk, "GET /running", Cookie=id_, **OWN) for id_ in sessions] == [401, 0]

    desk.write(*[item for item in STANDARD if item != STANDARD[2]])
    assert status(desk, "GET /running", Cookie=sessions[1], **OWN) == 401
    desk.write(*STANDARD)
    assert status(desk, "GET /running", Cookie=sessions[1], **OWN) == 0
    desk.now += login.SECONDS
    assert status(desk, "GET /running", Cookie=sessions[1], **OWN) == 401


@pytest.mark.parametrize("other", ["address", "browser", "name"])
def test_a_cookie_is_of_the_client_that_logged_in(desk: Desk, other: str) -> None:
    """Whoever read it on its way, or on another port of this host, has no use of it."""
    mine = {**OWN, "User-Agent": "mine"}
    session = cookie(post(desk, ROOT, **mine))
    assert status(desk, "GET /running", Cookie=session, **mine) == 0

    theirs = dict(mine)
    if other == "address":
        desk.client = "10.0.0.66"
    elif other == "browser":
        theirs["User-Agent"] = "theirs"
    else:
        theirs |= {"Host": "evil.example:3000", "Origin": "http://evil.example:3000"}
    assert status(desk, "GET /running", Cookie=session, **theirs) == 401
    desk.client = "10.0.0.9"
    assert status(desk, "GET /running", Cookie=session, **mine) == 0


def watching(desk: Desk, line: str = "GET /logs/stream", **headers: str) -> None:
    """A stream of the dashboard, under way."""
    request = desk.request(line, **headers)
    assert isinstance(desk.meet(request, "gpt-oss"), Ticket)


async def ticks(desk: Desk) -> list[str]:
    """Why streams were broken off, after two looks at what runs."""
    async with asyncio.timeout(30):
        for _ in range(2):
            timer = desk.policy._timer
            while timer and desk.policy._timer is timer:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
    return desk.aborted


LINES = ["GET /logs/stream", "GET /api/events", "POST /v1/chat/completions"]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("how", ["logout", "hours", "key"])
def test_streams_of_a_session_end_with_it(desk: Desk, line: str, how: str) -> None:
    session = cookie(post(desk, ROOT))

    async def main() -> None:
        watching(desk, line, Cookie=session, **OWN)
        assert await ticks(desk) == []
        if how == "logout":
            await desk.answer("POST /logout", Cookie=session, **OWN)
        elif how == "hours":
            desk.now += login.SECONDS
        else:
            desk.write(*[item for item in STANDARD if item != STANDARD[2]])
        assert set(await ticks(desk)) == {
            "broken off: key revoked" if how == "key" else "broken off: session ended"
        }

    asyncio.run(main())


def test_another_session_of_the_same_key_goes_on(desk: Desk) -> None:
    mine, other = cookie(post(desk, ROOT)), cookie(post(desk, ROOT))

    async def main() -> None:
        watching(desk, Cookie=mine, **OWN)
        await desk.answer("POST /logout", Cookie=other, **OWN)
        assert await ticks(desk) == []

    asyncio.run(main())


CHANGES: dict[str, dict[str, object]] = {
    "key lost its scope": {"scopes": ["metrics"]},
    "key lost its model": {"scopes": ["admin", "inference"], "models": ["qwen*"]},
    "key expired": {"scopes": ["admin", "inference"], "expires": "2020-01-01"},
}


@pytest.mark.parametrize("by", ["session", "header"])
@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("GET /logs/stream", "key lost its scope"),
        ("GET /upstream/gpt-oss/", "key lost its scope"),
        ("GET /api/events", "key expired"),
        ("POST /v1/chat/completions", "key lost its scope"),
        ("POST /v1/chat/completions", "key lost its model"),
        ("POST /v1/messages", "key lost its model"),
    ],
)
def test_a_stream_ends_when_its_key_would_no_longer_open_it(
    desk: Desk, line: str, why: str, by: str
) -> None:
    """Whether the key was shown with the request or at a login."""
    shown = {"Cookie": cookie(post(desk, ROOT))} if by == "session" else {"x-api-key": ROOT}

    async def main() -> None:
        watching(desk, line, **OWN, **shown)
        changed = entry("root", ROOT, **CHANGES[why])
        desk.write(*[changed if item == STANDARD[2] else item for item in STANDARD])
        assert set(await ticks(desk)) == {f"broken off: {why}"}

    asyncio.run(main())


def test_what_a_changed_key_still_opens_goes_on(desk: Desk) -> None:
    """And a completion may finish behind the end of its key."""

    async def main() -> None:
        watching(desk, "POST /v1/chat/completions", **{"x-api-key": ROOT})
        changed = entry("root", ROOT, models=["gpt-*"], expires="2020-01-01")
        desk.write(*[changed if item == STANDARD[2] else item for item in STANDARD])
        assert await ticks(desk) == []

    asyncio.run(main())


@pytest.mark.parametrize(
    "line", ["GET /ui/", "GET /logs", "GET /upstream/gpt-oss/", "GET /running"]
)
def test_llama_swaps_own_pages_are_in_no_frame_and_not_kept(desk: Desk, line: str) -> None:
    session = cookie(post(desk, ROOT))

    async def main() -> bytes:
        met = desk.meet(desk.request(line, Cookie=session, **OWN))
        assert isinstance(met, Ticket)
        return met.head(200, b"text/html")

    added = asyncio.run(main()).decode().splitlines()
    assert "X-Frame-Options: DENY" in added
    assert "Content-Security-Policy: frame-ancestors 'none'" in added
    assert "Cache-Control: no-store" in added


@pytest.mark.parametrize("path", ["/admin/usage", "/v1/models"])
def test_what_is_answered_here_is_not_kept_either(desk: Desk, path: str) -> None:
    """Of a session; a program that shows its key keeps what it likes."""
    listed = Reply(status=200, body=b'{"data": []}')
    own = {"Cookie": cookie(post(desk, ROOT)), **OWN}
    reply = asyncio.run(desk.answer(f"GET {path}", upstream=listed, **own))

    assert [value for name, value in reply.headers if name == "Cache-Control"] == ["no-store"]


def test_sessions_are_bounded() -> None:
    """The oldest gives way."""
    sessions = login.Sessions()
    key = Desk.__dataclass_fields__  # any object will do
    begun = [sessions.begin(key, ("me",), 0) for _ in range(login.MOST + 5)]  # type: ignore[arg-type]

    assert len(sessions._sessions) == login.MOST
    assert sessions.find(begun[0], ("me",), 1) is None
    assert sessions.find(begun[-1], ("me",), 1)


@pytest.mark.parametrize("body", [b"", b"key", b"key=a&key=b", b"\xff=\xff", b"a=1&" * 99])
def test_forms_that_are_none(body: bytes) -> None:
    """Nothing is guessed."""
    assert login.posted_key(body) is None


def test_a_cookie_that_is_slow_to_read_elsewhere_is_not_here(desk: Desk) -> None:
    """By http.cookies of Python 3.11.7, half a second each, and nobody has to have a key."""
    slow = 'herd-3000="' + '\\"' * 4000 + '"'
    began = time.monotonic()
    for _ in range(100):
        assert status(desk, "GET /running", Cookie=slow, **OWN) == 401

    assert time.monotonic() - began < 10


def test_of_two_cookies_of_a_name_neither_counts(desk: Desk) -> None:
    """Another port's page may have set one."""
    mine = cookie(post(desk, ROOT))
    assert status(desk, "GET /running", Cookie=f"a=b; {mine};c=d", **OWN) == 0
    assert status(desk, "GET /running", Cookie=f"{mine}; {mine.partition('=')[0]}=x", **OWN) == 401


@pytest.mark.parametrize("header", ["", "herd", "herd=", 'herd="', "a=b; herd=x y", "\udcff=1"])
def test_cookies_that_are_none(desk: Desk, header: str) -> None:
    """A broken header is no session."""
    assert status(desk, "GET /running", Cookie=header, **OWN) == 401
