"""Checks the settings of all hosts together, and reports every problem with its place and mend."""

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from herd.core.settings.consistency import inconsistent
from herd.core.settings.precedence import MERGED, Layer, Merged, merge
from herd.core.settings.problems import Problem
from herd.core.settings.release import Release
from herd.core.settings.schema import Group, Model, Settings, is_ours, model_fields, wanted_keys
from herd.core.settings.shared_machine import clashes
from herd.core.settings.swap_matrix import Matrix

_PAGE = "the toolkit's docs/settings.md"
_NAMED = ("models", "llama_swap_groups")
"""Whose entries have names that are their owner's."""


@dataclass(frozen=True)
class Declared:
    """A host as the inventory declares it: its layers of data, lowest priority first.

    `machine` tells which hosts are one machine (address and SSH port), so that stacks which share
    it are kept apart. A gateway needs no models.
    """

    name: str
    layers: Sequence[Layer]
    machine: tuple[str, int]
    is_gateway: bool = False


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
        problems += clashes({name: settings[name] for name in names})
    return settings, problems


def check_host(host: Declared) -> tuple[Settings | None, list[Problem]]:
    """One host's settings, None when a value of theirs is bad, and its problems."""
    merged = merge(host.layers)
    problems = _unknown(host.name, merged) + _unmergeable(host)
    values = {key: value for key, value in merged.values.items() if key in Settings.model_fields}
    defaults = merged.values.get("model_defaults")
    if isinstance(values.get("models"), Mapping):
        usable = defaults if isinstance(defaults, Mapping) else {}
        values["models"] = {
            name: {**usable, **entry, "name": name} if isinstance(entry, Mapping) else entry
            for name, entry in values["models"].items()
        }
    settings, errors = None, _defaults_error(merged) + _renamed(merged)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        # Without defaults every model lacks all of them: that is said once.
        lacking = not isinstance(defaults, Mapping)
        errors += [
            e
            for e in error.errors(include_url=False)
            if not _is_repeated(e) and (not lacking or _is_own(e))
        ]
    problems += [_problem(host.name, merged, error) for error in errors]
    if merged.values.get("models") == {} and not host.is_gateway:
        where = merged.place(host.name, "models")
        problems.append(Problem(where, "No model is declared.", "declare at least one."))
    problems += inconsistent(host.name, merged, settings or _usable(values, errors))
    return (None if errors else settings), problems


def _unmergeable(host: Declared) -> list[Problem]:
    """Layers that are no mapping, under one that is: their entries would be lost in silence."""
    return [
        Problem(
            f"{host.name}: {key}, from {layer.source}",
            f"{layer.data[key]!r} is no dictionary, so nothing can be merged into it.",
            "write a dictionary; None as an entry's value removes that entry.",
        )
        for key in MERGED
        for layer in host.layers[:-1]
        if key in layer.data
        and not isinstance(layer.data[key], Mapping)
        and any(isinstance(above.data.get(key), Mapping) for above in host.layers)
    ]


def _defaults_error(merged: Merged) -> list[Mapping[str, Any]]:
    """What is wrong with model_defaults as a whole, as pydantic would say it."""
    at = ("model_defaults",)
    if "model_defaults" not in merged.values:
        return [{"type": "missing", "loc": at, "msg": ""}]
    defaults = merged.values["model_defaults"]
    if not isinstance(defaults, Mapping):
        words = "Input should be a valid dictionary"
        return [{"type": "dict_type", "loc": at, "msg": words, "input": defaults}]
    return []


def _renamed(merged: Merged) -> list[Mapping[str, Any]]:
    """A model has the name that it is declared under, and no other."""
    declared = merged.values.get("models")
    return [
        {"type": "extra_forbidden", "loc": ("models", name, "name"), "msg": ""}
        for name, entry in (declared.items() if isinstance(declared, Mapping) else ())
        if isinstance(entry, Mapping) and "name" in entry
    ]


def _is_repeated(error: Mapping[str, Any]) -> bool:
    """Whether it is about a model's name, which is checked as the key that declares it, too."""
    at = error["loc"]
    return bool(at[0] == "models" and at[2:] == ("name",))


def _is_own(error: Mapping[str, Any]) -> bool:
    """Whether an error is of a model's own making, whatever the defaults are."""
    at = error["loc"]
    return bool(error["type"] != "missing" or at[0] != "models" or at[-1] == "repo")


