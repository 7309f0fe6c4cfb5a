"""What is wanted of all hosts of a run: settings, keys, certificates and locked model files,
checked together."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from pyinfra import logger
from pyinfra.api import Host, Inventory
from pyinfra.api.util import raise_if_bad_type
from pyinfra.context import ctx_inventory

from herd.core.gateway import fleet
from herd.core.gateway import problems as gateway_checks
from herd.core.gateway.fleet import Gateway, Mac
from herd.core.mac.chips import bandwidth
from herd.core.mac.endpoints import proxy_for_peers
from herd.core.mac.facts_lock import Facts as NotedFacts
from herd.core.models import caches, memory_fit, models_lock, one_disk, projector_buffers
from herd.core.models.file_kinds import Kind
from herd.core.models.memory_estimate import Served
from herd.core.models.missing_files import Resolved
from herd.core.models.model_facts import Facts
from herd.core.models.models_lock import Lock, Terms
from herd.core.models.sharing import Sharing
from herd.core.settings import cross_checks
from herd.core.settings.precedence import Layer, Merged, merge
from herd.core.settings.problems import Problem, SettingsError, count, report
from herd.core.settings.schema import Settings
from herd.workstation import (
    api_keys,
    certificate_files,
    hugging_face,
    lock_models,
    noted_facts,
    ssh_configuration,
    toolkit,
)
from herd.workstation.api_keys import Shipped
from herd.workstation.certificate_files import Pair
from herd.workstation.herd_directory import directory
from herd.workstation.ssh_configuration import SshHost


@dataclass(frozen=True)
class Plan:
    """Of each host, by name: valid settings, locked models, what is shipped to its proxy, and
    which models may be loaded together; and how hosts share models."""

    settings: dict[str, Settings]
    models: dict[str, list[Resolved]]
    keys: dict[str, Shipped]
    certificates: dict[str, Pair | None]
    together: dict[str, list[tuple[Served, ...]]]
    sharing: Sharing
    gateways: dict[str, Gateway]
    """What each of the group `gateways` is told of all hosts."""
    authorities: dict[str, str]
    """Of those gateways that have a file of them: who may vouch for the Macs, in PEM."""


def declared(host: Host) -> cross_checks.Declared:
    """A host with its layers of data, as pyinfra ranks them."""
    inventory = host.inventory
    own = inventory.get_host_data(host.name)
    is_gateway = fleet.GROUP in host.groups
    everywhere = _of_all(inventory)
    if _named_groups(host) == [fleet.GROUP]:
        # A machine of its own: it serves what it names itself, and that may be nothing.
        nothing: dict[str, Any] = {"models": {}, "llama_swap_groups": {}, "llama_swap_matrix": None}
        everywhere = [Layer(each.source, {**each.data, **nothing}) for each in everywhere]
    layers = [
        *everywhere,
        *(Layer(f"group {group}", inventory.get_group_data(group)) for group in host.groups),
        Layer(f"host {host.name} of the inventory", own),
        Layer("--data", inventory.get_override_data()),
    ]
    return cross_checks.Declared(host.name, layers, reached(host).place, is_gateway)


def _named_groups(host: Host) -> list[str]:
    """Its groups but for pyinfra's own: that of a connector ("@local"), and the last, of every host
    and named after the inventory's file."""
    groups = dict.fromkeys(each for each in host.groups if not each.startswith("@"))
    *named, last = [*groups] or [""]
    if last and len(host.inventory.get_group(last)) < len(host.inventory):
        named.append(last)
    return named


def _of_all(inventory: Inventory) -> list[Layer]:
    """What holds for every host: group_data/all.py, over the toolkit's own where it leaves out
    something. Who names models there names all of them: ours is an example."""
    own: dict[str, Any] = inventory.get_data()
    with ctx_inventory.use(inventory):  # as pyinfra has it when it reads such a file
        ours = dict(toolkit.defaults())
    above = Layer("group_data/all.py", own)
    if ours.keys() <= own.keys():
        return [above]
    if isinstance(own.get("models"), Mapping):
        ours["models"] = {k: v for k, v in ours["models"].items() if k in own["models"]}
    return [Layer(toolkit.DEFAULTS, ours), above]


