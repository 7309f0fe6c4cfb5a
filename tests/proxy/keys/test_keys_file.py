"""What config.json and API_KEYS may say about keys, and what is done with them."""

import json
import os
import re
from pathlib import Path

import pytest

from proxy.keys.key import Keys
from proxy.keys.keys_file import new_key, parse_key_list, parse_keys
from proxy.keys.store import KeyStore

GOOD = "secret-0123456789"
FROM_ENV = "sk-from-the-environment"
ALPHA, BETA, GAMMA = (f"sk-{name}-0123456789" for name in ("alpha", "beta", "gamma"))


def problem(text: str) -> str:
    try:
        parse_keys(text)
    except ValueError as error:
        return str(error)
    pytest.fail("it was accepted")


def config(*keys: object) -> str:
    return json.dumps({"apiKeys": list(keys)})


def test_new_keys_are_long_random_and_recognisable() -> None:
    """A leak scanner finds `sk-herd-`; nobody guesses 256 bits."""
    keys = {new_key() for _ in range(100)}

    assert len(keys) == 100
    assert all(re.fullmatch(r"sk-herd-[A-Za-z0-9_-]{43}", key) for key in keys)
    assert parse_keys(config(*keys))


def test_each_key_of_the_file_is_found_and_no_other() -> None:
    """The entry found says which one it was."""
    keys = parse_keys(config(ALPHA, BETA))

    found = [keys.find(ALPHA), keys.find(BETA)]
    assert [key.name for key in found if key] == ["#1", "#2"]
    for wrong in (
        "",
        ALPHA[:-1],
        ALPHA + "a",
        ALPHA.upper(),
        f"{ALPHA},{BETA}",
        GAMMA,
        "\u00e4",
        "\udcff",
    ):
        assert keys.find(wrong) is None


