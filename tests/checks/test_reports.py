"""The reports that machines read, and the one that people read."""

import json
import os
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from herd.checks import NOTE, RULES, Finding, reports
from herd.checks.sources import Place, of_problem, of_template
from tests.checks import sample
from tests.checks.sample import check, edit, herd

PLACE = Place("build/rendered/mac1/Users/me/a & b.plist", 7)
SOURCE = Place("group_data/all.py", 31)


def finding(host: str = "mac1", **fields: object) -> Finding:
    place = PLACE._replace(file=PLACE.file.replace("mac1", host))
    values = {"rule": "plist-keys", "place": place, "message": "It's <bad>.", "fix": "mend it."}
    return Finding(**{**values, "source": SOURCE, "host": host, **fields})  # type: ignore[arg-type]


def test_sarif_points_a_forge_at_the_line_that_a_person_edits() -> None:
    document = json.loads(reports.sarif([finding(), finding(source=None, level=NOTE)]))

    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [*RULES]
    first, second = run["results"]
    where = first["locations"][0]["physicalLocation"]
    assert where["artifactLocation"]["uri"] == "group_data/all.py"
    assert where["region"] == {"startLine": 31}
    related = first["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert related == "build/rendered/mac1/Users/me/a%20%26%20b.plist"
    assert (first["level"], second["level"]) == ("error", "note")
    assert "relatedLocations" not in second


def test_junit_has_a_case_for_each_rule_and_fails_those_that_are_broken() -> None:
    suite = ET.fromstring(reports.junit([finding(), finding(rule="fit", level=NOTE)]))

    assert suite.attrib["tests"] == str(len(RULES))
    assert suite.attrib["failures"] == "1"
    (broken,) = [case for case in suite if case.find("failure") is not None]
    failure = broken.find("failure")
    assert broken.attrib["name"].startswith("plist-keys: ")
    assert failure is not None
    assert failure.attrib["message"] == "It's <bad>."
    assert failure.text == f"{PLACE} (written from {SOURCE}): It's <bad>. Fix: mend it."


def test_people_read_the_same_thing_once() -> None:
    many = [finding(f"mac{number}") for number in range(5)]

    text = reports.text(many, hosts=5, rendered=5)

    assert text.count("It's <bad>.") == 1
    assert text.count("error: [plist-keys]") == 3
    assert "  and 2 more" in text
    assert "Written from: group_data/all.py:31" in text
    assert text.endswith(f"{len(RULES)} rules, 5 hosts: 1 problem")


def test_hosts_of_one_place_are_named_and_those_beyond_counted() -> None:
    one = [finding(f"mac{number}", place=PLACE) for number in range(5)]

    assert "\n  on mac0, mac1\n" in reports.text(one[:2], hosts=2, rendered=2)
    assert "\n  on mac0, mac1, mac2 and 2 more\n" in reports.text(one, hosts=5, rendered=5)


@pytest.mark.parametrize(
    ("hosts", "rendered", "words"),
    [
        (5, 0, "5 hosts, none of them rendered: 1 problem"),
        (5, 3, "5 hosts, 3 of them rendered: 1 problem"),
        (1, 1, "1 host: 1 problem"),
        (0, 0, "no host: 1 problem"),
    ],
)
def test_the_verdict_counts_the_hosts_of_the_inventory(
    hosts: int, rendered: int, words: str
) -> None:
    text = reports.text([finding()], hosts=hosts, rendered=rendered)

    assert text.endswith(f"{len(RULES)} rules, {words}")


def test_a_note_fails_nothing(tmp_path: Path) -> None:
    sample.make(tmp_path)
    (tmp_path / "facts.lock").unlink()
    found = check(tmp_path)

    assert found.code == 0
    assert {(rule, level) for rule, level, *_ in found.results} == {("facts", "note")}


@pytest.mark.soak
def test_no_host_yet_is_no_failure_and_the_rest_is_checked(tmp_path: Path) -> None:
    sample.make(tmp_path)
    (tmp_path / "inventory.py").write_text("macs = []\n")
    clean = check(tmp_path)
    edit("herd/scripts/look/state.sh", "done", "don")(tmp_path)
    broken = check(tmp_path)

    assert clean.code == 0, clean.said
    assert {rule for rule, *_ in broken.results} == {"script-syntax"}


def test_both_reports_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    sample.make(tmp_path)
    done = herd(tmp_path, "check-configs", "--sarif", "a/b.sarif", "--junit", "c/d.xml")

    assert done.returncode == 0, done.stdout
    assert json.loads((tmp_path / "a/b.sarif").read_text())["runs"][0]["results"] == []
    assert ET.parse(tmp_path / "c/d.xml").getroot().attrib["failures"] == "0"


# -- A real llama-swap


def test_a_llama_swap_that_is_named_is_asked(tmp_path: Path) -> None:
    """By a program in its place that refuses, and one that serves."""
    sample.make(tmp_path)
    refuses = tmp_path / "refuses"
    refuses.write_text(
        '#!/bin/sh\ngrep -q "preload: .\\"" "$2" && echo "it preloads" >&2\n'
        'echo "level=ERROR msg=\\"failed to load config\\" error=\\"line 5: no\\"" >&2\nexit 1\n'
    )
    refuses.chmod(0o755)
    found = check(tmp_path, HERD_LLAMA_SWAP=str(refuses))

    place = "build/rendered/mac1/Users/anna/llama-swap/config.yaml"
    assert found.code == 1
    assert {rule for rule, *_ in found.wrong} == {"llama-swap"}
    assert f"{place}:5: error: [llama-swap]" in found.said
    assert 'error="line 5: no"' in found.said
    assert "it preloads" not in found.said


def test_a_real_llama_swap_takes_what_is_rendered_and_refuses_a_fault(tmp_path: Path) -> None:
    real = os.environ.get("LAB_LLAMA_SWAP") or shutil.which("llama-swap")
    if not real:
        pytest.skip("there is no llama-swap here; LAB_LLAMA_SWAP can name one")
    sample.make(tmp_path)
    clean = check(tmp_path, HERD_LLAMA_SWAP=real)
    edit("templates/config.yaml.j2", "logToStdout: both", "logToStdout: all")(tmp_path)
    broken = check(tmp_path, HERD_LLAMA_SWAP=real)

    assert clean.code == 0, clean.said
    assert {"llama-swap", "config-loader"} <= {rule for rule, *_ in broken.wrong}


# -- Where a person wrote it


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    sample.make(root)
    return root


@pytest.mark.parametrize(
    ("where", "file", "text"),
    [
        ("mac1: proxy_port, from group_data/all.py", "group_data/all.py", "proxy_port = 3000"),
        ("mac1: models.tiny.aliases, from group_data/all.py", "group_data/all.py", '"tiny": {'),
        ("mac1: model_defaults.ttl, from group_data/all.py", "group_data/all.py", '"ttl": 0'),
        ("mac2: proxy_port, from host mac2 of the inventory", "inventory.py", "3100"),
        ("mac2: models.tiny.ttl, from host mac2 of the inventory", "inventory.py", '"tiny": {'),
        ("mac1: nothing, from host mac1 of the inventory", "inventory.py", '"mac1"'),
        ("mac1, mac2: stack_root", "inventory.py", '"mac1"'),
    ],
)
def test_the_source_of_a_problem_is_found(project: Path, where: str, file: str, text: str) -> None:
    place = of_problem(project, "inventory.py", where, "It is wrong.")

    assert place
    assert place.file == file
    assert text in (project / file).read_text().splitlines()[place.line - 1]


def test_the_template_of_a_line_is_found(project: Path) -> None:
    place = of_template(project, "/Users/me/llama-swap/config.yaml", "    ttl: 7")

    assert place
    text = (project / place.file).read_text().splitlines()[place.line - 1]
    assert text == "    ttl: {{ model.ttl }}"
