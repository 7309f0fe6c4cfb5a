"""Checks the settings of all hosts together, and reports every problem with its place and mend."""

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from herd.core.layers import Layer, Merged, merge
from herd.core.problems import Problem
from herd.core.settings import Settings, is_ours, model_fields, wanted_keys


@dataclass(frozen=True)
class Declared:
    """A host as the inventory declares it: its layers of data, lowest priority first.

    `machine` tells which hosts are one machine (address and SSH port), so that stacks which share
    it are kept apart.
    """

    name: str
    layers: Sequence[Layer]
    machine: tuple[str, int]


def check(hosts: Iterable[Declared]) -> tuple[dict[str, Settings], list[Problem]]:
    """The settings of each host that has valid ones, and the problems of all hosts."""
    settings: dict[str, Settings] = {}
    problems: list[Problem] = []
    machines: dict[tuple[str, int], list[str]] = defaultdict(list)
    for host in hosts:
        found, wrong = check_host(host)
        problems += wrong
        if found:
            settings[host.name] = found
            machines[host.machine].append(host.name)
    for names in machines.values():
        problems += _sharing({name: settings[name] for name in names})
    return settings, problems


def check_host(host: Declared) -> tuple[Settings | None, list[Problem]]:
    """One host's settings, or None and its problems."""
    merged = merge(host.layers)
    problems = _unknown(host.name, merged)
    values = {key: value for key, value in merged.values.items() if key in Settings.model_fields}
    if isinstance(values.get("models"), Mapping):
        defaults = merged.values.get("model_defaults") or {}
        values["models"] = {
            name: {**defaults, **entry, "name": name} if isinstance(entry, Mapping) else entry
            for name, entry in values["models"].items()
        }
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        return None, problems + [
            _problem(host.name, merged, details) for details in error.errors(include_url=False)
        ]
    problems += _inconsistent(host.name, merged, settings)
    return (None if problems else settings), problems


def _place(host: str, merged: Merged, path: str) -> str:
    return f"{host}: {path}, from {merged.source(path)}"


def _unknown(host: str, merged: Merged) -> list[Problem]:
    problems = []
    for key in merged.values:
        if is_ours(key) and key not in wanted_keys():
            near = difflib.get_close_matches(key, wanted_keys(), 1)
            fix = f"did you mean {near[0]}? " if near else ""
            problems.append(
                Problem(
                    _place(host, merged, key),
                    f"There is no setting {key}.",
                    f"{fix}group_data/all.py lists them all; name your own data otherwise.",
                )
            )
    return problems


def _problem(host: str, merged: Merged, details: Mapping[str, Any]) -> Problem:
    """A validation error of pydantic, in words."""
    at = [str(part) for part in details["loc"] if part != "[key]"]
    path = ".".join(at)
    value = details.get("input")
    what = str(details["msg"]).removeprefix("Value error, ")
    fix = f"mend the value; group_data/all.py says what {at[-1] if at else 'it'} means."
    match details["type"]:
        case "missing" if len(at) == 3 and at[0] == "models":
            what = f"The model has no {at[-1]}."
            fix = f"give the model a {at[-1]}, or the default to model_defaults."
        case "missing":
            what = "The setting is gone."
            fix = "put it back into group_data/all.py; git has its default."
        case "extra_forbidden":
            known = model_fields() if at[0] == "models" else set()
            near = difflib.get_close_matches(at[-1], known, 1)
            what = f"There is no such setting: {at[-1]}."
            fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}."
        case "value_error":
            what = f"{value!r} {what}." if not isinstance(value, dict) else f"{what}."
        case "string_pattern_mismatch":
            what = f"{value!r} does not look like a {at[-1]}."
        case _:
            shown = "" if isinstance(value, dict) else f"{value!r}: "
            what = f"{shown}{what}."
    return Problem(_place(host, merged, path), what, fix)


def _inconsistent(host: str, merged: Merged, settings: Settings) -> list[Problem]:
    """Settings that are each valid, but do not go together."""
    problems: list[Problem] = []

    def add(path: str, what: str, fix: str) -> None:
        problems.append(Problem(_place(host, merged, path), what, fix))

    if not settings.models:
        add("models", "No model is declared.", "declare at least one.")
    names = Counter(settings.models)
    names.update(alias for model in settings.models.values() for alias in model.aliases)
    for name, model in settings.models.items():
        for alias in dict.fromkeys(model.aliases):
            if names[alias] > 1:
                add(
                    f"models.{name}.aliases",
                    f"{alias!r} names more than one model.",
                    "give each model names of its own; llama-swap refuses shared ones.",
                )
    homes = Counter(m for group in settings.llama_swap_groups.values() for m in set(group.members))
    for group, rule in settings.llama_swap_groups.items():
        for member in rule.members:
            if member not in settings.models:
                add(
                    f"llama_swap_groups.{group}",
                    f"There is no model {member!r}.",
                    f"name members among {', '.join(sorted(settings.models))}.",
                )
            elif homes[member] > 1:
                add(
                    f"llama_swap_groups.{group}",
                    f"{member!r} is in more than one group.",
                    "leave it in one; llama-swap refuses the others.",
                )
    for port, paths in _ports(settings).items():
        if len(paths) > 1:
            add(paths[0], f"Port {port} is wanted by {' and '.join(paths)}.", "give each its own.")
    if settings.llama_server_ports[-1:] and settings.llama_server_ports[-1] > 65535:
        add("llama_server_start_port", "The ports end at 65535.", "start lower.")
    return problems


def _ports(settings: Settings) -> dict[int, list[str]]:
    """Each port, and the settings that ask for it."""
    ports: dict[int, list[str]] = defaultdict(list)
    ports[settings.proxy_port].append("proxy_port")
    ports[settings.llama_swap_port].append("llama_swap_port")
    for port in settings.llama_server_ports:
        ports[port].append("llama_server_start_port")
    return ports


def _sharing(hosts: Mapping[str, Settings]) -> list[Problem]:
    """Stacks on one machine must not get in each other's way."""
    problems = []
    names = sorted(hosts)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            a, b = hosts[one], hosts[other]
            for key in ("stack_root", "launchd_label_prefix"):
                if getattr(a, key) == getattr(b, key):
                    problems.append(
                        Problem(
                            f"{one}, {other}: {key}",
                            f"Both are the same machine, and both say {getattr(a, key)!r}.",
                            f"give each stack its own {key}.",
                        )
                    )
            for port in sorted(_ports(a).keys() & _ports(b).keys()):
                problems.append(
                    Problem(
                        f"{one}, {other}: {_ports(a)[port][0]} and {_ports(b)[port][0]}",
                        f"Both are the same machine, and both want port {port}.",
                        "give each stack its own ports.",
                    )
                )
    return problems
