"""The fleet's keys on the workstation: where they come from, and what to do when they are bad."""

import stat
from pathlib import Path

import pytest

from herd import keys


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("API_KEYS", raising=False)


def test_no_key_says_how_to_make_one() -> None:
    with pytest.raises(ValueError, match="no API key"):
        keys.read()

    assert "make key NAME=me" in keys.how_to_mend()


def test_a_broken_file_is_not_mended_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """config.json wins, so setting API_KEYS would not help."""
    monkeypatch.setenv("API_KEYS", "sk-from-the-environment-0123")
    keys.CONFIG.write_text('{"apiKeys": [')

    with pytest.raises(ValueError, match=r"config\.json: it is not valid JSON"):
        keys.read()
    assert "mend config.json, or remove it" in keys.how_to_mend()


def test_the_file_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "sk-a-from-the-environment, sk-b-from-the-environment")
    assert keys.read() == ["sk-a-from-the-environment", "sk-b-from-the-environment"]

    key = keys.add("me")

    assert keys.read() == [key]
    assert key.startswith("sk-me-")
    assert stat.S_IMODE(keys.CONFIG.stat().st_mode) == 0o600


def test_a_second_key_is_added_and_a_second_of_one_name_is_refused() -> None:
    first, second = keys.add("me"), keys.add("you")

    assert keys.read() == [first, second]
    with pytest.raises(ValueError, match="named me already"):
        keys.add("me")
    assert keys.read() == [first, second]
