"""Loads config.yaml by llama-swap's rules; unknown keys are ignored, as there.

Peers, selectors and profiles are refused: the stand-in cannot do them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.llama_swap import matrix
from lab.llama_swap.macros import ConfigError, resolve, substitute_environment
from lab.llama_swap.matrix import Matrix

NOT_SIMULATED = ("peers", "selectors", "profiles")
IGNORED_PATHS = r".*\.(js|json|css|png|gif|jpg|jpeg|ico|txt)$"
DEFAULT_GROUP = "(default)"


@dataclass
class Model:
    id: str
    cmd: str = ""
    cmd_stop: str = ""
    proxy: str = ""
    aliases: list[str] = field(default_factory=list)
    env: list[str] = field(default_factory=list)
    check_endpoint: str = "/health"
    ttl: int = 0
    unload_timeout: int = 10
    unlisted: bool = False
    use_model_name: str = ""
    name: str = ""
    description: str = ""
    concurrency_limit: int = 10
    strip_params: list[str] = field(default_factory=list)
    set_params: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    context: int = 0


@dataclass
class Group:
    members: list[str]
    swap: bool = True
    exclusive: bool = True
    persistent: bool = False


@dataclass
class Config:
    health_check_timeout: int
    log_level: str
    log_to_stdout: str
    metrics: bool
    include_aliases: bool
    api_keys: list[str]
    preload: list[str]
    ignored_paths: list[str]
    models: dict[str, Model]
    groups: dict[str, Group]
    matrix: Matrix | None
    aliases: dict[str, str]

    def real_name(self, name: str) -> str | None:
        return name if name in self.models else self.aliases.get(name)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans, and no key twice: as go-yaml has it."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if not tag.endswith((":bool", ":timestamp", ":value"))
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
            raise ConfigError(
                f'yaml: unmarshal errors:\n  line {line}: mapping key "{key.value}" '
                f"already defined at line {seen[key.value]}"
            )
        seen.setdefault(key.value, line)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load(path: Path) -> Config:
    """Read, expand and check the configuration, or raise ConfigError in llama-swap's words."""
    try:
        text = path.read_text()
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise ConfigError(f"failed to read config {path}: open {path}: {reason}") from None
    parsed = _parse(text, path)
    try:
        text = substitute_environment(text, yaml.safe_dump(parsed))
    except ConfigError as error:
        raise ConfigError(f"config {path}: {error}") from None
    raw = _parse(text, path)
    raw = {} if raw is None else raw
    if not isinstance(raw, dict):
        raise _unmarshal(raw, "map[string]interface {}")
    models = raw.get("models")
    if models is not None and not isinstance(models, dict):
        raise _unmarshal(models, "map[string]config.modelMacroConfig")
    start_port = _whole(raw.get("startPort"), 5800)
    if start_port < 1:
        raise ConfigError("startPort must be greater than 1")
    resolve(raw, start_port)
    return _build(raw)


def _parse(text: str, path: Path) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark else 0
        where = f"line {line}: " if line else ""
        raise ConfigError(f"failed to parse config {path}: yaml: {where}{error.problem}") from None


