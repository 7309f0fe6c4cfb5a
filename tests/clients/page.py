"""The settings of docs/clients.md, as a test can use them: with its own address and model."""

import re

from tests.core.samples import ROOT
from tests.docs.documents import Block, Document

NAME = "docs/clients.md"
ADDRESS, MODEL = "http://studio.local:3000", "gpt-oss-120b"
PAGE = Document(NAME, (ROOT / NAME).read_text())


def section(heading: str) -> Document:
    """What stands below a heading of the third level."""
    found = re.search(rf"^### {re.escape(heading)}\n(.*?)(?=^##|\Z)", PAGE.text, re.M | re.S)
    assert found, f"{NAME} has no section {heading!r}"
    return Document(NAME, found[1])


def block(heading: str, *marks: str) -> Block:
    """The only block of a section with one of these marks."""
    found = [each for each in section(heading).blocks if each.mark in marks]
    assert len(found) == 1, f"{NAME}, {heading}: {len(found)} blocks of {', '.join(marks)}"
    return found[0]


def filled(text: str, address: str, model: str) -> str:
    """A block's text for another host and another model's name; it must name both or neither."""
    return text.replace(ADDRESS, address).replace(MODEL, model)


def version(heading: str) -> str:
    """Which version the table says was run."""
    anchor = re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
    found = re.search(rf"^\| \[[^\]]+\]\(#{anchor}\) \|.*\| (.+?) \|$", PAGE.text, re.M)
    assert found, f"{NAME}: the table has no row for {heading}"
    return found[1]