def address(host: Host) -> str:
    """How clients reach a host: by its `proxy_address`, else as ssh reaches it."""
    told = merge(declared(host).layers).values.get("proxy_address")
    return str(told or reached(host).address)


def reached(host: Host) -> SshHost:
    """How ssh reaches a host, as far as the inventory and the ssh configuration tell."""
    if host.name.startswith("@local"):
        return SshHost("127.0.0.1", 22)
    data = host.data
    return ssh_configuration.look(
        str(data.get("ssh_hostname") or host.name.removeprefix("@ssh/")),
        port=data.get("ssh_port"),
        file=data.get("ssh_config_file"),
    )


def settings_of(hosts: Iterable[Host]) -> dict[str, Settings]:
    """The settings of hosts. Raises SettingsError with all problems at once."""
    settings, problems = _check(hosts)
    _refuse(problems)
    return settings


def settings_of_all(inventory: Inventory) -> Settings:
    """The settings of a host without data of its own. Raises SettingsError, too."""
    name = "a host by group_data/all.py"
    everywhere = cross_checks.Declared(name, _of_all(inventory), (name, 22))
    settings, problems = cross_checks.check([everywhere])
    _refuse(problems)
    return settings[name]


def locked_models(
    hosts: Iterable[Host], settings: Mapping[str, Settings], inventory: str
) -> dict[str, list[Resolved]]:
    """Of each host, its models as they are locked. Raises SettingsError with all problems."""
    models, problems = _models(hosts, settings, inventory)
    _refuse(problems)
    return models


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
    hosts = list(hosts)
    everything = [declared(host) for host in hosts]
    settings, problems = cross_checks.check(everything)
    problems += _unreachable(hosts, settings)
    problems += gateway_checks.faults(_members(hosts, settings), _group(hosts))
    rules: list[tuple[str, Callable[[Any], Iterable[tuple[str, str]]]]] = [
        ("api_keys", api_keys.faults),
        ("proxy_allow_origins", api_keys.faults_in_origins),
        ("proxy_allow_image_urls", api_keys.faults_in_image_urls),
    ]
    for each, host in zip(hosts, everything, strict=True):
        merged = merge(host.layers)
        problems += _refused_by_pyinfra(each, merged)
        for name, faults in rules:
            value = merged.values.get(name)
            where = f"{host.name}: {name}, from {merged.source(name)}"
            for what, fix in faults(value) if isinstance(value, list) and value else ():
                kind = "api-keys" if name == "api_keys" else "settings"
                problems.append(Problem(where, what, fix, kind))
    return settings, problems


_WRITE = {str: 'text in quotes, as "me"', bool: "True or False", dict: "a dictionary"}


def _refused_by_pyinfra(host: Host, merged: Merged) -> Iterator[Problem]:
    """What its connector would not take of its data."""
    for key, kind in get_type_hints(host.connector_cls.data_cls).items():
        try:
            if key in merged.values:
                raise_if_bad_type(merged.values[key], kind, ValueError, key)
        except ValueError as error:  # names types only: it may be a password
            what = f"pyinfra does not take this {error}."
            fix = f"write {_WRITE.get(kind, 'a number, without quotes')}, or leave it out."
            yield Problem(merged.place(host.name, key), what, fix)


def _unreachable(hosts: Iterable[Host], settings: Mapping[str, Settings]) -> Iterator[Problem]:
    """Those whose proxy nobody would find by what ssh knows of them."""
    for host in hosts:
        wanted, how = settings.get(host.name), reached(host)
        known = wanted is None or wanted.proxy_address or not wanted.listens_everywhere
        if how.jump and not known:
            yield Problem(
                f"{host.name}: proxy_address",
                f"ssh reaches it by {how.jump}, so {how.address} need not be how clients do.",
                'say how they reach its proxy: as proxy_address = "studio.example.com", or '
                f'"{how.address}" if that is right.',
            )