def _build(raw: dict[str, Any]) -> Config:
    for key in NOT_SIMULATED:
        if raw.get(key):
            raise ConfigError(f"{key}: the lab's stand-in for llama-swap cannot do this")
    every = _section(raw, "performance").get("every", "5s")
    seconds = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)", str(every))
    if not seconds:
        raise ConfigError(f"yaml: unmarshal errors:\n  line 0: cannot unmarshal {every} into time")
    if seconds[2] == "s" and float(seconds[1]) < 5:
        raise ConfigError(f"performance: every must be at least 5s, got {every}")
    default_ttl = _whole(raw.get("globalTTL"), 0)
    if default_ttl < 0:
        raise ConfigError("globalTTL must be >= 0")
    default_unload = _whole(raw.get("unloadTimeout"), 10)
    if default_unload < 0:
        raise ConfigError("unloadTimeout must be >= 0")
    log_to = _text(raw.get("logToStdout"), "proxy")
    if log_to not in ("proxy", "upstream", "both", "none"):
        raise ConfigError("logToStdout must be one of: proxy, upstream, both, none")
    bodies = {str(name): body or {} for name, body in (raw.get("models") or {}).items()}
    models = {
        name: _model(name, bodies[name], default_ttl, default_unload or 10)
        for name in sorted(bodies)
    }
    aliases = _aliases(models)
    groups, combined = _routing(raw, models)
    config = Config(
        health_check_timeout=max(15, _whole(raw.get("healthCheckTimeout"), 120)),
        log_level=_text(raw.get("logLevel"), "info").strip().lower(),
        log_to_stdout=log_to,
        metrics=not _flag(_section(raw, "performance").get("disabled"), False),
        include_aliases=_flag(raw.get("includeAliasesInList"), False),
        api_keys=_api_keys(_texts(raw.get("apiKeys"))),
        preload=[],
        ignored_paths=_texts(_section(raw, "upstream").get("ignorePaths")) or [IGNORED_PATHS],
        models=models,
        groups=groups,
        matrix=combined,
        aliases=aliases,
    )
    wanted = _texts(_section(_section(raw, "hooks"), "on_startup").get("preload"))
    real = (config.real_name(name.strip()) for name in wanted)
    config.preload = [name for name in real if name]
    _check_scheduler(raw, config)
    return config


def _model(name: str, body: Any, default_ttl: int, default_unload: int) -> Model:
    if not isinstance(body, dict):
        raise _unmarshal(body, "config.rawModelConfig")
    ttl = _whole(body.get("ttl"), -1)
    ttl = default_ttl if ttl == -1 else ttl
    if ttl < 0:
        raise ConfigError(f"model {name}: invalid TTL value {ttl}")
    unload = _whole(body.get("unloadTimeout"), 0)
    if unload < 0:
        raise ConfigError(f"model {name}: invalid unloadTimeout value {unload}")
    filters = _section(body, "filters")
    strip = _text(filters.get("stripParams") or filters.get("strip_params"), "")
    return Model(
        id=name,
        cmd=_text(body.get("cmd"), ""),
        cmd_stop=_text(body.get("cmdStop"), ""),
        proxy=_text(body.get("proxy"), ""),
        aliases=_texts(body.get("aliases")),
        env=_texts(body.get("env")),
        check_endpoint=_text(body.get("checkEndpoint"), "/health"),
        ttl=ttl,
        unload_timeout=unload or default_unload,
        unlisted=_flag(body.get("unlisted"), False),
        use_model_name=_text(body.get("useModelName"), ""),
        name=_text(body.get("name"), "").strip(),
        description=_text(body.get("description"), "").strip(),
        concurrency_limit=_whole(body.get("concurrencyLimit"), 0) or 10,
        strip_params=[
            each.strip() for each in strip.split(",") if each.strip() not in ("", "model")
        ],
        set_params={k: v for k, v in _section(filters, "setParams").items() if k != "model"},
        metadata=_section(body, "metadata"),
        context=_whole(_section(body, "capabilities").get("context"), 0),
    )


def _aliases(models: dict[str, Model]) -> dict[str, str]:
    aliases: dict[str, str] = {}
    for model in models.values():
        for alias in model.aliases:
            if alias in aliases:
                raise ConfigError(f"duplicate alias {alias} found in model: {model.id}")
            aliases[alias] = model.id
    return aliases


