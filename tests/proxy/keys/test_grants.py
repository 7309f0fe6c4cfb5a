"""Keys lent by a second file: it comes, changes, breaks and goes, and config.json never notices."""

import json
import logging
import os
from pathlib import Path

import pytest

from proxy.keys.key import Limits, Scope
from proxy.keys.keys_file import parse_urls
from proxy.keys.store import KeyStore
from tests.proxy.support.policy import ANNA, PLAIN, ROOT, STANDARD, entry

PEER = "sk-herd-peer-0123456789-abcdefghijk"
OTHER = "sk-herd-other-0123456789-abcdefghij"
FILES = frozenset({Scope.FILES})


class Desk:
    def __init__(self, directory: Path) -> None:
        self.config, self.grants = directory / "config.json", directory / "peers.json"
        self.write(*STANDARD)
        self.store = KeyStore(self.config, grants=self.grants)
        self.told: list[int] = []
        self.store.on_change = lambda keys: self.told.append(len(keys.entries))

    def write(self, *entries: object) -> None:
        self.config.write_text(json.dumps({"apiKeys": entries}))

    def grant(self, *entries: object, **more: object) -> None:
        self.grants.write_text(json.dumps({"apiKeys": entries, **more}))

    def scopes(self, secret: str) -> frozenset[Scope] | None:
        key = self.store.current().find(secret)
        return key.scopes if key else None


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_grants_come_change_and_go(desk: Desk) -> None:
    assert desk.scopes(PEER) is None
    desk.grant(entry("peers", PEER, scopes=["files"]))
    assert desk.scopes(PEER) == FILES
    desk.grant(entry("peers", OTHER, scopes=["files"]))
    assert desk.scopes(PEER) is None
    assert desk.scopes(OTHER) == FILES
    desk.grants.unlink()
    assert desk.scopes(OTHER) is None
    assert desk.scopes(PLAIN) == {Scope.INFERENCE}
    assert desk.told == [5, 5, 4]


