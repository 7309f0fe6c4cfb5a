"""What the documents tell people to type is right: run on a lab where marked so, else parsed."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

import herd
from lab.lab import Lab
from tests.core.samples import ROOT
from tests.docs.documents import MARKS, OUTPUT, Block, Document, documents, links, shape
from tests.docs.typed import complaints, stamp

DOCUMENTS = documents()
READERS = {
    "python": ast.parse,
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
}


def name(document: Document) -> str:
    return document.name


def unmarked(document: Document) -> list[str]:
    """Code of which nobody says what it is."""
    lines = document.prose.splitlines()
    return [
        *(f"{b.place}: {b.mark!r} is no mark" for b in document.blocks if b.mark not in MARKS),
        *(
            f"{document.name}:{number}: indented code, which has no mark"
            for number, (before, line) in enumerate(zip(["", *lines], lines, strict=False), 1)
            if line.startswith("    ") and not before.strip()
        ),
        *(
            f"{document.name}:{number}: a block without an end"
            for number, line in enumerate(lines, 1)
            if line.lstrip().startswith("```")
        ),
    ]


def no_shell(block: Block) -> str:
    """What a shell says of commands that are none."""
    return subprocess.run(["sh", "-n"], input=block.text, capture_output=True, text=True).stderr


def malformed(block: Block) -> bool:
    """Whether what is shown as Python, JSON, TOML or YAML is none."""
    reader = READERS.get(block.mark)
    try:
        return reader is not None and reader(block.text) is None
    except (ValueError, SyntaxError, yaml.YAMLError):
        return True


def dead_links(document: Document) -> list[str]:
    found = []
    for target, file, heading in links(document):
        titles = re.findall(r"^#+ (.*)$", file.read_text(), re.M) if file.is_file() else []
        anchors = {re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles}
        if not file.exists() or (heading and heading not in anchors):
            found.append(target)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_block_is_marked_and_every_link_leads_somewhere(document: Document) -> None:
    assert unmarked(document) == []
    assert [b.place for b in document.blocks if b.is_command and no_shell(b)] == []
    assert [b.place for b in document.blocks if malformed(b)] == []
    assert dead_links(document) == []


def test_every_command_has_a_target_and_options_that_exist(tmp_path: Path) -> None:
    commands = [command for document in DOCUMENTS for command in document.commands()]

    assert len(commands) > 50
    assert complaints(commands, tmp_path) == []


WRONG = """# Wrong

```
make status
```

    make deploy

```sh mac
make lock "gpt
```

```json
{"a": }
```

```python
macs = [
```

```toml
key =
```

```yaml
a: [
```

[Nowhere](nowhere.md), [not there](wrong.md#here), `make statsu`.

```sh
make status ARGS=--no-such-option
make plan ARGS=--no-such-option
.venv/bin/python -m lab up --macs many
.venv/bin/python bench/nothing.py
```

```sh mac
make status
"""


def test_what_is_wrong_in_a_document_is_found(tmp_path: Path) -> None:
    document = Document("wrong.md", WRONG)
    (tmp_path / "tried").mkdir()
    (broken, *data, right) = document.blocks[1:]

    assert [place.partition(": ")[0] for place in unmarked(document)] == [
        *("wrong.md:3", "wrong.md:7", "wrong.md:38")
    ]
    assert [bool(no_shell(broken)), bool(no_shell(right))] == [True, False]
    assert [block.mark for block in data if malformed(block)] == ["json", "python", "toml", "yaml"]
    assert dead_links(document) == ["nowhere.md", "wrong.md#here"]
    found = complaints(
        (command for command in document.commands() if command[1] != 'make lock "gpt'),
        tmp_path / "tried",
    )
    assert [complaint.split(": ")[0] for complaint in found] == [
        *("wrong.md:29", "wrong.md:32", "wrong.md:33", "wrong.md:34", "wrong.md:35")
    ]


def test_output_is_compared_but_for_what_differs_from_run_to_run() -> None:
    here = "[mac1] 12.5 s at http://127.0.0.1:2616"
    there = "[studio.local]  3 s at http://studio.local:3000"

    assert shape(here) == shape(there)
    assert shape("id=f922029200000b key=#1") == shape("id=0022029200000c key=#1")
    assert shape("  serves      yes") != shape("  serves      no")
    assert shape("key=me") != shape("key=#1")


def test_what_is_quoted_of_the_source_is_what_it_says() -> None:
    (layers,) = re.findall(r"(?:^    .*\n)+", herd.__doc__ or "", re.MULTILINE)
    steps = "".join((ROOT / "deploy.py").read_text().partition("preflight.check()")[1:])
    (guide,) = (each for each in DOCUMENTS if each.name == "docs/how-it-works.md")
    quoted = [block.text for block in guide.blocks]

    assert steps.count("\n") > 5
    assert textwrap.dedent(layers) in quoted
    assert steps in quoted


COMPILED = ("fetcher", "herd", "lab", "proxy")


@contextmanager
def fresh_copy(document: Document) -> Iterator[Path]:
    """A copy of the project with an environment; a lab in it has Macs with the names that the
    document's commands use, and is stopped."""
    # A short path: a Mac's control socket must have one.
    with tempfile.TemporaryDirectory(prefix="herd-", dir="/tmp", ignore_cleanup_errors=True) as top:
        directory = Path(top) / "herd"
        listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
        for file in listed.stdout.split("\0"):
            if (ROOT / file).is_file():
                (directory / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, directory / file)
        for made in (file for part in COMPILED for file in (ROOT / part).rglob("*.pyc")):
            (directory / made.relative_to(ROOT)).parent.mkdir(exist_ok=True)
            shutil.copy2(made, directory / made.relative_to(ROOT))
        (directory / ".venv").mkdir()
        for part in Path(sys.prefix).iterdir():
            if not part.name.startswith("."):
                (directory / ".venv" / part.name).symlink_to(part)
        stamp(directory)
        (Path(top) / "home").mkdir()
        if names := list(dict.fromkeys(re.findall(r"\b\w+\.local\b", document.script))):
            Lab(directory / ".lab", names)
        try:
            yield directory
        finally:
            if (directory / ".lab").exists():
                Lab(directory / ".lab").stop()


LONG = {"docs/operations.md", "docs/develop.md", "docs/fleet.md"}
"""Those that deploy again and again, or whose steps are those of other tests."""


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(d, id=d.name, marks=[pytest.mark.soak] if d.name in LONG else [])
        for d in DOCUMENTS
        if d.script
    ],
)
def test_marked_blocks_do_what_they_say(document: Document) -> None:
    """And print what the document shows."""
    with fresh_copy(document) as copy:
        run = subprocess.run(
            ["sh", "-eu", "-c", document.script],
            cwd=copy,
            env={**os.environ, "HOME": str(copy.parent / "home")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
        )

    assert run.returncode == 0, run.stdout[-6000:]
    printed = {shape(line) for line in run.stdout.splitlines()}
    shown = [
        f"{block.place}: {line}"
        for block in document.blocks
        if block.mark == OUTPUT
        for line in block.text.splitlines()
        if line.strip(" …") and shape(line) not in printed
    ]
    assert shown == []
