"""The dashboard's login: who gets a session, and which requests may act by it."""

import asyncio
from pathlib import Path
from urllib.parse import urlencode

import pytest
from policy_support import ANNA, ROOT, STANDARD, Desk, entry

from proxy import login
from proxy.exchange import Reply

OWN = {"Host": "mac.example:3000", "Origin": "http://mac.example:3000",
       "Sec_Fetch_Site": "same-origin"}  # fmt: skip
PAGE = {"Host": "mac.example:3000", "Accept": "text/html,*/*", "Sec_Fetch_Mode": "navigate"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
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


def test_cookie_over_tls_is_for_this_host_only() -> None:
    """Its name makes browsers insist on that."""
    name, value = login.set_cookie("https", "id")

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


def test_sessions_are_bounded() -> None:
    """The oldest gives way."""
    sessions = login.Sessions()
    key = Desk.__dataclass_fields__  # any object will do
    ids = [sessions.begin(key, 0) for _ in range(login.MOST + 5)]  # type: ignore[arg-type]

    assert len(sessions._sessions) == login.MOST
    assert sessions.find(ids[0], 1) is None
    assert sessions.find(ids[-1], 1)


@pytest.mark.parametrize("body", [b"", b"key", b"key=a&key=b", b"\xff=\xff", b"a=1&" * 99])
def test_forms_that_are_none(body: bytes) -> None:
    """Nothing is guessed."""
    assert login.posted_key(body) is None


@pytest.mark.parametrize("header", ["", "herd", "herd=", 'herd="', "a=b; herd=x y", "\udcff=1"])
def test_cookies_that_are_none(desk: Desk, header: str) -> None:
    """A broken header is no session."""
    assert status(desk, "GET /running", Cookie=header, **OWN) == 401