def without_secrets(hosts: Iterable[Host], inventory: str) -> tuple[Plan, list[Problem]]:
    """What is wanted as far as the project's own files tell, and every problem in them: no keys of
    this workstation, no certificate. Hosts whose settings are bad are left out."""
    hosts = list(hosts)
    settings, problems = _check(hosts)
    models, wrong = _models(hosts, settings, inventory)
    together: dict[str, list[tuple[Served, ...]]] = {}
    for name, wanted in settings.items():
        together[name], unknown = sets_of(name, wanted, models[name], inventory)
        wrong += unknown
    problems += [replace(problem, kind="models-lock") for problem in wrong]
    shipped: dict[str, Shipped] = {}
    for name, wanted in settings.items():
        with suppress(ValueError):  # which is among the problems
            shipped |= {name: api_keys.shipped(wanted)} if wanted.api_keys else {}
    sharing, found = (
        Sharing(_serving(settings), models, {}),
        gateways_of(hosts, settings, inventory),
    )
    return Plan(settings, models, shipped, {}, together, sharing, found, {}), problems


_of_this_run: Plan | None = None


def of_this_run() -> Plan:
    """The plan that `make` made before the first connection."""
    if _of_this_run is None:
        raise RuntimeError("no plan: run pyinfra in the directory of config.py, which makes it")
    return _of_this_run


def make(hosts: Iterable[Host], inventory: str) -> Plan:
    """The plan of this run, with the lock beside the inventory. Raises SettingsError with one
    report of all problems."""
    global _of_this_run
    hosts, config = list(hosts), api_keys.beside(inventory)
    settings, problems = _check(hosts)
    if not hosts:
        fix = 'add a Mac: macs = [("studio.local", {"ssh_user": "me"})]'
        problems.append(Problem("inventory", "It names no host.", fix))
    if not hosts or not all(_has_keys(host) for host in hosts):
        try:
            api_keys.of_workstation(config)
        except ValueError as error:
            problems.append(Problem("API keys", f"{error}.", api_keys.how_to_mend(config)))
    models, wrong = _models(hosts, settings, inventory)
    problems += wrong
    certificates: dict[str, Pair | None] = {}
    for name, wanted in settings.items():
        try:
            certificates[name] = certificate_files.of_host(wanted, directory(inventory))
        except ValueError as error:
            fix = "name a certificate in PEM, its chain after it, and its key, without a password."
            problems.append(Problem(f"{name}: proxy_tls_certificate", f"{error}.", fix))
    together: dict[str, list[tuple[Served, ...]]] = {}
    for name, wanted in settings.items():
        together[name], wrong = sets_of(name, wanted, models[name], inventory)
        problems += wrong
    authorities: dict[str, str] = {}
    for name in gateways_of(hosts, settings, inventory):
        try:
            authorities |= _authorities(name, settings[name], directory(inventory))
        except ValueError as error:
            fix = "name a file with certificates in PEM."
            problems.append(Problem(f"{name}: gateway_tls_authorities", f"{error}.", fix))
    _refuse(problems)
    shipped = {name: api_keys.shipped(wanted, config) for name, wanted in settings.items()}
    urls = {h.name: proxy_for_peers(settings[h.name], address(h)) for h in hosts}
    sharing = Sharing(_serving(settings), models, urls)
    _of_this_run = Plan(
        *(settings, models, shipped, certificates, together, sharing),
        gateways=gateways_of(hosts, settings, inventory),
        authorities=authorities,
    )
    return _of_this_run


def _serving(settings: Mapping[str, Settings]) -> dict[str, Settings]:
    return {name: own for name, own in settings.items() if own.serves}


def _group(hosts: Iterable[Host]) -> list[str]:
    return [host.name for host in hosts if fleet.GROUP in host.groups]


def _members(hosts: Iterable[Host], settings: Mapping[str, Settings]) -> dict[Mac, Settings]:
    """The hosts with valid settings, as a gateway knows their addresses."""
    return {
        fleet.mac(host.name, settings[host.name], address(host)): settings[host.name]
        for host in hosts
        if host.name in settings
    }