def _routing(
    raw: dict[str, Any], models: dict[str, Model]
) -> tuple[dict[str, Group], Matrix | None]:
    router = _section(_section(raw, "routing"), "router")
    settings = _section(router, "settings")
    groups, sets = _section(raw, "groups"), raw.get("matrix")
    if (groups or sets is not None) and (
        router.get("use") or settings.get("groups") or settings.get("matrix") is not None
    ):
        raise ConfigError(
            "config uses both the legacy top-level 'matrix'/'groups' keys and the new "
            "'routing.router' block; please migrate the top-level keys into 'routing.router' "
            "and remove them"
        )
    use = _text(router.get("use"), "")
    if use not in ("", "group", "matrix"):
        raise ConfigError(f'routing.router.use: unknown router "{use}" (valid: group, matrix)')
    if use == "matrix":
        sets = settings.get("matrix")
        if sets is None:
            raise ConfigError(
                "routing.router.use is 'matrix' but routing.router.settings.matrix is not set"
            )
    else:
        groups = groups or _section(settings, "groups")
    if sets is None:
        return _groups(groups, models), None
    if groups:
        raise ConfigError("config cannot use both 'groups' and 'matrix'")
    return {}, matrix.compiled(_section({"MatrixConfig": sets}, "MatrixConfig"), models)


def _groups(raw: dict[str, Any], models: dict[str, Model]) -> dict[str, Group]:
    groups = {
        str(name): Group(
            members=_texts((body or {}).get("members")),
            swap=_flag((body or {}).get("swap"), True),
            exclusive=_flag((body or {}).get("exclusive"), True),
            persistent=_flag((body or {}).get("persistent"), False),
        )
        for name, body in raw.items()
    }
    used: dict[str, str] = {}
    for name, group in groups.items():
        for position, member in enumerate(group.members):
            if member in group.members[:position]:
                raise ConfigError(f"duplicate model member {member} found in group: {name}")
            if member in used:
                raise ConfigError(
                    f"model member {member} is used in multiple groups: {used[member]} and {name}"
                )
            used[member] = name
    groups[DEFAULT_GROUP] = Group(members=[name for name in models if name not in used])
    return groups


def _check_scheduler(raw: dict[str, Any], config: Config) -> None:
    scheduler = _section(_section(raw, "routing"), "scheduler")
    use = _text(scheduler.get("use"), "fifo")
    if use != "fifo":
        raise ConfigError(f'routing.scheduler.use: unknown scheduler "{use}" (valid: fifo)')
    for name in _section(_section(_section(scheduler, "settings"), "fifo"), "priority"):
        if config.real_name(str(name)) is None:
            raise ConfigError(
                f'routing.scheduler.settings.fifo.priority references unknown model "{name}"'
            )


def _api_keys(keys: list[str]) -> list[str]:
    for position, key in enumerate(keys):
        if not key:
            raise ConfigError("empty api key found in apiKeys")
        if " " in key:
            raise ConfigError(f"apiKeys[{position}]: api key cannot contain spaces")
    return keys


# -- values, with go-yaml's words for the wrong ones


def _unmarshal(value: Any, wanted: str) -> ConfigError:
    kinds = {bool: "!!bool", int: "!!int", float: "!!float", str: "!!str", list: "!!seq"}
    shown = "" if isinstance(value, list | dict) else f" `{value}`"
    kind = kinds.get(type(value), "!!map")
    return ConfigError(
        f"yaml: unmarshal errors:\n  line 0: cannot unmarshal {kind}{shown} into {wanted}"
    )


def _section(raw: dict[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _unmarshal(value, f"config.{key}")
    return value


def _whole(value: Any, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise _unmarshal(value, "int")
    return value


def _flag(value: Any, default: bool) -> bool:
    if value is None:
        return default
    # Where a boolean is wanted go-yaml takes YAML 1.1's words for one.
    words = {"yes": True, "on": True, "no": False, "off": False, "y": True, "n": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if not isinstance(value, bool):
        raise _unmarshal(value, "bool")
    return value


def _text(value: Any, default: str) -> str:
    if value is None:
        return default
    if isinstance(value, list | dict):
        raise _unmarshal(value, "string")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _unmarshal(value, "[]string")
    return [_text(each, "") for each in value]
