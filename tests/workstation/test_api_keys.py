"""A host's keys: where they come from, what is wrong with them, and which of them is held here."""

import json
from pathlib import Path
from typing import Any

import pytest

from herd.workstation import api_keys
from proxy.keys.key import digest_of
from proxy.keys.keys_file import parse_keys
from proxy.keys.slots import Slots
from tests.core.samples import settings

ANNA, BEN, PLAIN = "sk-anna-EXAMPLE-0123456789", "sk-ben-EXAMPLE-0123456789", "sk-plain-0123456789"

CONTEXTS = {"contexts": {"gpt-oss-120b": 8192}}


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("API_KEYS", raising=False)
    monkeypatch.delenv("HERD_API_KEY", raising=False)


def entry(name: str, key: str, /, **fields: Any) -> dict[str, Any]:
    return {"name": name, "sha256": digest_of(key).hex(), **fields}


def shipped(*entries: dict[str, Any], **own: Any) -> api_keys.Shipped:
    return api_keys.shipped(settings(api_keys=list(entries), **own))


# -- Where they come from


def test_no_key_says_how_to_make_one() -> None:
    with pytest.raises(ValueError, match="no API key"):
        shipped()

    assert "make key NAME=me" in api_keys.how_to_mend()


def test_a_broken_file_is_not_mended_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """config.json wins, so setting API_KEYS would not help."""
    monkeypatch.setenv("API_KEYS", "sk-from-the-environment-0123")
    api_keys.CONFIG.write_text('{"apiKeys": [')

    with pytest.raises(ValueError, match=r"config\.json: it is not valid JSON"):
        shipped()
    assert "mend config.json, or remove it" in api_keys.how_to_mend()


def test_data_wins_over_the_file_and_the_file_over_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("API_KEYS", f"{ANNA}, {BEN}")
    assert json.loads(shipped().text) == {"apiKeys": [ANNA, BEN], **CONTEXTS}

    mixed = {"apiKeys": [PLAIN, entry("ben", BEN)], "allowOrigins": ["https://a.example"]}
    api_keys.CONFIG.write_text(json.dumps(mixed), encoding="utf-8-sig")
    assert json.loads(shipped().text) == mixed | CONTEXTS

    found = shipped(entry("anna", ANNA, rpm=5))
    assert json.loads(found.text) == {"apiKeys": [entry("anna", ANNA, rpm=5)], **CONTEXTS}


def test_origins_of_the_settings_win_over_those_of_the_file() -> None:
    api_keys.CONFIG.write_text(
        json.dumps({"apiKeys": [PLAIN], "allowOrigins": ["https://a.example"]})
    )

    found = shipped(proxy_allow_origins=["https://b.example"])

    allowed = {"allowOrigins": ["https://b.example"]}
    assert json.loads(found.text) == {"apiKeys": [PLAIN], **allowed, **CONTEXTS}


def test_behind_a_gateway_the_proxy_is_told_how_many_slots_each_model_has() -> None:
    """As the proxy reads it."""
    found = shipped(entry("anna", ANNA), proxy_agent_port=3001)
    one = settings().models["gpt-oss-120b"]

    slots = parse_keys(found.text).slots.of(one.name)
    assert slots == Slots((one.name, *one.aliases), one.parallel)
    assert "slots" not in json.loads(shipped(entry("anna", ANNA)).text)


def test_the_proxy_is_told_what_fits_into_each_model_by_all_of_its_names() -> None:
    """All slots together; nothing of one whose context is the model's own."""
    one = settings().models["gpt-oss-120b"]
    models = {
        "a": one.model_copy(update={"name": "a", "aliases": ["b", "c"], "parallel": 3}),
        "d": one.model_copy(update={"name": "d", "ctx_size": 0}),
    }
    found = api_keys.shipped(settings(api_keys=[entry("anna", ANNA)]).model_copy(
        update={"models": models}
    ))  # fmt: skip

    assert json.loads(found.text)["contexts"] == {"a": 24576, "b": 24576, "c": 24576}
    assert found.keys.context("b") == 24576
    assert found.keys.context("d") is None


def test_an_expired_key_is_shipped_and_named_as_such() -> None:
    """The proxy refuses it; a deploy of something else must not fail because time went by."""
    found = shipped(entry("anna", ANNA, expires="2020-01-01"), entry("ben", BEN))

    assert found.names == ["anna (expired)", "ben"]


def test_a_person_sees_which_key_of_a_name_ends() -> None:
    end = "2199-11-23T21:00:00Z"
    found = shipped(entry("anna", ANNA, expires=end), entry("anna", BEN))

    assert found.names == ["anna (until 2199-11-23 21:00 UTC)", "anna"]


def test_who_comes_goes_and_changes_is_told_by_name() -> None:
    anna, ben, carl = (entry(name, f"sk-{name}-0123456789") for name in ("anna", "ben", "carl"))
    there, wanted = shipped(anna, carl), shipped({**anna, "rpm": 3}, ben)

    assert api_keys.difference(there.marks, wanted.marks) == "+ ben, - carl, changed: anna"
    assert api_keys.difference(there.marks, there.marks) == ""
    assert api_keys.difference([], wanted.marks) == "+ anna, + ben"
    old = entry("anna", ANNA, expires="2199-01-01")
    assert api_keys.difference(shipped(anna).marks, shipped(old, anna).marks) == "changed: anna"


