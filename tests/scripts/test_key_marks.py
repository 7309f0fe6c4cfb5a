"""key-marks.sh: whose keys a Mac has, and nothing that would let anybody in."""

import json
import re

from herd.workstation import api_keys
from proxy.keys.key import digest_of
from proxy.keys.keys_file import parse_keys
from tests.scripts.conftest import Machine

PLAIN = 'sk-plain-"EXAMPLE"-\\0123456789'
ANNA = {
    "name": "anna",
    "sha256": digest_of("sk-anna-EXAMPLE-0123456789").hex(),
    "created": "2026-01-01",
    "expires": "2199-12-31",
    "models": ["gpt-*", "modèle, {x}"],
    "rpm": 60,
}
BEN = {"sha256": digest_of("sk-ben-EXAMPLE-0123456789").hex(), "name": "ben"}


def test_each_key_has_the_mark_that_the_workstation_expects(machine: Machine) -> None:
    document = {"apiKeys": [ANNA, PLAIN, BEN], "allowOrigins": ["https://a.example"]}
    file = machine.home / "my config.json"
    file.write_text(json.dumps(document, indent=2) + "\n")

    done = machine.run("key-marks", file)

    assert (done.returncode, done.stderr) == (0, "")
    marks = [api_keys.Mark(*line.split()) for line in done.stdout.splitlines()]
    assert marks == api_keys.Shipped(file.read_text(), parse_keys(file.read_text())).marks
    assert [mark.name for mark in marks] == ["anna", "#2", "ben"]
    assert all(re.fullmatch("[0-9a-f]{4}", mark.digest) for mark in marks)


def test_a_file_of_another_form_says_nothing(machine: Machine) -> None:
    file = machine.home / "config.json"
    for text in (json.dumps({"apiKeys": [PLAIN]}), json.dumps({"apiKeys": [PLAIN]}, indent=4), ""):
        file.write_text(text)
        assert machine.run("key-marks", file).stdout == ""
