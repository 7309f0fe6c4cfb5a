"""What is wanted of all hosts of a run: settings, keys and model files, checked together."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pyinfra.api import Host

from herd import hub, keys
from herd.core import fleet
from herd.core.layers import Layer
from herd.core.problems import Problem, SettingsError, count, report
from herd.core.settings import Settings
from herd.core.transfers import Resolved


@dataclass(frozen=True)
class Plan:
    """Valid settings and resolved models of each host, by name; the keys, never shown."""

    settings: dict[str, Settings]
    models: dict[str, list[Resolved]]
    keys: list[str] = field(repr=False)


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
    settings, problems = fleet.check(declared(host) for host in hosts)
    _refuse(problems)
    return settings


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
    settings, problems = fleet.check(declared(host) for host in hosts)
    if not hosts:
        fix = 'add a Mac: macs = [("studio.local", {"ssh_user": "me"})]'
        problems.append(Problem("inventory", "It names no host.", fix))
    api_keys: list[str] = []
    try:
        api_keys = keys.read()
    except ValueError as error:
        problems.append(Problem("API keys", f"{error}.", keys.how_to_mend()))
    models: dict[str, list[Resolved]] = {}
    for name, wanted in settings.items():
        models[name], wrong = _resolve(name, wanted)
        problems += wrong
    _refuse(problems)
    _of_this_run = Plan(settings, models, api_keys)
    return _of_this_run


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
