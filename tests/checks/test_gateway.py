"""A gateway's files are rendered as a deploy writes them, and a real HAProxy looks at them."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Inventory

from herd import plan
from herd.checks import Project, plists, ports, real_haproxy, secrets, settings
from herd.core.settings.precedence import merge
from herd.render import rendering
from lab.haproxy import write_wrapper
from tests.checks import sample
from tests.gateway.gateway import program

Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Renders the sample project with its first host as a gateway, or another one that is in no
    other group, and other data for all."""

    def made(own: str | None = None, chips: Mapping[str, str] = {}, **more: Any) -> Project:
        sample.make(tmp_path)
        facts = json.loads((tmp_path / "facts.lock").read_text())
        for host, chip in chips.items():
            facts["hosts"].setdefault(host, {})["chip"] = chip
        (tmp_path / "facts.lock").write_text(json.dumps(facts))
        declared: dict[str, Any] = {}
        exec((tmp_path / "group_data/all.py").read_text(), declared)
        hosts: dict[str, Any] = {}
        exec((tmp_path / "inventory.py").read_text(), hosts)
        data = {key: value for key, value in declared.items() if not key.startswith("__")}
        macs = hosts["macs"]
        first = macs[0]
        name = own or (first if isinstance(first, str) else first[0])
        inventory = Inventory(
            ([*macs, *([own] if own else [])], {**data, "proxy_agent_port": 3001, **more}),
            macs=(macs, {}),
            gateways=([name], {}),
        )
        found = rendering.render(inventory, str(tmp_path / "inventory.py"))
        return Project(tmp_path, str(tmp_path / "inventory.py"), Path("build"), found)

    return made


@pytest.fixture
def haproxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program()  # or this is skipped
    wrapper = tmp_path / "haproxy"
    write_wrapper(wrapper)
    monkeypatch.setenv(real_haproxy.NAMED, str(wrapper))


def named(project: Project, name: str) -> dict[str, str]:
    """By host, the text of its file of this name."""
    return {
        host.name: file.text
        for host in project.rendering.hosts
        for file in host.files
        if file.path.endswith(f"/{name}")
    }


def test_a_gateway_has_its_files_and_no_other_host_has(make: Make, haproxy: None) -> None:
    project = make()
    first = project.rendering.hosts[0]

    assert project.rendering.problems == []
    assert list(named(project, "gateway/haproxy.cfg")) == [first.name]
    assert list(named(project, "com.moonspirit.gateway.plist")) == [first.name]
    (text,) = named(project, "gateway/haproxy.cfg").values()
    assert all(f"server '{host.name}" in text for host in project.rendering.hosts)
    for check in (real_haproxy, plists, ports, secrets):
        assert list(check.check(project)) == []


@pytest.mark.parametrize(
    ("chips", "expected"),
    [
        ({"mac1": "Apple M4 Max", "mac2": "Apple M4"}, {("mac1", "100"), ("mac2", "22")}),
        ({"mac1": "Apple M4 Max"}, {("mac1", "100"), ("mac2", "100")}),
    ],
)
def test_weights_follow_the_chips_that_facts_lock_has(
    make: Make, chips: dict[str, str], expected: set[tuple[str, str]]
) -> None:
    """In a pool that both serve."""
    (text,) = named(make(chips=chips), "gateway/haproxy.cfg").values()

    pools = text.split("\nbackend ")
    found = [re.findall(r"^  server '(mac\d)' .* track .* weight (\d+) ", p, re.M) for p in pools]
    assert expected in [set(each) for each in found]


def test_a_gateway_of_its_own_has_no_file_of_a_stack(make: Make, haproxy: None) -> None:
    project = make("gw.local", proxy_agent_port=3001)
    *macs, own = project.rendering.hosts

    assert project.rendering.problems == []
    assert (own.name, own.settings.models) == ("gw.local", {})
    names = {file.path.rpartition("/")[2] for file in own.files}
    assert names >= {"haproxy.cfg", "com.moonspirit.gateway-proxy.plist", "config.json"}
    assert not names & {"config.yaml", "start.command", "fetcher.pyz", "com.moonspirit.proxy.plist"}
    (text,) = named(project, "gateway/haproxy.cfg").values()
    assert all(f"server '{host.name}" in text for host in macs)
    assert "gw.local" not in text
    noted = [each.message for each in settings.check(project) if each.host == "gw.local"]
    assert noted == ["gw.local: Nobody asked this Mac yet: home and flags are defaults."]
    for check in (real_haproxy, plists, ports, secrets):
        assert list(check.check(project)) == []


def test_what_haproxy_does_not_take_is_found_with_its_line(make: Make, haproxy: None) -> None:
    project = make()
    first, *others = project.rendering.hosts
    files = [
        replace(file, content=file.content.replace(b"  retries 3\n", b"  retry 3\n"))
        for file in first.files
    ]
    broken = replace(project.rendering, hosts=[replace(first, files=files), *others])

    (finding,) = real_haproxy.check(replace(project, rendering=broken))

    assert (finding.rule, finding.host) == ("haproxy", first.name)
    (text,) = named(replace(project, rendering=broken), "gateway/haproxy.cfg").values()
    assert text.splitlines()[finding.place.line - 1] == "  retry 3"


def test_macs_that_tell_no_gateway_how_they_are_are_a_problem(make: Make) -> None:
    problems = make(proxy_agent_port=None).rendering.problems

    assert {each.where.partition(": ")[2] for each in problems} == {"proxy_agent_port"}


@pytest.mark.parametrize(
    ("groups", "serving"),
    [
        ({"macs": ["a", "b"], "gateways": ["a"], "inventory": ["a", "b"]}, ["a", "b"]),
        ({"macs": ["a"], "gateways": ["b"], "inventory": ["a", "b"]}, ["a"]),
        ({"gateways": ["b"], "macs": ["a"], "inventory": ["a", "b"]}, ["a"]),
        ({"macs": ["a"], "gateways": ["b"], "site1": ["b"], "inventory": ["a", "b"]}, ["a", "b"]),
    ],
)
def test_a_host_in_no_other_group_is_a_gateway_and_no_more(
    groups: dict[str, list[str]], serving: list[str]
) -> None:
    """The last group is pyinfra's own, named after the file."""
    inventory = Inventory((["a", "b"], {}), **{name: (hosts, {}) for name, hosts in groups.items()})

    assert [h.name for h in inventory if merge(plan.declared(h).layers).values["models"]] == serving


def test_a_gateway_is_told_of_each_other_and_not_of_itself() -> None:
    """With whom it would share its keys' limits twice."""
    hosts = {"gateways": ["gw1", "gw2", "gw3"], "macs": ["mac1"]}
    inventory = Inventory(
        ([*hosts["gateways"], *hosts["macs"]], {"models": {}, "proxy_agent_port": 3001}),
        **{name: (each, {}) for name, each in hosts.items()},
    )

    found, _ = plan.without_secrets(inventory, "inventory.py")

    told = {name: [mac.name for mac in each.others] for name, each in found.gateways.items()}
    assert told == {"gw1": ["gw2", "gw3"], "gw2": ["gw1", "gw3"], "gw3": ["gw1", "gw2"]}