def test_none_is_a_good_number_of_grants(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        desk.grant()
        assert desk.scopes(PLAIN)

    assert not caplog.records


@pytest.mark.parametrize("scopes", [["admin"], ["inference", "metrics", "admin"], None])
def test_a_grant_opens_files_and_nothing_else(desk: Desk, scopes: list[str] | None) -> None:
    said = {"scopes": scopes} if scopes else {}
    desk.grant(entry("peers", PEER, models=["x"], rpm=1, **said), "a-plain-one-0123456789",
               allowOrigins=["https://evil.example"])  # fmt: skip

    key = desk.store.current().find(PEER)
    assert key is not None
    assert (key.scopes, key.models, key.limits) == (FILES, (), Limits())
    assert desk.scopes("a-plain-one-0123456789") == FILES
    assert not desk.store.current().origins


def test_a_grant_changes_nothing_of_a_key_of_ours(desk: Desk) -> None:
    """Not by its secret, and not by its name, under which limits are kept."""
    desk.write(*STANDARD, entry("limited", OTHER, rpm=3))
    desk.grant(
        entry("peers", ROOT, scopes=["files"], expires="2001-01-01"), entry("limited", PEER, rpm=9)
    )

    root = desk.store.current().find(ROOT)
    assert root is not None
    assert (root.name, root.scopes) == ("root", {Scope.ADMIN, Scope.INFERENCE})
    assert root.expires is None
    assert desk.store.current().limits("limited") == Limits(rpm=3)


@pytest.mark.parametrize(
    "text",
    ["{", "", "[]", "{}", '{"apiKeys": {}}', '{"apiKeys": [{"name": "x"}]}', "\xff",
     '{"apiKeys": ["short"]}', "[" * 100_000],
)  # fmt: skip
def test_a_broken_file_grants_nothing_and_is_told_once(
    desk: Desk, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    desk.grant(entry("peers", PEER))
    assert desk.scopes(PEER) == FILES
    desk.grants.write_bytes(text.encode("latin-1"))
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            assert desk.scopes(PEER) is None
            assert desk.scopes(ANNA) == {Scope.INFERENCE}

    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "peers.json grants nothing: " in caplog.text
    desk.grant(entry("peers", PEER))
    assert desk.scopes(PEER) == FILES


def test_a_file_that_may_not_be_read_grants_nothing(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.grants.mkdir()

    assert desk.scopes(ANNA) == {Scope.INFERENCE}
    assert "grants nothing: it cannot be read" in caplog.text


def test_an_expired_grant_is_no_reason_to_warn(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """It is what they are made for."""
    desk.grant(entry("peers", PEER, expires="2001-01-01"))
    with caplog.at_level(logging.WARNING):
        key = desk.store.current().find(PEER)
        desk.store.reload()

    assert key is not None
    assert key.expired(2e9)
    assert not caplog.records


def test_a_broken_config_leaves_the_grants_in_force_and_the_other_way_round(desk: Desk) -> None:
    desk.grant(entry("peers", PEER))
    desk.config.write_text("{")
    assert desk.scopes(PEER) == FILES
    assert desk.scopes(ANNA) == {Scope.INFERENCE}
    desk.grant(entry("peers", OTHER))
    assert desk.scopes(OTHER) == FILES
    assert desk.scopes(ANNA) == {Scope.INFERENCE}


def test_what_a_deploy_reads_from_the_log_counts_the_keys_of_config_json_alone(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.grant(entry("peers", PEER))
    with caplog.at_level(logging.INFO):
        desk.store.reload()
        desk.store.current()

    assert str(desk.store) == f"4 keys from {desk.config}"
    told = [record.message for record in caplog.records]
    assert f"keys read again: 4 keys from {desk.config}" in told
    assert f"{desk.grants} grants files to 1 keys" in told


def test_without_the_option_there_is_no_second_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And with it there is one for each that is taken at config.json."""
    looks: list[str] = []
    real = os.stat
    Desk(tmp_path)
    plain = KeyStore(tmp_path / "config.json")
    lent = KeyStore(tmp_path / "config.json", grants=tmp_path / "peers.json")

    def stat(path: str) -> os.stat_result:
        looks.append(os.path.basename(path))
        return real(path)

    monkeypatch.setattr(os, "stat", stat)
    plain.current()
    assert looks == ["config.json"]
    looks.clear()
    lent.current()
    assert looks == ["config.json", "peers.json"]


def test_a_gateways_key_is_said_by_its_file(tmp_path: Path) -> None:
    """Whatever the entry says: it infers for clients of its own, and does nothing else."""
    desk = Desk(tmp_path)
    gateways = tmp_path / "gateways.json"
    store = KeyStore(desk.config, grants=desk.grants, gateways=gateways)
    assert store.current().find(OTHER) is None

    written = entry("gateway-mac1", OTHER, scopes=["admin", "files"], models=["x"], rpm=1)
    gateways.write_text(json.dumps({"apiKeys": [written]}))
    desk.grant(entry("peers", PEER, scopes=["files"]))

    key = store.current().find(OTHER)
    assert key is not None
    assert (key.scopes, key.gateway) == ({Scope.INFERENCE}, True)
    assert (key.models, key.limits) == ((), Limits())
    peer = store.current().find(PEER)
    assert peer is not None
    assert (peer.scopes, peer.gateway) == (FILES, False)
    gateways.unlink()
    assert store.current().find(OTHER) is None


def test_another_gateways_key_is_for_limits_and_nothing_else(tmp_path: Path) -> None:
    """Whatever the entry says; where it is asked is no key."""
    desk, others = Desk(tmp_path), tmp_path / "others.json"
    store = KeyStore(desk.config, other_gateways=others)
    written = entry("gateway-gw2", OTHER, scopes=["admin"], gateway=False, rpm=1)
    others.write_text(json.dumps({"apiKeys": [written], "urls": {"gateway-gw2": "http://x:1"}}))

    key = store.current().find(OTHER)
    assert key is not None
    assert (key.scopes, key.gateway, key.limits) == ({Scope.LIMITS}, False, Limits())
    others.unlink()
    assert store.current().find(OTHER) is None


@pytest.mark.parametrize(
    "urls",
    [[], {"a": 1}, {"a": "http://x"}, {"a": "ftp://x:1"}, {"a": "http://x:1/"}, {"a": "http://u@x:1"},
     {"a": "http://x:1\n"}, {"a": "http://x:123456"}, {"a": "http://x y:1"}],
)  # fmt: skip
def test_where_a_gateway_is_asked_has_one_form(urls: object) -> None:
    with pytest.raises(ValueError, match="urls"):
        parse_urls(json.dumps({"apiKeys": [], "urls": urls}))
