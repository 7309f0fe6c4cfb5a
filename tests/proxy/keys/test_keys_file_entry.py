"""Entries with a hash: what they may say, and how each mistake is reported."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from proxy.keys.key import Keys, Limits, Scope
from proxy.keys.keys_file import parse_keys
from proxy.keys.keys_file_entry import FIELDS, instant

DAY = 86400
SECRET = "sk-herd-" + "Abc123xyz-" * 4


def hashed(name: str = "anna", secret: str = SECRET, **more: object) -> dict[str, Any]:
    return {"name": name, "sha256": hashlib.sha256(secret.encode()).hexdigest(), **more}


def parse(*entries: object, **more: object) -> Keys:
    return parse_keys(json.dumps({"apiKeys": list(entries), **more}))


def test_hashed_entry_is_found_by_its_secret_and_not_by_its_hash() -> None:
    """A hash in a repository opens nothing."""
    keys = parse(hashed())
    found = keys.find(SECRET)

    assert found
    assert (found.name, found.scopes, found.limits) == ("anna", {Scope.INFERENCE}, Limits())
    assert keys.find(hashed()["sha256"]) is None


def test_everything_an_entry_may_say() -> None:
    """All fields at once."""
    entry = hashed(
        created="2026-11-22", expires="2026-12-31", models=["gpt-*", "qwen"],
        scopes=["inference", "metrics"], rpm=60, tpm=1000, tpd=100000, parallel=4,
    )  # fmt: skip
    key = parse(entry).find(SECRET)

    assert key
    assert key.scopes == {Scope.INFERENCE, Scope.METRICS}
    assert key.limits == Limits(rpm=60, tpm=1000, tpd=100000, parallel=4)
    models = ("gpt-oss", "qwen", "qwen3", "GPT-x", None)
    assert [key.may_use(model) for model in models] == [True, True, False, False, False]
    end = instant("2026-12-31", end_of_day=True)
    assert (key.expired(end - 1), key.expired(end)) == (False, True)


def test_plain_keys_may_infer_with_every_model_and_nothing_else() -> None:
    """As config.json has always meant it."""
    key = parse("plain-key-0123456789").find("plain-key-0123456789")

    assert key
    assert key.scopes == {Scope.INFERENCE}
    assert key.may_use("anything")
    assert key.may_use(None)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"sha256": "a" * 64}, 'key 1 needs a "name"'),
        (hashed(name="an na"), 'key 1 needs a "name"'),
        (hashed() | {"sha256": "abc"}, 'key 1 (anna) has no "sha256" of 64 hex digits'),
        (hashed() | {"sha256": "0" * 64}, 'key 1 (anna) has the "sha256" of a placeholder'),
        (hashed(secret="your-key-here"), "of a placeholder"),
        (hashed(secret=""), "of a placeholder"),
        (hashed(rpms=3), 'has "rpms": "rpm"?'),
        (hashed(**{SECRET: 1}), "has a field that is none of name"),
        (hashed(rpm=0), 'has a "rpm" that is not a whole number from 1'),
        (hashed(tpd="many"), 'has a "tpd"'),
        (hashed(parallel=True), 'has a "parallel"'),
        (hashed(tpm=1.5), 'has a "tpm"'),
        (hashed(scopes=["root"]), "some of inference, admin, metrics"),
        (hashed(scopes="admin"), 'has "scopes" that'),
        (hashed(scopes=[]), 'has "scopes" that'),
        (hashed(models=[]), 'has "models" that'),
        (hashed(models=[1]), 'has "models" that'),
        (hashed(expires="soon"), 'has an unreadable "expires"; write it as 2026-12-31'),
        (hashed(created=5), 'has an unreadable "created"'),
        (hashed(created="2026-02-02", expires="2026-02-01"), 'not after "created"'),
        ("sk-xxxxxxxx", "key 1 is a placeholder"),
        ("your-key-here", "key 1 is a placeholder"),
        ("<put your key here please>", "whitespace"),
        ("changeme", "key 1 is a placeholder"),
        ("abcdefghijk", "key 1 is shorter than 12"),
        ("abababababababababab", "key 1 has fewer than 6 different"),
    ],
)
def test_each_mistake_has_its_words_and_no_secret_in_them(entry: object, says: str) -> None:
    """What is wrong, of which entry, and what to do."""
    with pytest.raises(ValueError, match="key 1") as refused:
        parse(entry)

    assert says in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "abababab" not in str(refused.value)


def test_all_faults_of_all_entries_come_in_one_report() -> None:
    """One run is enough to know what to mend."""
    with pytest.raises(ValueError, match="key 1") as refused:
        parse(hashed(rpm=0, scopes=[]), hashed("bob", "other", tpm=-1), 7, allowOrigins="*")

    said = str(refused.value).split("; ")
    for part in ('key 1 (anna) has a "rpm"', "key 1 (anna) has \"scopes\"",
                 'key 2 (bob) has a "tpm"', "key 3 is neither", '"allowOrigins" must'):  # fmt: skip
        assert any(text.startswith(part) for text in said), part


def test_same_secret_twice_is_refused_plain_or_hashed() -> None:
    """Whose limits hold would be a matter of order."""
    with pytest.raises(ValueError, match=r"key 2 \(anna\) is the same as key 1; remove one"):
        parse(SECRET, hashed())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"apiKeys": ["a"], "apiKeys": ["b"]}', '"apiKeys"'),
        ('{"apiKeys": [{"name": "a", "models": ["x"], "models": ["*"]}]}', '"models"'),
        (f'{{"apiKeys": [{{"{SECRET}": 1, "{SECRET}": 2}}]}}', "a name"),
    ],
)
def test_name_that_stands_twice_is_refused(text: str, name: str) -> None:
    """JSON leaves open which of them counts."""
    with pytest.raises(ValueError, match=f"^it has {name} twice in one object$"):
        parse_keys(text)


class TestRotation:
    """An old key and its successor share a name for a while."""

    def test_two_keys_of_one_name_are_fine_while_one_of_them_ends(self) -> None:
        """The last one says the limits of the name."""
        old = hashed(secret="old", expires="2026-12-31", rpm=5)
        keys = parse(old, hashed(secret="new", rpm=9))

        assert {key.name for key in keys.entries} == {"anna"}
        assert keys.limits("anna").rpm == 9

    def test_two_keys_of_one_name_for_ever_are_refused(self) -> None:
        """It would be forgotten."""
        with pytest.raises(ValueError, match='second of its name; give the older one an "expires"'):
            parse(hashed(secret="old"), hashed(secret="new"))

    def test_three_keys_of_one_name_are_refused(self) -> None:
        """One rotation at a time."""
        with pytest.raises(ValueError, match="third of its name"):
            parse(*(hashed(secret=secret, expires="2026-12-31") for secret in ("o", "n", "m")))

    def test_expired_entry_is_no_fault(self) -> None:
        """A file must not become unreadable by the clock alone."""
        assert parse(hashed(expires="2001-01-01")).find(SECRET)


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "chat.example", "https://chat.example/", "https://CHAT.example", 7,
     "https://u@chat.example", "https://chat.example:443", "http://[::1", "file://", "app:obsidian",
     "https://*", "https://*.com", "http://*:3000", "https://a.*.example", "http://localhost:70000",
     "http://localhost:0", "*://localhost", "https://chat.example:", "app://obsidian.md/x", ""],
)  # fmt: skip
def test_origin_that_no_browser_would_send_is_refused(origin: object) -> None:
    """It would never match, and the reader would wonder why."""
    with pytest.raises(ValueError, match="allowOrigins"):
        parse(SECRET, allowOrigins=[origin])


@pytest.mark.parametrize(
    "contexts", [[], 5, {"m": 0}, {"m": -1}, {"m": "8192"}, {"m": 1.5}, {"m": True}]
)
def test_contexts_are_tokens(contexts: object) -> None:
    with pytest.raises(ValueError, match='"contexts" must be tokens by the name of a model'):
        parse(hashed(), contexts=contexts)


def test_contexts_are_kept() -> None:
    assert parse(hashed(), contexts={"m": 8192}).context("m") == 8192
    assert parse(hashed()).context("m") is None


def test_origins_are_kept() -> None:
    """With a port or without, of any scheme."""
    origins = [
        "https://chat.example", "http://localhost:5173", "app://obsidian.md", "tauri://localhost",
        "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb", "capacitor://localhost", "app://-",
        "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc", "http://[::1]:3000",
        "vscode-webview://0q2m3n4o5p6q7r8s9t0u1v2w3x4y5z6a7b8c9d0e1f2g3h4i5j6k",
    ]  # fmt: skip

    kept = parse(SECRET, allowOrigins=origins).origins
    assert all(origin in kept for origin in origins)
    assert not any(f"{origin}x" in kept or origin[1:] in kept for origin in origins)
    assert None not in kept


@pytest.mark.parametrize(
    ("pattern", "like", "unlike"),
    [
        ("http://localhost:*", ["http://localhost", "http://localhost:5173"],
         ["https://localhost:1", "http://localhost.evil.example", "http://localhost:5173x",
          "http://localhost:", "http://xlocalhost:1", "http://localhost:1\n"]),
        ("http://127.0.0.1:*", ["http://127.0.0.1:8000"], ["http://127a0.0.1:8000"]),
        ("http://[::1]:*", ["http://[::1]:8000"], ["http://::1:8000"]),
        ("https://*.example.com", ["https://a.example.com", "https://a.b.example.com"],
         ["https://example.com", "https://aexample.com", "http://a.example.com",
          "https://a.example.com:8443", "https://a.example.com.evil.example", "https://.example.com",
          "https://evil.example/.example.com"]),
        ("chrome-extension://*", ["chrome-extension://abc", "chrome-extension://1.2-x"],
         ["moz-extension://abc", "chrome-extension://", "chrome-extension://a/b"]),
        ("vscode-webview://*", ["vscode-webview://0abc"], ["null", "vscode-webview"]),
    ],
)  # fmt: skip
def test_patterns_of_origins(pattern: str, like: list[str], unlike: list[str]) -> None:
    """Of ports, of what is below a domain, and of hosts that no web has."""
    kept = parse(SECRET, allowOrigins=[pattern, "https://named.example"]).origins

    assert [origin for origin in like if origin not in kept] == []
    assert [origin for origin in unlike if origin in kept] == []
    assert "https://named.example" in kept


def test_why_an_origin_is_refused_is_said() -> None:
    """For each of them at once."""
    with pytest.raises(ValueError) as said:  # noqa: PT011 - its words are looked at below
        parse(SECRET, allowOrigins=["null", "https://ok.example", "*", "https://x.example/"])
    words = str(said.value)
    assert 'number 1 of "allowOrigins" is what any page may have that hides' in words
    assert 'number 3 of "allowOrigins" would be every page' in words
    assert 'number 4 of "allowOrigins" is no scheme and host' in words
    assert "number 2" not in words


def test_every_field_is_documented() -> None:
    """And the documented entry is readable but for its shortened hash."""
    text = (Path(__file__).parents[3] / "docs" / "proxy.md").read_text()
    example = json.loads(text.partition("```json\n")[2].partition("```")[0])
    example["apiKeys"][1]["sha256"] = hashed()["sha256"]

    assert set(example["apiKeys"][1]) == set(FIELDS)
    assert all(f"`{name}`" in text for name in FIELDS)
    assert parse(*example["apiKeys"], allowOrigins=example["allowOrigins"]).find(SECRET)
