"""gateways.json is a list of keys that the proxy takes, whatever a gateway is called; so is
others.json, with where each is asked."""

import hashlib
from collections.abc import Sequence

import pytest

from herd.core.gateway.fleet import Mac
from herd.core.gateway.known import (
    Known,
    entries,
    hashes,
    in_order,
    name_of,
    others,
    unheard,
)
from proxy.keys.keys_file import parse_grants, parse_urls
from tests.core.samples import HOSTILE

NAMES = [*HOSTILE, "mac1", "studio1.example.com", "x" * 200, "@ssh/me@studio.local"]


@pytest.mark.parametrize("name", NAMES)
def test_the_proxy_takes_any(name: str) -> None:
    one, two = (hashlib.sha256(word).hexdigest() for word in (b"one", b"two"))
    text = entries([Known(name, one), Known("other", two)])

    assert [key.digest.hex() for key in parse_grants(text)] == [one, two]
    assert hashes(text) == {name_of(name): one, name_of("other"): two}


def test_no_two_are_one() -> None:
    assert len({name_of(name) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"apiKeys": 1}', '{"apiKeys": [1]}', '{"apiKeys": [{"name": "a"}]}', "\0"],
)
def test_what_is_none_of_ours_has_none(text: str) -> None:
    assert hashes(text) == {}


def test_a_hash_is_one() -> None:
    assert hashes('{"apiKeys": [{"name": "a", "sha256": "\\n"}]}') == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_gateway_takes_any_other_and_asks_it(name: str) -> None:
    """Also one whose key it does not know yet."""
    digest = hashlib.sha256(b"one").hexdigest()
    gateways = [Mac(name, "10.0.0.1", 3100), Mac("other", "fd00::1", 3100, tls=True)]
    text = others([Known(name, digest)], gateways)

    assert [key.digest.hex() for key in parse_grants(text)] == [digest]
    assert parse_urls(text) == {
        name_of(name): "http://10.0.0.1:3100",
        name_of("other"): "https://[fd00::1]:3100",
    }
    assert hashes(text) == {name_of(name): digest}
    assert parse_grants(others([], gateways)) == []


@pytest.mark.parametrize("telling", [(), ("b",), ("a",), ("c", "b"), ("a", "b", "c")])
def test_whoever_tells_the_order_is_the_inventorys(telling: Sequence[str]) -> None:
    """A roll has one of them after the other."""
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in "bca"}
    known = [Known(name, digest) for name, digest in keys.items()]
    told = {name: keys[name] for name in telling}

    assert in_order(list("bca"), told, entries(known)) == known
    assert in_order(list("bca"), told, "") == [each for each in known if each.gateway in telling]
    assert in_order(["c"], {"c": "0" * 64}, entries(known)) == [Known("c", "0" * 64)]


def test_who_is_not_heard_is_told_by_its_name() -> None:
    gateways = [Mac(name, "10.0.0.1", 3100) for name in ("gw 1", "gw2", "gw3")]

    assert unheard(gateways, {name_of("gw 1"): True, name_of("gw2"): False}) == ["gw2", "gw3"]
    assert unheard(gateways, {}) == ["gw 1", "gw2", "gw3"]
