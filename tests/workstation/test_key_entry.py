"""`make key`: a key that is shown once, and an entry where the next deploy finds it."""

import argparse
import ast
import json
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from herd.workstation import api_keys, key_entry
from proxy.keys.key import digest_of
from proxy.keys.keys_file import parse_keys
from proxy.keys.keys_file_entry import instant

HASH = digest_of("sk-old-EXAMPLE-0123456789").hex()


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("API_KEYS", raising=False)


def make(*words: str, **declared: list[Any]) -> str:
    parser = argparse.ArgumentParser()
    key_entry.add_options(parser)
    return key_entry.make(parser.parse_args(words), declared)


def key_in(text: str) -> str:
    (found,) = re.findall(r"^  (sk-herd-\S{43})$", text, re.MULTILINE)
    return str(found)


def entries_in(text: str) -> list[dict[str, Any]]:
    """The lines to paste, read as Python reads them."""
    lines = re.findall(r"^  (\{.*\},)$", text, re.MULTILINE)
    return [ast.literal_eval(line)[0] for line in lines]


def config() -> list[Any]:
    text = api_keys.CONFIG.read_text()
    parse_keys(text)
    return list(json.loads(text)["apiKeys"])


# -- To config.json


def test_a_key_is_shown_once_and_only_its_hash_is_kept() -> None:
    text = make("anna", "--models", "gpt-*", "--rpm", "60")

    key = key_in(text)
    (entry,) = config()
    assert entry["sha256"] == digest_of(key).hex()
    assert (entry["name"], entry["models"], entry["rpm"]) == ("anna", ["gpt-*"], 60)
    assert entries_in(text) == [entry]
    assert key not in api_keys.CONFIG.read_text()
    assert stat.S_IMODE(api_keys.CONFIG.stat().st_mode) == 0o600
    assert list(Path().iterdir()) == [api_keys.CONFIG]


def test_it_says_what_to_do_next_without_putting_the_key_into_the_shells_history() -> None:
    text = make("anna")

    assert "make deploy" in text
    assert "read -rs HERD_API_KEY; export HERD_API_KEY" in text
    assert text.count(key_in(text)) == 1


def test_what_is_in_the_file_stays() -> None:
    plain = "sk-plain-EXAMPLE-0123456789"
    api_keys.CONFIG.write_text(
        json.dumps({"apiKeys": [plain], "allowOrigins": ["https://a.example"]})
    )

    make("anna")

    assert config()[0] == plain
    assert json.loads(api_keys.CONFIG.read_text())["allowOrigins"] == ["https://a.example"]


def test_a_file_that_takes_the_place_of_a_variable_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "sk-a-from-the-environment")

    assert "API_KEYS is set, too" in make("anna")
    assert "API_KEYS is set, too" not in make("ben")


def test_a_name_in_use_and_a_broken_file_are_refused_and_change_nothing() -> None:
    make("anna")
    before = api_keys.CONFIG.read_text()

    with pytest.raises(ValueError, match=r"config\.json has a key of anna already; `--rotate`"):
        make("anna")
    with pytest.raises(ValueError, match="no key of ben to rotate"):
        make("ben", "--rotate")
    with pytest.raises(ValueError, match="not a whole number"):
        make("ben", "--rpm", "0")
    assert api_keys.CONFIG.read_text() == before

    api_keys.CONFIG.write_text('{"apiKeys": [')
    with pytest.raises(ValueError, match=r"config\.json: it is not valid JSON"):
        make("ben")
    assert api_keys.CONFIG.read_text() == '{"apiKeys": ['


def test_a_rotated_key_has_the_same_rights_and_the_older_one_ends() -> None:
    make("anna", "--models", "gpt-*", "--rpm", "60", "--expires", "90d")
    make("ben")

    text = make("anna", "--rotate", "--rpm", "30", "--overlap", "2h")

    old, ben, new = config()
    assert (ben["name"], new["name"], new["models"], new["rpm"]) == ("ben", "anna", ["gpt-*"], 30)
    left = instant(old["expires"], end_of_day=True) - datetime.now(UTC).timestamp()
    assert 0 <= 7200 - left < 60
    assert f"works until {old['expires']}" in text


def test_a_key_that_ends_sooner_than_the_overlap_still_does() -> None:
    soon = f"{datetime.now(UTC) + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}"
    api_keys.CONFIG.write_text(
        json.dumps({"apiKeys": [{"name": "anna", "sha256": HASH, "expires": soon}]})
    )

    make("anna", "--rotate", "--expires", "90d")

    assert config()[0]["expires"] == soon


