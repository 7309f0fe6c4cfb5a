"""What llama-swap's loader refuses, and what it takes in silence and we do not want.

From llama-swap v250 (internal/config); unknown members and preloads it drops without a word.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from herd.checks.yaml_lines import Path
from herd.core.mac.job_definitions import KEY_VARIABLE

RESERVED = ("PORT", "MODEL_ID", "PID")
_MACRO = re.compile(r"\$\{([^}]*)\}?")
_NAME = re.compile(r"^[A-Za-z0-9_-]{1,63}$")


class Fault(NamedTuple):
    """Where in the data, what is wrong, and the mend."""

    path: Path
    what: str
    fix: str


def faults(data: Any) -> Iterator[Fault]:
    """Everything that is wrong with a config.yaml."""
    if not isinstance(data, Mapping):
        yield Fault((), "It is no mapping.", "mend templates/config.yaml.j2.")
        return
    models = _mapping(data.get("models"))
    if not models:
        yield Fault(("models",), "It has no model.", "declare at least one.")
    yield from _numbers(data, models)
    if data.get("logToStdout", "proxy") not in ("proxy", "upstream", "both", "none"):
        yield Fault(
            ("logToStdout",), "llama-swap knows no such log.", "say proxy, upstream, both or none."
        )
    yield from _names(models)
    yield from _macros(data, models)
    yield from _groups(data, models)
    hooks = _mapping(_mapping(data.get("hooks")).get("on_startup"))
    aliases = {
        alias for model in models.values() for alias in _list(_mapping(model).get("aliases"))
    }
    for number, name in enumerate(_list(hooks.get("preload"))):
        if name not in models and name not in aliases:
            path = ("hooks", "on_startup", "preload", number)
            yield Fault(path, f"There is no model {name!r} to preload.", "preload a declared one.")


def _numbers(data: Mapping[str, Any], models: Mapping[str, Any]) -> Iterator[Fault]:
    start = data.get("startPort", 5800)
    if not _whole(start) or start < 1:
        yield Fault(("startPort",), f"{start!r} is no port.", "choose one from 1024 on.")
    elif start + len(models) - 1 > 65535:
        what = f"{len(models)} models from port {start} on go beyond 65535."
        yield Fault(("startPort",), what, "lower llama_server_start_port.")
    for key in ("globalTTL", "unloadTimeout"):
        if key in data and (not _whole(data[key]) or data[key] < 0):
            yield Fault((key,), f"{data[key]!r} is no number of seconds.", "say 0 or more.")
    for name, model in models.items():
        ttl = _mapping(model).get("ttl", -1)
        if not _whole(ttl) or ttl < -1:
            path = ("models", name, "ttl")
            yield Fault(path, f"A ttl of {ttl!r} is refused.", "say 0 (never) or seconds.")


def _names(models: Mapping[str, Any]) -> Iterator[Fault]:
    owners: dict[Any, str] = {}
    for name, model in models.items():
        if not isinstance(model, Mapping) or not str(model.get("cmd") or "").strip():
            what = f"{name} has no cmd: its first request would fail."
            yield Fault(("models", name), what, "mend templates/config.yaml.j2.")
        for number, alias in enumerate(_list(_mapping(model).get("aliases"))):
            path = ("models", name, "aliases", number)
            if alias in owners:
                what = f"The alias {alias!r} is {owners[alias]}'s, too."
                yield Fault(path, what, "give each model names of its own.")
            elif alias in models:
                yield Fault(path, f"The alias {alias!r} is a model's name.", "name it otherwise.")
            owners.setdefault(alias, name)


def _macros(data: Mapping[str, Any], models: Mapping[str, Any]) -> Iterator[Fault]:
    common = set(map(str, _mapping(data.get("macros"))))
    yield from _declared(data, ())
    for key, value in data.items():
        if key not in ("models", "macros"):
            yield from _unknown(value, (key,), common | {f"env.{KEY_VARIABLE}"})
    for name, model in models.items():
        fields = _mapping(model)
        yield from _declared(fields, ("models", name))
        own = common | set(map(str, _mapping(fields.get("macros"))))
        for key, value in fields.items():
            if key != "macros":
                known = own | {"PORT", "MODEL_ID"} | ({"PID"} if key == "cmdStop" else set())
                yield from _unknown(value, ("models", name, key), known)
        if "${PORT}" in str(fields.get("proxy", "")) and "${PORT}" not in str(fields.get("cmd")):
            what = "proxy has ${PORT}, and cmd has not."
            yield Fault(("models", name, "proxy"), what, "give the cmd --port ${PORT}.")


def _declared(data: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    for name, value in _mapping(data.get("macros")).items():
        at = (*path, "macros", str(name))
        if name in RESERVED:
            yield Fault(at, f"The macro {name} is llama-swap's own.", "name it otherwise.")
        elif not _NAME.match(str(name)):
            yield Fault(at, f"{name!r} is no name of a macro.", "use letters, digits, _ and -.")
        elif not isinstance(value, (str, int, float)):
            yield Fault(at, f"The macro {name} is no scalar.", "give it text or a number.")
        elif f"${{{name}}}" in str(value):
            yield Fault(at, f"The macro {name} holds itself.", "write out what it means.")


def _unknown(value: Any, path: Path, known: set[str]) -> Iterator[Fault]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _unknown(key, (*path, str(key)), known)
            yield from _unknown(inner, (*path, str(key)), known)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _unknown(inner, (*path, number), known)
    elif isinstance(value, str):
        for match in _MACRO.finditer(value):
            if match[1] not in known:
                what = f"{match[0]!r} is an unknown macro to llama-swap, which has no escape."
                yield Fault(path, what, "write the value without `${`.")


def _groups(data: Mapping[str, Any], models: Mapping[str, Any]) -> Iterator[Fault]:
    router = _mapping(_mapping(data.get("routing")).get("router"))
    settings = _mapping(router.get("settings"))
    if data.get("groups") and (router.get("use") or settings):
        what = "groups and routing.router do not go together."
        yield Fault(("groups",), what, "keep one of them.")
    if data.get("groups") and data.get("matrix"):
        yield Fault(("matrix",), "groups and matrix do not go together.", "keep one of them.")
    base: Path = ("groups",) if data.get("groups") else ("routing", "router", "settings", "groups")
    homes: dict[Any, str] = {}
    for name, group in _mapping(data.get("groups") or settings.get("groups")).items():
        for number, member in enumerate(_list(_mapping(group).get("members"))):
            path = (*base, str(name), "members", number)
            if member in homes:
                what = f"{member!r} is in the group {homes[member]!r} already."
                yield Fault(path, what, "put each model into one group, once.")
            elif member not in models:
                yield Fault(path, f"There is no model {member!r}.", "name a declared one.")
            homes.setdefault(member, str(name))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
