"""Names of a repository's files that a Mac's disk, a terminal or we would read in two ways."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetcher import names
from herd.core.models import models_lock
from herd.core.models.models_lock import Locked

GOOD = [
    "m.gguf",
    "Q4_K_M/m-00001-of-00003.gguf",
    ".gitattributes",
    "a b/it's $HOME; rm * [x]{y}.gguf",
    "模型.gguf",
    "caf\u00e9.gguf",
    "a..b/c.part.gguf",
    "herd/x.pieces",
    "0123456789ab.gguf",
    "x" * 200,
]
BLANK = (
    "\u00a0\u1680\u2007\u202f\u205f\u3000"  # spaces that are not the one
    "\u00ad\u034f\u115f\u1160\u17b4\u180b\u180e\u180f\u2064\u2800\u3164\ufe00\ufe0f\uffa0\ufff9\ufffc"
    "\U00016fe4\U0001bca0\U0001d159\U0001d173\U000e0001\U000e0100\U000e01ef"
)
BAD = [
    *("", ".", "..", "/m.gguf", "../m.gguf", "a/../b", "a//b", "a/", "./a"),
    *(".herd/lock", ".HERD/lock", "a/.Herd/x", ".herD", ".\u200dherd/x", "\ufeff.herd/x"),
    *(".cache/huggingface/download/x.incomplete", ".Cache/x"),
    *("a\nb", "a\rb", "a\tb", "a\0b", "a\x1b[2Jb", "a\x7fb", "a\x9bb", "a\u2028b", "a\ud800b"),
    *("a\u202egguf.m", "a\u200bb", "a\u2066b", "a\ue000b", "a\u0378b"),
    *(f"a{blank}b" for blank in BLANK),
    *("a\\b", "..\\x", "C:x", "a:b", "a/b:c"),
    *("a.", "a ", "a./b", "a /b", " a", "a/ b", "...", "a/..."),
    *("-rf", "a/-x", "--help"),
    *("m.gguf/..namedfork/rsrc", "._m.gguf", "a/._b"),
    *("cafe\u0301.gguf", "\u212bngstrom", "\uac00\u11a8".replace("\uac00", "\u1100\u1161")),
    *("m.gguf.0123456789ab.part", "m.gguf.0123456789AB.PART", "m.0123456789ab.pieces"),
    *("m.gguf.receipt", "m.receipt/x", "m.gguf.set-aside-1700000000", "m.0123456789ab.part.pid"),
    *("x" * 201, "é" * 101, "/".join(["x" * 100] * 6)),
]


@pytest.mark.parametrize("path", GOOD)
def test_a_name_that_means_itself_is_taken(path: str) -> None:
    assert names.fault(path) is None
    assert _locked(path).first == path


@pytest.mark.parametrize("path", BAD, ids=ascii)
def test_a_name_that_means_something_else_is_refused(path: str) -> None:
    assert names.fault(path)
    with pytest.raises(ValueError, match="path"):
        _locked(path)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_a_name_that_is_taken_stays_below_its_directory(path: str) -> None:
    if names.fault(path) is None:
        below = Path("/models/m") / path
        assert Path("/models/m") in below.parents
        assert ".herd" not in names.fold(str(below)).split("/")
        assert unicodedata.normalize("NFC", path) == path


CLASHES = [
    ("m.gguf", "M.gguf"),
    ("q/m.gguf", "Q/n.gguf"),
    ("STRASSE", "straße"),
    ("É", "é"),
    ("a", "a/b"),
    ("A/b", "a"),
    ("q/x/m", "q/X/n"),
]


@pytest.mark.parametrize("pair", CLASHES)
def test_names_that_are_one_to_the_disk_clash(pair: tuple[str, str]) -> None:
    assert list(names.clashes(pair))
    with pytest.raises(ValueError, match="cannot be beside each other"):
        _locked(*pair)


def test_names_that_are_two_do_not() -> None:
    assert not list(names.clashes([*GOOD, *GOOD]))
    assert not list(names.clashes(["a", "ab", "a.b/c", "b/a", "b/c"]))


def _locked(*paths: str) -> Locked:
    files = [{"path": path, "size": 5, "sha256": "0" * 64} for path in paths]
    model = {
        "name": "m", "repo": "me/m", "revision": "main", "include": ["*"], "commit": "f" * 40,
        "first": paths[0], "files": files, "gguf": {},
    }  # fmt: skip
    return models_lock.parse(
        json.dumps({"version": models_lock.VERSION, "models": [model]})
    ).models[0]
