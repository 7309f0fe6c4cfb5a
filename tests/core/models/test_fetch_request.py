"""What the fetcher is told, and the key that opens files to it elsewhere."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from herd.core.models.fetch_request import Peers, Wanted, distinct, grant, job
from herd.core.models.missing_files import ASKED, File
from proxy.keys.key import digest_of
from proxy.keys.keys_file import parse_grants
from tests.core.samples import resolved

ONE, TWO, THREE = (File(f"{name}.gguf", 10, name * 64) for name in "abc")
MODEL = dataclasses.replace(resolved(), files=(ONE, TWO))


def test_files_of_two_models_in_one_directory_are_wanted_once() -> None:
    other = dataclasses.replace(MODEL, name="other", files=(TWO, THREE))
    elsewhere = dataclasses.replace(other, directory="elsewhere")

    found = distinct([Wanted(m, m.files) for m in (MODEL, other, elsewhere, MODEL)])

    assert [(each.model.name, each.files) for each in found] == [
        ("tiny", (ONE, TWO)),
        ("other", (THREE,)),
        ("other", (TWO, THREE)),
    ]


def test_what_the_fetcher_is_told_is_one_line_of_json_that_does_not_show() -> None:
    peers = Peers("a", {"c": "http://c:3000", "b": "https://b:3000"}, "the key")
    said = job(
        [Wanted(MODEL, (TWO,))],
        directory="/m",
        connections=3,
        token="the token",
        client="/opt/homebrew/bin/hf",
        peers=peers,
        origin=ASKED,
        again=True,
    )
    (line,) = said.readlines()
    told = json.loads(line)

    assert (told["connections"], told["origin"], told["again"]) == (3, "asked", True)
    assert told["client"] == "/opt/homebrew/bin/hf"
    assert [peer["name"] for peer in told["peers"]["others"]] == ["b", "c"]
    assert told["models"] == [
        {
            "name": "tiny",
            "directory": "/m/tiny-GGUF",
            "files": [
                {"path": TWO.path, "size": 10, "sha256": TWO.sha256, "url": MODEL.url(TWO)},
            ],
        }
    ]
    assert "the token" not in f"{said!r}{said}"
    assert "the key" not in f"{peers!r}"


NOW = datetime(2026, 11, 23, 12, 30, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_the_proxy_reads_the_grant_as_a_key_that_expires() -> None:
    text = grant("the key", NOW + DAY, NOW)
    (key,) = parse_grants(text)

    assert key.digest == digest_of("the key")
    assert key.scopes == {"files"}
    assert key.expires == (NOW + DAY).timestamp()
    assert "the key" not in text


def test_the_key_of_another_run_stays_until_it_expires() -> None:
    """That run may still be fetching."""
    first = grant("one", NOW + DAY, NOW)
    later = NOW + DAY / 2
    both = grant("two", later + DAY, later, first)
    much_later = NOW + DAY * 1.2
    rest = grant("three", much_later + DAY, much_later, both)

    assert [key.digest for key in parse_grants(both)] == [digest_of("one"), digest_of("two")]
    assert [key.digest for key in parse_grants(rest)] == [digest_of("two"), digest_of("three")]


def test_a_list_does_not_grow_for_ever_and_a_run_is_in_it_once() -> None:
    text = ""
    for number in [*range(20), 19]:
        text = grant(f"key {number}", NOW + DAY, NOW, text)

    digests = [key.digest for key in parse_grants(text)]
    assert digests == [digest_of(f"key {number}") for number in range(12, 20)]


def entries(*changes: dict[str, Any]) -> str:
    """A list of ours, each entry with a change that we would not make."""
    (mine,) = json.loads(grant("other", NOW + DAY, NOW))["apiKeys"]
    return json.dumps({"apiKeys": [{**mine, **change} for change in changes]})


BROKEN = [
    *("{torn", "[]", "7", "null", '{"apiKeys": 7}', '{"apiKeys": ["plain"]}', "[" * 100_000),
    *('{"apiKeys": {"a": 1}}', '{"apiKeys": [[], null, 1e999]}', "\ud800", '{"apiKeys": NaN}'),
    entries({"expires": 7}, {"expires": None}, {"expires": ["9"]}, {"expires": "never"}),
    entries({"sha256": 7}, {"sha256": ["a"]}, {"sha256": "A" * 64}, {"name": {}}),
    entries({"scopes": ["admin"]}, {"scopes": "files"}, {"more": 1}, {"name": "me"}),
]


@pytest.mark.parametrize("there", BROKEN)
def test_a_broken_list_is_replaced(there: str) -> None:
    assert grant("one", NOW + DAY, NOW, there) == grant("one", NOW + DAY, NOW)
