"""What config.json and API_KEYS may say about keys, and what is done with them."""

import json
import os
import re
from pathlib import Path

import pytest

from proxy.keys import Keys, new_key, parse_key_list, parse_keys
from proxy.keystore import KeyStore


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
    keys = parse_keys(config("alpha", "beta"))

    found = [keys.find("alpha"), keys.find("beta")]
    assert [key.label for key in found if key] == ["1", "2"]
    for wrong in ("", "alph", "alphaa", "ALPHA", "alpha,beta", "gamma", "alph\u00e4", "\udcff"):
        assert keys.find(wrong) is None


def test_every_entry_is_compared_whatever_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of comparisons tells nothing about the key, and they are constant-time ones."""
    compared = []

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("hmac.compare_digest", spy)
    keys = parse_keys(config("alpha", "beta", "gamma"))
    for text in ("alpha", "gamma", "wrong"):
        compared.clear()
        keys.find(text)

        assert len(compared) == 3
        assert {len(side) for pair in compared for side in pair} == {32}


def test_no_representation_shows_a_key_or_its_digest() -> None:
    """Objects end up in logs and tracebacks."""
    keys = parse_keys(config("very-secret"))

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
        (config("secret-1", 7), "key 2 is not a string"),
        (config(""), "key 1 is empty"),
        (config("secret key"), "key 1 has whitespace"),
        (config("secret\n"), "key 1 has whitespace"),
        (config("secret\u0007"), "key 1 has control characters"),
        (config("secr\u00e9t"), "key 1 has characters outside ASCII"),
        (config("secret", "x", "secret"), "key 3 is the same as key 1"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_without_quoting_it(text: str, says: str) -> None:
    """Each kind of mistake has its words, and no value of the file is in them."""
    said = problem(text)

    assert says in said
    assert "secr" not in said


def test_all_problems_are_named_at_once() -> None:
    """One run is enough to know what to mend."""
    said = problem(config("", None, "a b", "good", "good"))

    assert [f"key {number}" in said for number in (1, 2, 3, 5)] == [True] * 4


def test_key_list_of_the_environment_is_split_at_commas() -> None:
    """Spaces around a comma and a comma at the end are no keys."""
    keys = parse_key_list("alpha, beta,")

    assert isinstance(keys, Keys)
    assert [entry.label for entry in keys.entries] == ["1", "2"]
    assert keys.find("beta")


class TestKeyStore:
    """The file has priority, and what it says counts from the moment it says it."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        file = tmp_path / "config.json"
        file.write_text(config("alpha"))
        return file

    def test_file_wins_over_the_environment(self, path: Path) -> None:
        """As in the original."""
        store = KeyStore(path, "from-env")

        assert store.current().find("alpha")
        assert store.current().find("from-env") is None
        assert str(store) == f"1 key from {path}"

    def test_environment_serves_while_there_is_no_file(self, path: Path) -> None:
        """And the file takes over when it comes."""
        path.unlink()
        store = KeyStore(path, "a,b")
        assert str(store) == "2 keys from API_KEYS"
        assert store.current().find("b")

        path.write_text(config("alpha"))

        assert store.current().find("b") is None
        assert store.current().find("alpha")

    def test_no_key_anywhere_is_refused(self, path: Path) -> None:
        """A proxy without keys lets nobody in, or everybody."""
        path.unlink()

        with pytest.raises(ValueError, match=r"no API key: .* does not exist and API_KEYS is not"):
            KeyStore(path, "  ")

    def test_broken_file_at_the_start_is_refused_even_with_an_environment(self, path: Path) -> None:
        """Falling back would let in keys that the file was to replace."""
        path.write_text("{")

        with pytest.raises(ValueError, match=r"config\.json: it is not valid JSON"):
            KeyStore(path, "from-env")

    def test_file_of_other_bytes_is_refused(self, path: Path) -> None:
        """UTF-16 from another system's editor is a message, not a traceback."""
        path.write_text(config("alpha"), encoding="utf-16")

        with pytest.raises(ValueError, match="not UTF-8 at byte 0"):
            KeyStore(path)

    def test_byte_order_mark_is_overlooked(self, path: Path) -> None:
        """It is invisible in the editor that wrote it."""
        path.write_text(config("alpha"), encoding="utf-8-sig")

        assert KeyStore(path).current().find("alpha")

    def test_changed_file_counts_at_once(self, path: Path) -> None:
        """A key added is let in, a key removed is not, without a restart."""
        store = KeyStore(path)
        path.write_text(config("beta"))

        assert store.current().find("beta")
        assert store.current().find("alpha") is None

    def test_replaced_file_of_same_size_and_time_counts(self, path: Path) -> None:
        """`mv` of a file copied with its times: only inode and ctime differ."""
        store = KeyStore(path)
        before = path.stat()
        other = path.with_name("new")
        other.write_text(config("gamma"))
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(path)
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (
            before.st_size,
            before.st_mtime_ns,
        )

        assert store.current().find("gamma")

    def test_unchanged_file_is_not_read_again(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A request costs a stat, not a parse."""
        store = KeyStore(path)
        monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("read again"))

        assert store.current().find("alpha")

    @pytest.mark.parametrize("text", ["{", config("be ta"), config()])
    def test_broken_file_keeps_the_old_keys_and_says_why_once(
        self, path: Path, text: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A slip of the editor locks nobody out; the next good version counts."""
        store = KeyStore(path)
        path.write_text(text)

        for _ in range(3):
            assert store.current().find("alpha")
        assert caplog.text.count("the old keys stay in force") == 1
        assert "be ta" not in caplog.text

        path.write_text(config("beta"))
        assert store.current().find("beta")

    def test_file_that_is_gone_keeps_the_old_keys(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not even API_KEYS takes its place: that would be a change nobody asked for."""
        store = KeyStore(path, "from-env")
        path.unlink()

        assert store.current().find("alpha")
        assert store.current().find("from-env") is None
        assert "is gone" in caplog.text
