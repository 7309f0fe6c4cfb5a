"""Documents on stdin, good and bad."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from fetcher.spec import Patience, parse
from tests.fetcher.conftest import Program, fleet, spec

FILE = {"path": "a/b.gguf", "size": 3, "sha256": "0" * 64, "url": "https://hub.example/a%20b"}
MODEL = {"name": "tiny", "directory": "/models/tiny", "files": [FILE]}
GOOD = spec(MODEL, peers=fleet("mac1", {"mac1": "http://one", "mac2": "https://two:3000/"}))
SECRET = "hf_secret"


def changed(*keys: Any, to: Any) -> str:
    document: Any = copy.deepcopy(GOOD)
    document["token"] = SECRET
    inside = document
    for key in keys[:-1]:
        inside = inside[key]
    inside[keys[-1]] = to
    return json.dumps(document)


def test_a_document_is_read() -> None:
    read = parse(json.dumps(GOOD))

    assert read.models[0].directory == Path("/models/tiny")
    assert read.models[0].files[0].path == "a/b.gguf"
    # This Mac is no other one.
    assert read.fleet
    assert read.fleet.others == {"mac2": "https://two:3000"}


def test_secrets_do_not_show_in_a_representation() -> None:
    read = parse(changed("connections", to=2))

    assert SECRET not in repr(read)
    assert GOOD["peers"]["key"] not in repr(read)


def test_patience_may_be_left_out() -> None:
    document = {key: value for key, value in GOOD.items() if key != "patience"}

    assert parse(json.dumps(document)).patience == Patience()


@pytest.mark.parametrize(
    ("keys", "value", "problem"),
    [
        (("connections",), 0, "connections is to be a whole number, at least 1"),
        (("connections",), True, "connections is to be a whole number, at least 1"),
        (("again",), "yes", "again is to be true or false"),
        (("origin",), "adopted", "origin is to be 'fetched' or 'asked'"),
        (("token",), "two\nlines", "token is to be printable text or null"),
        (("models",), None, "models is to be a list"),
        (("models", 0), 7, "models[0] is to be an object"),
        (("models", 0, "name"), "", "models[0].name is to be text, and not empty"),
        (("models", 0, "directory"), "tiny", "models[0].directory is to be an absolute path"),
        (("models", 0, "files", 0, "size"), -1, "models[0].files[0].size is to be a whole number"),
        (("models", 0, "files", 0, "size"), 1.5, "models[0].files[0].size is to be a whole number"),
        (("models", 0, "files", 0, "sha256"), "AB", "models[0].files[0].sha256 is to be 64 digits"),
        (("models", 0, "files", 0, "url"), "ftp://x", "models[0].files[0].url is to be a URL"),
        (("peers", "key"), "", "peers.key is to be printable text"),
        (("peers", "others"), {}, "peers.others is to be a list"),
        (
            ("patience",),
            {"poll": 0},
            "patience has compare, grace, pause, poll, retry, stall, each above 0",
        ),
        (("patience",), {"haste": 1}, "patience has compare"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    keys: tuple[Any, ...], value: Any, problem: str
) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as raised:
        parse(changed(*keys, to=value))

    assert problem in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "path",
    [
        ".HERD/x",
        "a\nb",
        "a:b",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "",
        ".",
        "a//b",
        "a/",
        ".herd/x",
        "a\0b",
    ],
)
def test_a_path_leads_nowhere_else(path: str) -> None:
    with pytest.raises(ValueError, match=r"models\[0\]\.files\[0\]\.path is to"):
        parse(changed("models", 0, "files", 0, "path", to=path))


def test_a_place_has_one_content() -> None:
    other = {**MODEL, "files": [{**FILE, "sha256": "1" * 64}]}

    with pytest.raises(ValueError, match=r"tiny/a/b\.gguf is wanted with two contents"):
        parse(json.dumps(spec(MODEL, other)))


def test_all_problems_are_told_at_once(program: Program) -> None:
    document = {**GOOD, "connections": 0, "origin": None}
    done = program.run(document)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "connections is" in done.stderr
    assert "origin is" in done.stderr


@pytest.mark.parametrize("text", ["", "{", "[]", f'{{"token": "{SECRET}" x', "null"])
def test_no_document_at_all_ends_it_in_one_line(program: Program, text: str) -> None:
    done = program.run(text)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert SECRET not in done.stderr
