"""Which text is refused, because it could not be carried exactly."""

import json
import plistlib
import shlex

import pytest
import yaml

from herd.core.text.quoting import complaint, shell_quote, xml_quote, yaml_quote
from tests.core.samples import HOSTILE


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_is_accepted_and_survives_each_quoting(value: str) -> None:
    assert complaint(value) is None
    assert shlex.split(shell_quote(value)) == [value]
    assert yaml.safe_load(yaml_quote(value)) == value
    assert json.loads(yaml_quote(value)) == value
    plist = f'<plist version="1.0"><string>{xml_quote(value)}</string></plist>'
    assert plistlib.loads(plist.encode()) == value


@pytest.mark.parametrize(
    "character",
    [
        *("\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\x9f"),
        *("\u2028", "\u2029", "\ufeff", "\ufffe", "\uffff", "\ud800"),
    ],
)
def test_a_character_that_is_not_printable_is_refused_and_named(character: str) -> None:
    assert f"U+{ord(character):04X}" in str(complaint(f"a{character}b"))


@pytest.mark.parametrize("value", ["${PORT}", "a${env.HOME}b", "${", "'${x}'"])
def test_a_macro_of_llama_swap_is_refused_where_it_would_be_read_as_one(value: str) -> None:
    assert "macro" in str(complaint(value))
    assert complaint(value, llama_swap=False) is None


@pytest.mark.parametrize("value", ["$", "$x", "{x}", "$ {x}", "x$"])
def test_a_dollar_that_starts_no_macro_is_fine(value: str) -> None:
    assert complaint(value) is None