def test_no_key_shows_in_what_is_logged() -> None:
    api_keys.CONFIG.write_text(json.dumps({"apiKeys": [PLAIN]}))
    found = shipped()

    assert PLAIN not in repr(found) + repr(found.held())


# -- What is wrong with them

SHORT = "sk-me"
BAD: dict[str, tuple[Any, str, str]] = {
    "clear text": (PLAIN, "Key 2 is in clear text.", "remove it"),
    "weak clear text": (SHORT, "Key 2 is in clear text.", "remove it"),
    "a key in place of its hash": (
        {"name": "ben", "sha256": BEN},
        'Key 2 (ben) has no "sha256" of 64 hex digits.',
        "make one with `make key NAME=...`.",
    ),
    "no name": ({"sha256": "0123456789abcdef" * 4}, 'Key 2 needs a "name"', "docs/proxy.md"),
    "slip of the pen": (
        entry("ben", BEN, rmp=5),
        'Key 2 (ben) has "rmp": "rpm"?',
        "docs/proxy.md",
    ),
    "unknown field": (entry("ben", BEN, key=BEN), "Key 2 (ben) has a field that is none", "docs/"),
    "no text for a field": ({7: 1, "name": "ben"}, "Key 2 has a field whose name is no text.", ""),
    "bad limit": (entry("ben", BEN, rpm="5"), "not a whole number from 1.", "leave it out"),
    "bad date": (entry("ben", BEN, expires="soon"), 'unreadable "expires".', "2026-12-31"),
    "a weak one": (entry("ben", "changeme"), 'the "sha256" of a placeholder.', "make key"),
    "the same key": (entry("ben", ANNA), "is the same as key 1 (anna).", "remove one of them"),
    "the same name": (entry("anna", BEN), "is the second of its name.", 'an "expires"'),
    "a number": (5, "Key 2 is neither a string nor an object.", ""),
}


@pytest.mark.parametrize("fault", BAD)
def test_each_fault_is_told_with_its_mend_and_without_a_key(fault: str) -> None:
    value, what, fix = BAD[fault]

    ((found, mend),) = api_keys.faults([entry("anna", ANNA), value])

    assert what in found
    assert fix in mend
    assert not any(secret in found + mend for secret in (ANNA, BEN, PLAIN))


def test_a_key_in_clear_text_does_not_shift_the_others() -> None:
    found = [what for what, _ in api_keys.faults([PLAIN, entry("ben", BEN, rpm=0), SHORT])]

    assert [what.split(" ")[1] for what in found] == ["1", "3", "2"]


def test_origins_are_those_of_browsers() -> None:
    found = list(
        api_keys.faults_in_origins(["https://a.example", "a.example", "https://b.example/"])
    )

    assert [what for what, _ in found] == [
        f"'{origin}' is no scheme and host, as https://chat.example.com or app://obsidian.md."
        for origin in ("a.example", "https://b.example/")
    ]


# -- Which of them is held here


def test_the_held_key_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERD_API_KEY", f" {ANNA}\n")
    held = shipped(entry("anna", ANNA, models=["gpt-*"])).held()

    assert held.secret == ANNA
    assert (held.may_use("gpt-oss"), held.may_use("qwen")) == (True, False)


def test_without_it_whose_key_would_do_is_told() -> None:
    found = shipped(
        entry("anna", ANNA), entry("ben", BEN), entry("prometheus", PLAIN, scopes=["metrics"])
    ).held()

    assert found.secret is None
    assert found.lacking == "set HERD_API_KEY to the key of anna or ben"
    assert not found.may_use("gpt-oss")


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (BEN, "HERD_API_KEY is none of this host's keys: anna"),
        ("not even\na key", "HERD_API_KEY is none of this host's keys: anna"),
        (ANNA, "HERD_API_KEY is the key of anna, which has expired"),
        (PLAIN, "HERD_API_KEY is the key of prometheus, which has no scope for inference"),
    ],
)
def test_a_key_that_cannot_be_tried_is_told(
    monkeypatch: pytest.MonkeyPatch, own: str, words: str
) -> None:
    monkeypatch.setenv("HERD_API_KEY", own)
    expired = {"expires": "2020-01-01"} if own == ANNA else {}
    found = shipped(
        entry("anna", ANNA, **expired), entry("prometheus", PLAIN, scopes=["metrics"])
    ).held()

    assert found.secret is None
    assert found.lacking == words
    assert own not in found.lacking


def test_a_plain_key_of_this_workstation_is_held_only_if_it_is_shipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api_keys.CONFIG.write_text(json.dumps({"apiKeys": [entry("ben", BEN), PLAIN]}))
    monkeypatch.setenv("API_KEYS", ANNA)

    assert shipped().held().secret == PLAIN
    assert shipped(entry("anna", ANNA)).held().secret == ANNA
    assert shipped(entry("ben", BEN)).held().secret is None


def test_a_broken_file_does_not_matter_where_data_has_the_keys() -> None:
    api_keys.CONFIG.write_text("{")

    assert shipped(entry("anna", ANNA)).held().lacking.startswith("set HERD_API_KEY")
