"""Model files: verified ones are kept whoever put them there, others fetched, leftovers removed."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import pytest

from herd.core.models.fetch_request import Peers
from herd.core.models.missing_files import File, Resolved
from herd.core.text.quoting import shell_quote
from herd.operations import models
from tests.core.samples import BUNDLE, layout, resolved
from tests.operations.harness import Run, hidden, leaks, run

PLACE = layout("/Users/my self")
DIRECTORY = PLACE.models
SUMS = ("a" * 64, "b" * 64)
MODEL = dataclasses.replace(
    resolved(), files=(File("m 1.gguf", 10, SUMS[0]), File("m 2.gguf", 20, SUMS[1]))
)
PARTS = [MODEL.part(file) for file in MODEL.files]
URLS = [MODEL.url(file) for file in MODEL.files]
TOKEN = "hf_0123456789"
VERIFIED = {"tiny-GGUF/m 1.gguf": SUMS[0], "tiny-GGUF/m 2.gguf": SUMS[1]}
WHOLE = {"tiny-GGUF/m 1.gguf": 10, "tiny-GGUF/m 2.gguf": 20}


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def answer(
    sizes: dict[str, int], verified: dict[str, str] | None = None, origin: str = "fetched"
) -> list[str]:
    """What models.sh says of these files."""
    lines = ["disk /dev/disk3s5 1000000 500000 500000 50% /System/Volumes/Data"]
    lines += [f"file {size} 1.5 {n} ./{path}" for n, (path, size) in enumerate(sizes.items())]
    for n, (path, size) in enumerate(sizes.items()):
        if sha256 := (verified or {}).get(path):
            top, _, below = path.partition("/")
            what = f"{sha256} {size} 1.5 {n} {origin}"
            lines.append(f"receipt ./{top}/.herd/{below}.receipt:{what}")
    return lines


def fetched(
    sizes: dict[str, int],
    verified: dict[str, str] | None = None,
    wanted: Sequence[Resolved] = (MODEL,),
    peers: Peers | None = None,
    **options: Any,
) -> Run:
    return run(
        models.fetched,
        models=list(wanted),
        layout=PLACE,
        bundle=BUNDLE,
        peers=hidden(peers),
        answers={"models": answer(sizes, verified)},
        **options,
    )


PROGRAM = [
    f"mkdir -p {shell_quote(PLACE.root)} && rm -f {shell_quote(PLACE.fetcher + '.new')}"
    f" && (umask 077 && : > {shell_quote(PLACE.fetcher + '.new')} )",
    f"upload {PLACE.fetcher}.new",
    f"chmod 644 {shell_quote(PLACE.fetcher + '.new')}"
    f" && mv -f {shell_quote(PLACE.fetcher + '.new')} {shell_quote(PLACE.fetcher)}",
]
FETCH = f"{shell_quote(PLACE.proxy_python(BUNDLE))} -I {shell_quote(PLACE.fetcher)}"


def said(found: Run) -> dict[str, Any]:
    """What the fetcher is told."""
    (text,) = found.stdin
    told: dict[str, Any] = json.loads(text)
    return told


def asked_for(found: Run) -> dict[str, list[str]]:
    """The files that the fetcher is told of, by model."""
    return {m["name"]: [file["path"] for file in m["files"]] for m in said(found)["models"]}


def test_nothing_is_sent_when_all_files_are_verified() -> None:
    found = fetched({**WHOLE, "tiny-GGUF/README.md": 5}, VERIFIED)

    assert found.untouched


def test_a_fresh_host_fetches_all_files_with_one_command() -> None:
    found = fetched({})

    assert found.sent == [*PROGRAM, FETCH]
    assert found.printed == [FETCH]
    assert found.uploads[f"{PLACE.fetcher}.new"].startswith("PK")
    assert said(found) == {
        "connections": PLACE.settings.models_connections,
        "again": False,
        "origin": "fetched",
        "token": TOKEN,
        "client": "/opt/homebrew/bin/hf",
        "peers": None,
        "models": [
            {
                "name": "tiny",
                "directory": f"{DIRECTORY}/tiny-GGUF",
                "files": [
                    {"path": file.path, "size": file.size, "sha256": file.sha256, "url": url}
                    for file, url in zip(MODEL.files, URLS, strict=True)
                ],
            }
        ],
    }


def test_files_without_a_receipt_are_hashed_by_the_same_command() -> None:
    assert asked_for(fetched(WHOLE)) == {"tiny": ["m 1.gguf", "m 2.gguf"]}


def test_only_what_is_not_verified_is_looked_at() -> None:
    some = {"tiny-GGUF/m 1.gguf": SUMS[0]}

    assert asked_for(fetched({**WHOLE, "tiny-GGUF/m 2.gguf": 19}, some)) == {"tiny": ["m 2.gguf"]}


def test_leftovers_go_after_everything_is_fetched_with_what_vouched_for_them() -> None:
    cache = "tiny-GGUF/.cache/huggingface/download/x.incomplete"
    part = "tiny-GGUF/m 1.gguf.0123456789ab.part"
    found = fetched({part: 3, cache: 9})

    at = DIRECTORY
    assert found.sent == [
        *(*PROGRAM, FETCH),
        f"rm -f '{at}/{cache}' '{at}/tiny-GGUF/.herd/{cache.partition('/')[2]}.receipt' "
        f"'{at}/{part}' '{at}/tiny-GGUF/.herd/m 1.gguf.0123456789ab.part.receipt' "
        f"'{at}/tiny-GGUF/.herd/m 1.gguf.0123456789ab.pieces'",
    ]


def test_leftovers_alone_are_removed() -> None:
    sizes = {**WHOLE, f"tiny-GGUF/{PARTS[0]}": 3}
    (sent,) = fetched(sizes, VERIFIED).sent

    assert sent.startswith(f"rm -f '{DIRECTORY}/tiny-GGUF/{PARTS[0]}' ")


def test_models_that_share_a_directory_spare_each_others_transfers() -> None:
    other = dataclasses.replace(MODEL, name="other", files=(File("m 3.gguf", 30, "c" * 64),))
    sizes = {**WHOLE, "tiny-GGUF/m 3.gguf": 30, f"tiny-GGUF/{PARTS[1]}": 5}
    del sizes["tiny-GGUF/m 2.gguf"]
    verified = {**VERIFIED, "tiny-GGUF/m 3.gguf": "c" * 64}
    found = fetched(sizes, verified, [MODEL, other])

    assert asked_for(found) == {"tiny": ["m 2.gguf"]}
    assert found.sent == [*PROGRAM, FETCH]


def test_a_file_of_two_models_is_fetched_once() -> None:
    other = dataclasses.replace(MODEL, name="other", files=(MODEL.files[1], File("m 3.gguf", 3)))

    assert asked_for(fetched({}, wanted=[MODEL, other])) == {
        "tiny": ["m 1.gguf", "m 2.gguf"],
        "other": ["m 3.gguf"],
    }


def test_a_transfer_that_fails_fails_the_host_and_removes_nothing() -> None:
    found = fetched({"tiny-GGUF/m 1.gguf.0123456789ab.part": 3}, fails=[FETCH])

    assert found.failed
    assert found.sent == [*PROGRAM, FETCH]


def test_token_and_key_go_to_stdin_and_show_nowhere() -> None:
    key = "key-0123456789-of-this-run"
    found = fetched({}, peers=Peers("mac", {"mac2": "http://10.0.0.2:3000"}, key))

    assert said(found)["token"] == TOKEN
    assert said(found)["peers"] == {
        "me": "mac",
        "key": key,
        "others": [{"name": "mac2", "url": "http://10.0.0.2:3000"}],
    }
    assert leaks(found, TOKEN) == []
    assert leaks(found, key) == []


def test_without_a_token_it_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("herd.operations.models.token", lambda: None)

    assert said(fetched({}))["token"] is None


# -- Models that are not declared


def only(prune: bool, origin: str = "fetched") -> Run:
    sizes = {**WHOLE, "old GGUF/q/x.gguf": 7, "old GGUF/README.md": 7}
    verified = {**VERIFIED, "old GGUF/q/x.gguf": "c" * 64}
    return run(
        models.only,
        models=[MODEL],
        directory=DIRECTORY,
        prune=prune,
        answers={"models": answer(sizes, verified, origin)},
    )


def test_a_model_that_is_not_declared_stays_unless_told_otherwise() -> None:
    found = only(prune=False)

    assert found.untouched
    assert found.asked == []


def test_told_so_what_a_deploy_fetched_goes_with_its_receipt() -> None:
    old = f"{DIRECTORY}/old GGUF"

    assert only(prune=True).sent == [
        f"rm -f '{old}/q/x.gguf' '{old}/.herd/q/x.gguf.receipt'"
        f" && find '{old}' \\( -path '*/.herd/lock' -o -type d -empty \\) -delete"
    ]


@pytest.mark.parametrize("origin", ["asked", "adopted"])
def test_what_no_deploy_fetched_stays_whatever_is_told(origin: str) -> None:
    assert only(prune=True, origin=origin).untouched