def in_days(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"


def test_a_rotated_key_gets_as_long_a_life_as_the_older_one_had_unless_told_otherwise() -> None:
    old = {"name": "anna", "sha256": HASH, "created": in_days(-80), "expires": in_days(10)}
    api_keys.CONFIG.write_text(json.dumps({"apiKeys": [old]}))
    in_data = make("anna", "--rotate", **{"group_data/all.py": [old]})
    text = make("anna", "--rotate")

    assert [entry["expires"] for entry in (config()[1], entries_in(in_data)[1])] == [
        in_days(90)
    ] * 2
    for words in (text, in_data):
        assert f"It works until {in_days(90)}: for as long as the older key of anna was" in words

    api_keys.CONFIG.write_text(json.dumps({"apiKeys": [old]}))
    make("anna", "--rotate", "--expires", "7d")
    assert config()[1]["expires"] == in_days(7)


def test_a_life_of_hours_is_as_long_again() -> None:
    now = datetime.now(UTC)
    old = {
        "name": "anna",
        "sha256": HASH,
        "created": f"{now - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}",
        "expires": f"{now + timedelta(hours=4):%Y-%m-%dT%H:%M:%SZ}",
    }
    api_keys.CONFIG.write_text(json.dumps({"apiKeys": [old]}))

    make("anna", "--rotate")

    left = instant(config()[1]["expires"], end_of_day=True) - now.timestamp()
    assert abs(left - 6 * 3600) < 60


def test_a_life_that_nobody_can_tell_is_asked_for() -> None:
    old = {"name": "anna", "sha256": HASH, "expires": in_days(10)}
    api_keys.CONFIG.write_text(json.dumps({"apiKeys": [old]}))

    with pytest.raises(ValueError, match=r'no "created".*--expires 90d'):
        make("anna", "--rotate")
    assert config() == [old]


def test_a_third_key_of_a_name_waits_until_the_first_has_ended() -> None:
    make("anna")
    make("anna", "--rotate")
    with pytest.raises(
        ValueError, match=r"two keys of anna.*`--rotate --overlap 0m` replaces both"
    ):
        make("anna", "--rotate")

    old, new = config()
    ended = {**old, "created": "2019-01-01", "expires": "2020-01-01"}
    api_keys.CONFIG.write_text(json.dumps({"apiKeys": [ended, new]}))
    make("anna", "--rotate")

    assert [entry["sha256"] for entry in config()][:-1] == [new["sha256"]]


def test_an_expired_key_is_replaced_without_a_rotation() -> None:
    api_keys.CONFIG.write_text(
        json.dumps({"apiKeys": [{"name": "anna", "sha256": HASH, "expires": "2020-01-01"}]})
    )

    make("anna")

    (entry,) = config()
    assert entry["sha256"] != HASH


@pytest.mark.parametrize("rotations", [0, 1])
def test_a_leaked_key_is_replaced_at_once_even_within_an_overlap(rotations: int) -> None:
    make("anna", "--rpm", "60")
    make("ben")
    for _ in range(rotations):
        make("anna", "--rotate")
    before = config()
    in_data = make("anna", "--rotate", "--overlap", "0m", **{"group_data/all.py": before})
    text = make("anna", "--rotate", "--overlap", "0m")

    ben, new = config()
    assert (ben["name"], new["name"], new["rpm"]) == ("ben", "anna", 60)
    assert new["sha256"] == digest_of(key_in(text)).hex()
    assert "The older key of anna ends with the next deploy." in text
    assert "in place of every entry of anna:" in in_data
    assert len(entries_in(in_data)) == 1


@pytest.mark.parametrize("overlap", ["=soon", "=1w", "=", "=-1h", " -5h", ""])
def test_an_overlap_is_a_time(overlap: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make("anna", *f"--overlap{overlap}".split(" "))

    assert "--overlap: it is a time as 30m, 24h or 7d" in capsys.readouterr().err


# -- To group_data

OLD = {"name": "anna", "sha256": HASH, "models": ["modèle*"]}


def test_where_data_has_keys_the_entry_is_to_be_pasted_there() -> None:
    text = make("ben", **{"group_data/all.py": [OLD]})

    (entry,) = entries_in(text)
    assert entry["name"] == "ben"
    assert entry["sha256"] == digest_of(key_in(text)).hex()
    assert "To `api_keys` of group_data/all.py add" in text
    assert "Next: paste, then `make deploy`." in text
    assert not api_keys.CONFIG.exists()


def test_a_rotation_prints_both_entries_as_python_reads_them() -> None:
    text = make("anna", "--rotate", **{"group studios": [OLD], "group minis": []})

    studio_old, studio_new, mini_new = entries_in(text)
    assert studio_new == mini_new
    assert {**studio_old, "expires": None} == {**OLD, "expires": None}
    assert studio_new["models"] == ["modèle*"]
    parse_keys(json.dumps({"apiKeys": [studio_old, studio_new]}))
    assert "In `api_keys` of group studios, in place of the entry of anna" in text


def test_a_name_in_use_in_data_is_refused() -> None:
    with pytest.raises(ValueError, match=r"group_data/all\.py has a key of anna already"):
        make("anna", **{"group_data/all.py": [OLD]})
    with pytest.raises(ValueError, match="no key of ben to rotate"):
        make("ben", "--rotate", **{"group_data/all.py": [OLD]})
