"""What the fetcher is told, and the key that opens files to it elsewhere."""

import dataclasses
import json
from datetime import UTC, datetime

from herd.core.fetching import Peers, Wanted, distinct, grant, job
from herd.core.transfers import ASKED, File
from proxy.keyring import digest_of
from proxy.keys import parse_keys
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
        peers=peers,
        origin=ASKED,
        again=True,
    )
    (line,) = said.readlines()
    told = json.loads(line)

    assert (told["connections"], told["origin"], told["again"]) == (3, "asked", True)
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


def test_the_proxy_reads_the_grant_as_a_key_that_expires() -> None:
    until = datetime(2026, 11, 23, 12, 30, 1, tzinfo=UTC)
    text = grant("the key", until)
    (key,) = parse_keys(text).entries

    assert key.digest == digest_of("the key")
    assert key.scopes == {"files"}
    assert key.expires == until.timestamp()
    assert "the key" not in text