def gateways_of(
    hosts: Iterable[Host], settings: Mapping[str, Settings], inventory: str
) -> dict[str, Gateway]:
    """What each gateway is told, of all hosts of an inventory; how fast they are is in facts.lock
    beside it, as far as that can be read."""
    hosts = list(hosts)
    members, names = _members(hosts, settings), [n for n in _group(hosts) if n in settings]
    speeds: dict[str, int] = {}
    with suppress(ValueError):
        known = noted_facts.read(noted_facts.beside(inventory)) if names else NotedFacts()
        chips = {name: bandwidth(mac.chip or "") for name, mac in known.hosts.items()}
        speeds = {name: speed for name, speed in chips.items() if speed}
    gateways = [fleet.as_gateway(mac, own) for mac, own in members.items() if mac.name in names]
    return {
        name: fleet.gateway(
            settings[name], members, speeds, [each for each in gateways if each.name != name]
        )
        for name in names
    }


def _authorities(name: str, settings: Settings, base: Path) -> dict[str, str]:
    """Raises ValueError when the file is none."""
    if settings.gateway_tls_authorities is None:
        return {}
    return {name: certificate_files.authorities(settings.gateway_tls_authorities, base)}


def _has_keys(host: Host) -> bool:
    return bool(merge(declared(host).layers).values.get("api_keys"))


def _models(
    hosts: Iterable[Host], settings: Mapping[str, Settings], inventory: str
) -> tuple[dict[str, list[Resolved]], list[Problem]]:
    """Of each host with valid settings, its models as they are locked."""
    path = lock_models.beside(inventory)
    try:
        held = lock_models.read(path)
    except ValueError as error:
        mend = f"run `{lock_models.command(inventory)}`, or take the one before from git."
        return {name: [] for name in settings}, [Problem(str(path), f"It {error}.", mend)]
    if held.lacks:
        logger.warning(held.lacks)
    models: dict[str, list[Resolved]] = {}
    problems: list[Problem] = []
    for host in hosts:
        if wanted := settings.get(host.name):
            merged = merge(declared(host).layers)
            for model, setting, what, fix in lock_models.faults(
                held, path, inventory, wanted.models.values()
            ):
                where, source = _place(merged, model.name, setting)
                if source == "--data":
                    fix = "declare it in the inventory or in group_data: those are locked."
                problems.append(Problem(f"{host.name}: {where}, from {source}", what, fix))
            models[host.name] = _locked(held, wanted)
            command = lock_models.command(inventory)
            problems += [
                Problem(f"{host.name}: models.{model}", what, fix)
                for model, what, fix in one_disk.clashes(models[host.name], command)
            ]
    return models, problems


def sets_of(
    host: str, settings: Settings, models: Iterable[Resolved], inventory: str
) -> tuple[list[tuple[Served, ...]], list[Problem]]:
    """Each set of a host's models that may be loaded together, of those whose header is known."""
    known, problems = {}, []
    for model in models:
        try:
            facts = Facts.load(model.gguf) if model.gguf else None
            draft = Facts.load(model.drafter.gguf) if model.drafter else None
            if draft and not model.draft:  # a head has the keys of its model
                draft = caches.predicting(draft) or draft
        except ValueError:
            command = lock_models.command(inventory, model.name)
            what = f"{lock_models.beside(inventory)} has facts of a header that we cannot read."
            fix = f"run `{command}`, and commit {models_lock.FILE}."
            problems.append(Problem(f"{host}: models.{model.name}", what, fix))
            continue
        if facts:
            eyes = [part.gguf for part in model.parts if part.kind == Kind.PROJECTOR]
            buffers = sum(map(projector_buffers.buffers, eyes))
            known[model.name] = (model.in_memory, facts, draft, buffers)
    return memory_fit.together(settings, known), problems


def _place(merged: Merged, model: str, setting: str) -> tuple[str, str]:
    """Of a model, or of a setting of it: its path, and the layer of data that it is from."""
    path = f"models.{model}.{setting}" if setting else f"models.{model}"
    is_own = not setting or setting in merged.values["models"][model]
    return path, merged.source(path if is_own else f"model_defaults.{setting}")


def _locked(held: Lock, settings: Settings) -> list[Resolved]:
    found = [held.find(model.name, Terms.of(model)) for model in settings.models.values()]
    return [locked.resolved(hugging_face.endpoint()) for locked in found if locked]


def _refuse(problems: list[Problem]) -> None:
    if problems:
        title = f"{count(problems)} in the settings; nothing was connected to or changed."
        raise SettingsError(report(title, problems))
