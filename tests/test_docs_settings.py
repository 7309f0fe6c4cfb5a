"""The README's table of settings is complete, and tells the real defaults."""

import re

from tests.core.samples import ROOT, defaults

README = (ROOT / "README.md").read_text()


def table() -> dict[str, str]:
    """Each setting in the README's table, and the default that it shows."""
    found: dict[str, str] = {}
    section = README.partition("| Setting | Default |")[2].partition("\n\n")[0]
    for row in section.splitlines():
        cells = [cell.strip() for cell in row.strip("| ").split("|")]
        names = re.findall(r"`([a-z_]+)`", cells[0])
        values = re.findall(r"`([^`]*)`", cells[1]) if len(cells) > 1 else []
        found |= dict(zip(names, values or [""] * len(names), strict=True))
    return found


def test_every_setting_is_in_the_table_and_no_other() -> None:
    assert set(table()) == set(defaults())


def test_the_table_shows_the_real_defaults() -> None:
    shown = {name: value for name, value in table().items() if value}

    assert len(shown) > 10
    assert shown == {name: str(defaults()[name]) for name in shown}


def test_every_field_of_a_model_is_named() -> None:
    fields = README.partition("Each model has: ")[2].partition("\n")[0]
    named = set(re.findall(r"`([a-z_]+)`", fields))

    assert named == {"repo", *defaults()["model_defaults"]}
