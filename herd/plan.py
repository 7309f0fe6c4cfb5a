"""What is wanted of all hosts of a run: settings, keys, certificates and model files, checked
together."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pyinfra.api import Host

from herd import hub, keys, tls
from herd.core import fleet
from herd.core.layers import Layer, merge
from herd.core.problems import Problem, SettingsError, count, report
from herd.core.settings import Settings
from herd.core.transfers import Resolved
from herd.keys import Shipped
from herd.tls import Pair


@dataclass(frozen=True)
class Plan:
    """Of each host, by name: valid settings, resolved models, what is shipped to its proxy."""

    settings: dict[str, Settings]
    models: dict[str, list[Resolved]]
    keys: dict[str, Shipped]
    certificates: dict[str, Pair | None]


def declared(host: Host) -> fleet.Declared:
    """A host with its layers of data, as pyinfra ranks them."""
    inventory = host.inventory
    own = inventory.get_host_data(host.name)
    layers = [
        Layer("group_data/all.py", inventory.get_data()),
        *(Layer(f"group {group}", inventory.get_group_data(group)) for group in host.groups),
        Layer(f"host {host.name} of the inventory", own),
        Layer("--data", inventory.get_override_data()),
    ]
    port = int(host.data.get("ssh_port") or 22)
    return fleet.Declared(host.name, layers, (address(host), port))


def address(host: Host) -> str:
    """How clients reach a host, as far as the inventory tells."""
    if host.name.startswith("@local"):
        return "127.0.0.1"
    return str(host.data.get("ssh_hostname") or host.name.removeprefix("@ssh/"))


def settings_of(hosts: Iterable[Host]) -> dict[str, Settings]:
    """The settings of hosts. Raises SettingsError with all problems at once."""
    settings, problems = _check(hosts)
    _refuse(problems)
    return settings


def key_lists(hosts: Iterable[Host]) -> dict[str, list[Any]]:
    """Each list of `api_keys` that is not empty, by the layer of data where it stands."""
    lists: dict[str, list[Any]] = {}
    for host in hosts:
        merged = merge(declared(host).layers)
        if isinstance(found := merged.values.get("api_keys"), list) and found:
            lists[merged.source("api_keys")] = found
    return lists


def _check(hosts: Iterable[Host]) -> tuple[dict[str, Settings], list[Problem]]:
    """The valid settings by host, and every problem that can be seen without asking anybody."""
    everything = [declared(host) for host in hosts]
    settings, problems = fleet.check(everything)
    rules: list[tuple[str, Callable[[Any], Iterable[tuple[str, str]]]]] = [
        ("api_keys", keys.faults),
        ("proxy_allow_origins", keys.faults_in_origins),
    ]
    for host in everything:
        merged = merge(host.layers)
        for name, faults in rules:
            value = merged.values.get(name)
            where = f"{host.name}: {name}, from {merged.source(name)}"
            for what, fix in faults(value) if isinstance(value, list) and value else ():
                problems.append(Problem(where, what, fix))
    return settings, problems


_of_this_run: Plan | None = None


def of_this_run() -> Plan:
    """The plan that `make` made before the first connection."""
    if _of_this_run is None:
        raise RuntimeError("no plan: run pyinfra in the directory of config.py, which makes it")
    return _of_this_run


def make(hosts: Iterable[Host]) -> Plan:
    """The plan of this run. Raises SettingsError with one report of all problems."""
    global _of_this_run
    hosts = list(hosts)
    settings, problems = _check(hosts)
    if not hosts:
        fix = 'add a Mac: macs = [("studio.local", {"ssh_user": "me"})]'
        problems.append(Problem("inventory", "It names no host.", fix))
    if not hosts or not all(_has_keys(host) for host in hosts):
        try:
            keys.of_workstation()
        except ValueError as error:
            problems.append(Problem("API keys", f"{error}.", keys.how_to_mend()))
    models: dict[str, list[Resolved]] = {}
    certificates: dict[str, Pair | None] = {}
    for name, wanted in settings.items():
        models[name], wrong = _resolve(name, wanted)
        problems += wrong
        try:
            certificates[name] = tls.of_host(wanted)
        except ValueError as error:
            fix = "name a certificate in PEM, its chain after it, and its key, without a password."
            problems.append(Problem(f"{name}: proxy_tls_certificate", f"{error}.", fix))
    _refuse(problems)
    shipped = {name: keys.shipped(wanted) for name, wanted in settings.items()}
    _of_this_run = Plan(settings, models, shipped, certificates)
    return _of_this_run


def _has_keys(host: Host) -> bool:
    return bool(merge(declared(host).layers).values.get("api_keys"))


def _resolve(host: str, settings: Settings) -> tuple[list[Resolved], list[Problem]]:
    resolved: list[Resolved] = []
    problems = []
    owners: dict[str, Resolved] = {}
    for model in settings.models.values():
        where = f"{host}: models.{model.name}"
        try:
            found = hub.resolve(model)
        except ValueError as error:
            fix = "mend its repo, revision or include; HF_ENDPOINT and HF_TOKEN are this shell's."
            problems.append(Problem(where, f"{error}.", fix))
            continue
        resolved.append(found)
        for file in found.files:
            path = f"{found.directory}/{file.path}"
            owner = owners.setdefault(path, found)
            if (owner.repo, owner.commit) != (found.repo, found.commit):
                problems.append(
                    Problem(
                        where,
                        f"{path} is wanted of {owner.repo} at {owner.commit[:12]}, too.",
                        "declare models of one directory from one repository and revision.",
                    )
                )
                break
    return resolved, problems


def _refuse(problems: list[Problem]) -> None:
    if problems:
        title = f"{count(problems)} in the settings; nothing was connected to or changed."
        raise SettingsError(report(title, problems))
