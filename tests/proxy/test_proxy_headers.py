"""Which headers pass, and what counts as a credential."""

import pytest
from multidict import CIMultiDict

from proxy.headers import credential, to_client, to_upstream, wants_upgrade


def up(*pairs: tuple[str, str]) -> list[tuple[str, str]]:
    sent = to_upstream(CIMultiDict(pairs), client="192.0.2.7", scheme="http")
    return [(name, value) for name, value in sent.items() if not name.startswith("X-Forwarded")]


@pytest.mark.parametrize(
    "pairs",
    [
        [("Authorization", "Bearer k")],
        [("authorization", "bearer k")],
        [("AUTHORIZATION", "BEARER  k ")],
        [("x-api-key", "k")],
        [("X-Api-Key", " k")],
    ],
)
def test_one_credential_is_found(pairs: list[tuple[str, str]]) -> None:
    """Bearer in any case, or x-api-key."""
    assert credential(CIMultiDict(pairs)) == "k"


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("Authorization", "k")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Bearerk")],
        [("Authorization", "Basic k")],
        [("x-api-key", "")],
        [("Authorization", "Bearer k"), ("Authorization", "Bearer k")],
        [("Authorization", "Bearer k"), ("x-api-key", "k")],
        [("Authorization", "Basic k"), ("x-api-key", "k")],
        [("x-api-key", "k"), ("x-api-key", "k")],
    ],
)
def test_none_or_several_credentials_are_none(pairs: list[tuple[str, str]]) -> None:
    """Two programs that pick different ones of two are how checks are got round."""
    assert credential(CIMultiDict(pairs)) is None


def test_hop_by_hop_credential_and_forwarding_headers_do_not_go_up() -> None:
    """Nor what Connection names, in any case and on any of its lines."""
    assert up(
        ("Connection", "close, X-Private"),
        ("connection", "x-other"),
        ("x-private", "1"),
        ("X-Other", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic a"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Trailer", "X-T"),
        ("Transfer-Encoding", "chunked"),
        ("Upgrade", "h2c"),
        ("Authorization", "Bearer k"),
        ("X-Api-Key", "k"),
        ("Expect", "100-continue"),
        ("Host", "mac.example"),
        ("Forwarded", "for=1.2.3.4"),
        ("X-Real-IP", "1.2.3.4"),
        ("Accept", "a"),
        ("Accept", "b"),
        ("Content-Length", "3"),
    ) == [("Accept", "a"), ("Accept", "b"), ("Content-Length", "3")]


def test_who_the_client_is_comes_from_the_socket() -> None:
    """A client cannot say it is somebody else."""
    sent = to_upstream(
        CIMultiDict({"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "Host": "mac"}),
        client="192.0.2.7",
        scheme="http",
    )

    assert sent.getall("X-Forwarded-For") == ["192.0.2.7"]
    assert sent.getall("X-Forwarded-Proto") == ["http"]
    assert sent.getall("X-Forwarded-Host") == ["mac"]


def test_hop_by_hop_headers_do_not_come_down_and_others_keep_their_order() -> None:
    """Repeated ones stay repeated."""
    sent = to_client(
        CIMultiDict(
            [
                ("Set-Cookie", "a=1"),
                ("Connection", "X-Private"),
                ("X-Private", "1"),
                ("Keep-Alive", "timeout=5"),
                ("Proxy-Authenticate", "Basic"),
                ("Set-Cookie", "b=2"),
                ("Content-Encoding", "gzip"),
            ]
        )
    )

    assert list(sent.items()) == [
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Content-Encoding", "gzip"),
    ]


def test_length_beside_chunked_does_not_come_down() -> None:
    """It means nothing there, and the client would believe it."""
    sent = to_client(CIMultiDict({"Transfer-Encoding": "chunked", "Content-Length": "3"}))

    assert not sent


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("websocket", True), ("h2c, websocket", True), ("TLS/1.0", True), ("h2c", False), ("", False)],
)
def test_upgrades_but_h2c_are_noticed(value: str, wanted: bool) -> None:
    """curl --http2 offers h2c and is content with HTTP/1.1."""
    assert wants_upgrade(CIMultiDict({"Upgrade": value})) is wanted


def test_no_upgrade_header_is_no_upgrade() -> None:
    """Nearly every request."""
    assert not wants_upgrade(CIMultiDict())
