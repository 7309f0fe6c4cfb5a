"""docs/settings.md is what `make docs` writes, and tells of every setting what is so."""

import pytest

from docs import write_settings as generator
from herd.core.settings.llama_swap_options import Filters
from herd.core.settings.schema import Group, Model, Settings
from herd.core.settings.swap_matrix import Matrix
from tests.core.samples import defaults

PAGE = generator.PAGE.read_text()
ROWS = {
    row[0].strip("`"): row[1:]
    for row in (line.strip("| ").split(" | ") for line in PAGE.splitlines())
    if len(row) > 2 and row[0].startswith("`")
}


def test_the_page_is_as_make_docs_writes_it() -> None:
    assert generator.page() == PAGE, "run `make docs`"


def test_every_setting_has_a_row_and_nothing_else_has() -> None:
    known = {*Settings.model_fields, "model_defaults", *Model.model_fields, *Group.model_fields}
    known |= Filters.model_fields.keys() | Matrix.model_fields.keys()

    assert set(ROWS) == known - {"name"}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_row_has_the_real_default_and_a_meaning(name: str) -> None:
    default, _, meaning = ROWS[name]

    assert eval(default.strip("`")) == defaults()[name]
    assert len(meaning) > 15, "the comment above it in group_data/all.py"


@pytest.mark.parametrize("name", sorted(defaults()["model_defaults"]))
def test_a_field_of_a_model_has_the_real_default_and_a_meaning(name: str) -> None:
    default, _, meaning = ROWS[name]

    assert eval(default.strip("`")) == defaults()["model_defaults"][name]
    assert len(meaning) > 15


def test_values_are_told_as_the_types_have_them() -> None:
    assert ROWS["proxy_port"][1] == "1024 to 65535"
    assert ROWS["verify_timeout"][1] == "10 or more"
    assert ROWS["launchd_autostart"][1] == '`"background"`, `"terminal"`, `"off"`'
    assert ROWS["models_address"][1] == "a text or `None`"
    assert ROWS["repo"][1] == "`OWNER/NAME`"
    assert ROWS["aliases"][1] == "a list; each is a text"
    assert ROWS["members"] == ["required", "a list; each is a text"]


def test_a_changed_default_or_comment_is_another_row() -> None:
    source = generator.ALL.read_text()
    found = {s.name: s for s in generator.settings_of(source)}
    changed = {
        s.name: s
        for s in generator.settings_of(
            source.replace("proxy_port = 3000", "proxy_port = 3333").replace(
                "# Load it when llama-swap starts.", "# Something else\n    # in two lines."
            )
        )
    }

    assert (found["proxy_port"].default, changed["proxy_port"].default) == ("`3000`", "`3333`")
    assert found["model_defaults.preload"].meaning == "Load it when llama-swap starts."
    assert changed["model_defaults.preload"].meaning == "Something else in two lines."


def test_settings_under_one_comment_share_it() -> None:
    source = "# -- Ports ----\n# Both of them.\none = 1\ntwo = 2\n\nthree = 3\n"
    found = list(generator.settings_of(source))

    assert [(s.section, s.name, s.meaning) for s in found] == [
        ("Ports", "one", "Both of them."),
        ("Ports", "two", "Both of them."),
        ("Ports", "three", ""),
    ]