def test_found_entries_are_compared_in_constant_time_and_misses_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One comparison of two digests, whatever was guessed."""
    compared = []

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("hmac.compare_digest", spy)
    keys = parse_keys(config(ALPHA, BETA, GAMMA))
    for text in (ALPHA, GAMMA, "wrong"):
        keys.find(text)

    assert len(compared) == 3
    assert {len(side) for pair in compared for side in pair} == {32}


def test_no_representation_shows_a_key_or_its_digest() -> None:
    """Objects end up in logs and tracebacks."""
    keys = parse_keys(config("kx-secret-0123456789"))

    assert "secret" not in repr(keys)
    assert "digest" not in repr(keys)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not valid JSON: Expecting value at line 1 column 1"),
        ('{"apiKeys": [\n"secret",]}', "line 2 column"),
        ("[" * 100_000, "not valid JSON"),
        ('["secret"]', "must be an object"),
        ('{"apikeys": ["secret"]}', 'no "apiKeys"'),
        ('{"apiKeys": "secret"}', "must be a list"),
        (config(), "there is no key"),
        (config(GOOD, 7), "key 2 is neither a string nor an object"),
        (config(""), "key 1 is empty"),
        (config("secret key"), "key 1 has whitespace"),
        (config("secret\n"), "key 1 has whitespace"),
        (config("secret\u0007"), "key 1 has control characters"),
        (config("secr\u00e9t"), "key 1 has characters outside ASCII"),
        (config(GOOD, ALPHA, GOOD), "key 3 is the same as key 1; remove one"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_without_quoting_it(text: str, says: str) -> None:
    """Each kind of mistake has its words, and no value of the file is in them."""
    said = problem(text)

    assert says in said
    assert "secr" not in said


def test_all_problems_are_named_at_once() -> None:
    """One run is enough to know what to mend."""
    said = problem(config("", None, "a b", GOOD, GOOD))

    assert [f"key {number}" in said for number in (1, 2, 3, 5)] == [True] * 4


def test_key_list_of_the_environment_is_split_at_commas() -> None:
    """Spaces around a comma and a comma at the end are no keys."""
    keys = parse_key_list(f"{ALPHA}, {BETA},")

    assert isinstance(keys, Keys)
    assert [entry.name for entry in keys.entries] == ["#1", "#2"]
    assert keys.find(BETA)


class TestKeyStore:
    """The file has priority, and what it says counts from the moment it says it."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        file = tmp_path / "config.json"
        file.write_text(config(ALPHA))
        return file

    def test_file_wins_over_the_environment(self, path: Path) -> None:
        """As in the original."""
        store = KeyStore(path, FROM_ENV)

        assert store.current().find(ALPHA)
        assert store.current().find(FROM_ENV) is None
        assert str(store) == f"1 key from {path}"

    def test_environment_serves_while_there_is_no_file(self, path: Path) -> None:
        """And the file takes over when it comes."""
        path.unlink()
        store = KeyStore(path, f"{ALPHA},{BETA}")
        assert str(store) == "2 keys from API_KEYS"
        assert store.current().find(BETA)

        path.write_text(config(ALPHA))

        assert store.current().find(BETA) is None
        assert store.current().find(ALPHA)

    def test_no_key_anywhere_is_refused(self, path: Path) -> None:
        """A proxy without keys lets nobody in, or everybody."""
        path.unlink()

        with pytest.raises(ValueError, match=r"no API key: .* does not exist and API_KEYS is not"):
            KeyStore(path, "  ")

    def test_broken_file_at_the_start_is_refused_even_with_an_environment(self, path: Path) -> None:
        """Falling back would let in keys that the file was to replace."""
        path.write_text("{")

        with pytest.raises(ValueError, match=r"config\.json: it is not valid JSON"):
            KeyStore(path, FROM_ENV)

    def test_file_of_other_bytes_is_refused(self, path: Path) -> None:
        """UTF-16 from another system's editor is a message, not a traceback."""
        path.write_text(config(ALPHA), encoding="utf-16")

        with pytest.raises(ValueError, match="not UTF-8 at byte 0"):
            KeyStore(path)

    def test_byte_order_mark_is_overlooked(self, path: Path) -> None:
        """It is invisible in the editor that wrote it."""
        path.write_text(config(ALPHA), encoding="utf-8-sig")

        assert KeyStore(path).current().find(ALPHA)

    def test_changed_file_counts_at_once(self, path: Path) -> None:
        """A key added is let in, a key removed is not, without a restart."""
        store = KeyStore(path)
        path.write_text(config(BETA))

        assert store.current().find(BETA)
        assert store.current().find(ALPHA) is None

    def test_replaced_file_of_same_size_and_time_counts(self, path: Path) -> None:
        """`mv` of a file copied with its times: only inode and ctime differ."""
        store = KeyStore(path)
        before = path.stat()
        other = path.with_name("new")
        other.write_text(config(GAMMA))
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(path)
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (
            before.st_size,
            before.st_mtime_ns,
        )

        assert store.current().find(GAMMA)

    def test_unchanged_file_is_not_read_again(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A request costs a stat, not a parse."""
        store = KeyStore(path)
        monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("read again"))

        assert store.current().find(ALPHA)

    @pytest.mark.parametrize("text", ["{", config("be ta"), config()])
    def test_broken_file_keeps_the_old_keys_and_says_why_once(
        self, path: Path, text: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A slip of the editor locks nobody out; the next good version counts."""
        store = KeyStore(path)
        path.write_text(text)

        for _ in range(3):
            assert store.current().find(ALPHA)
        assert caplog.text.count("the old keys stay in force") == 1
        assert "be ta" not in caplog.text

        path.write_text(config(BETA))
        assert store.current().find(BETA)

    def test_file_that_is_gone_keeps_the_old_keys(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not even API_KEYS takes its place: that would be a change nobody asked for."""
        store = KeyStore(path, FROM_ENV)
        path.unlink()

        assert store.current().find(ALPHA)
        assert store.current().find(FROM_ENV) is None
        assert "is gone" in caplog.text