def _usable(values: Mapping[str, Any], errors: Iterable[Mapping[str, Any]]) -> Settings:
    """What is left without the bad values: enough to see what does not go together."""
    rest: dict[str, Any] = {
        key: dict(v) if isinstance(v, Mapping) else v for key, v in values.items()
    }
    for error in errors:
        key, *inner = error["loc"]
        if inner and isinstance(rest.get(key), dict):
            rest[key].pop(inner[0], None)
        else:
            rest.pop(key, None)
    for key, kind in (("models", Model), ("llama_swap_groups", Group)):
        entries = rest.get(key, {})
        rest[key] = {}
        for name, entry in entries.items():
            with suppress(ValidationError):
                rest[key][name] = kind.model_validate(entry)
    matrix = rest.get("llama_swap_matrix")
    rest["llama_swap_matrix"] = None
    with suppress(ValidationError):
        rest["llama_swap_matrix"] = matrix and Matrix.model_validate(matrix)
    return Settings.model_construct(None, **{**dict.fromkeys(Settings.model_fields, 0), **rest})


def _unknown(host: str, merged: Merged) -> list[Problem]:
    problems = []
    for key in sorted(merged.values.keys() - wanted_keys()):
        near = difflib.get_close_matches(key, wanted_keys(), 1, 0.6 if is_ours(key) else 0.8)
        if near or is_ours(key):
            fix = f"did you mean {near[0]}? " if near else ""
            problems.append(
                Problem(
                    merged.place(host, key),
                    f"There is no setting {key}.",
                    f"{fix}{_PAGE} lists them all; name your own data otherwise.",
                )
            )
    return problems


def _problem(host: str, merged: Merged, details: Mapping[str, Any]) -> Problem:
    """A validation error of pydantic, in words."""
    at = [str(part) for part in details["loc"] if part != "[key]"]
    if _is_default(merged, at):
        at[:2] = ["model_defaults"]
    path = ".".join(at)
    value = details.get("input")
    what = str(details["msg"]).removeprefix("Value error, ")
    ours = at[:1] if len(at) == 2 and at[0] in _NAMED else at
    named = next((part for part in reversed(ours) if not part.isdecimal()), "it")
    fix = f"mend the value; {_PAGE} says what {named} means."
    if "[key]" in details["loc"]:
        fix = "give it another name."
    match details["type"]:
        case "missing" if len(at) == 3 and at[0] == "models":
            what = f"The model has no {at[-1]}."
            fix = f"give the model a {at[-1]}, or the default to model_defaults."
        case "missing" if len(at) == 2 and at[0].endswith("_release"):
            what = f"The release has no {at[-1]}."
            fix = "`make pin` writes version, url and sha256; None is Homebrew's."
        case "missing" if len(at) == 3:
            what = f"The group has no {at[-1]}."
            fix = f"give the group {at[-1]}, or set it to None."
        case "missing":
            what = "The setting is gone."
            fix = "put it back into group_data/all.py; git has its default."
        case "extra_forbidden":
            fields = {
                "llama_swap_groups": Group.model_fields,
                "llama_swap_matrix": Matrix.model_fields,
                **dict.fromkeys(("llama_cpp_release", "llama_swap_release"), Release.model_fields),
            }
            known = set(fields.get(at[0], model_fields()))
            near = difflib.get_close_matches(at[-1], known, 1)
            what = f"There is no such setting: {at[-1]}."
            fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}."
        case "value_error" if {"extra_args", "env", "url"} & {*at}:
            what = f"It {what}."  # and may hold a key, or a token
        case "value_error":
            what = f"{value!r} {what}." if not isinstance(value, dict) else f"{what}."
        case "string_pattern_mismatch":
            what = f"{value!r} does not look like a {at[-1]}."
            if at[-1] == "repo":
                fix = "write OWNER/NAME, as the Hub has it, without its address."
                repo, colon, kind = str(value).partition(":")
                if colon and not kind.startswith("//"):  # as `llama-server -hf` takes it
                    fix = f'write "repo": {repo!r}, "include": ["*{kind}*"].'
        case _:
            # Somebody may have put a key there in clear text.
            hidden = isinstance(value, dict) or at[0] == "api_keys"
            shown = "" if hidden else f"{value!r}: "
            what = f"{shown}{what}."
    return Problem(merged.place(host, path), what, fix)


def _is_default(merged: Merged, at: Sequence[str]) -> bool:
    """Whether what stands there in a model is not its own, but from model_defaults."""
    if len(at) < 3 or at[0] != "models" or not isinstance(merged.values["models"], Mapping):
        return False
    own, defaults = merged.values["models"].get(at[1]), merged.values.get("model_defaults")
    return (
        isinstance(own, Mapping)
        and at[2] not in own
        and isinstance(defaults, Mapping)
        and at[2] in defaults
    )
