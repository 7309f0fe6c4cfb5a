"""gateways.json is a list of keys that the proxy takes, whatever a gateway is called."""

import hashlib

import pytest

from herd.core.gateway.known import Known, entries, hashes, name_of
from proxy.keys.keys_file import parse_grants
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
