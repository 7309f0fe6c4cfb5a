"""Macros of the configuration: ${env.X} in the text, then ${name} in the values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from lab.llama_swap.text import without_comments

ENVIRONMENT = re.compile(r"\$\{env\.([a-zA-Z_][a-zA-Z0-9_]*)\}")
MACRO = re.compile(r"\$\{([a-zA-Z0-9_-]+)\}")
DEFAULT_PROXY = "http://localhost:${PORT}"
# Fields in which an unknown macro is reported in the older wording.
OLD_FIELDS = {"cmd", "cmdStop", "proxy", "checkEndpoint", "name", "description"}

Macros = dict[str, Any]


class ConfigError(Exception):
    """The configuration is refused; the text is llama-swap's."""


def substitute_environment(text: str, without_yaml_comments: str) -> str:
    """Replace what the values mention; a mention in a comment need not be set."""
    for name in dict.fromkeys(ENVIRONMENT.findall(without_yaml_comments)):
        value = os.environ.get(name)
        if value is None:
            raise ConfigError(f"environment variable '{name}' is not set")
        if any(char in value for char in "\n\r\0"):
            raise ConfigError(
                f"environment variable '{name}' contains newlines or null bytes "
                "which are not allowed in YAML substitution"
            )
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        text = text.replace(f"${{env.{name}}}", escaped)
    return text


def resolve(raw: dict[str, Any], start_port: int) -> None:
    """Expand every macro of the configuration in place, and refuse what is left over."""
    common = _declared(raw.pop("macros", None), "")
    models = raw.get("models") or {}
    for key in raw:
        if key != "models":
            raw[key] = _expand(raw[key], common)
    port = start_port
    # In order of their names, so that ports do not depend on the order in the file.
    for name in sorted(models):
        model = models[name] if models[name] is not None else {}
        own = _declared(model.pop("macros", None), f"model {name}: ")
        for field in ("cmd", "cmdStop"):
            if isinstance(model.get(field), str):
                model[field] = without_comments(model[field])
        if model.get("proxy") is None:
            model["proxy"] = DEFAULT_PROXY
        model = _expand(model, {"MODEL_ID": name, **common, **own})
        in_cmd, in_proxy = ("${PORT}" in str(model.get(field, "")) for field in ("cmd", "proxy"))
        if in_proxy and not in_cmd:
            raise ConfigError(
                f"model {name}: proxy uses ${{PORT}} but cmd does not - "
                "${PORT} is only available when used in cmd"
            )
        if in_cmd:
            model = _expand(model, {"PORT": port})
            port += 1
        models[name] = model
    _refuse_leftovers(raw)


def _declared(macros: Any, where: str) -> Macros:
    if macros is None:
        return {}
    if not isinstance(macros, dict):
        raise ConfigError(f"{where}macros must be a mapping")
    for name, value in macros.items():
        name = str(name)
        if len(name) >= 64:
            problem = f"macro name '{name}' exceeds maximum length of 63 characters"
        elif not re.fullmatch("[a-zA-Z0-9_-]+", name):
            problem = (
                f"macro name '{name}' contains invalid characters, "
                "must match pattern ^[a-zA-Z0-9_-]+$"
            )
        elif isinstance(value, str) and f"${{{name}}}" in value:
            problem = f"macro '{name}' contains self-reference"
        elif not isinstance(value, str | int | float):
            kind = "[]interface {}" if isinstance(value, list) else "map[string]interface {}"
            problem = (
                f"macro '{name}' has invalid type {'<nil>' if value is None else kind}, "
                "must be a scalar type (string, int, float, or bool)"
            )
        elif name in ("PID", "PORT", "MODEL_ID"):
            problem = f"macro name '{name}' is reserved"
        else:
            continue
        raise ConfigError(where + problem)
    return {str(name): value for name, value in macros.items()}


def _expand(value: Any, macros: Mapping[str, Any]) -> Any:
    # The last declared goes first: that is how a later macro may use an earlier one.
    for name in reversed(list(macros)):
        value = _expand_one(value, f"${{{name}}}", macros[name])
    return value


def _expand_one(value: Any, slug: str, replacement: Any) -> Any:
    if isinstance(value, str):
        if value == slug:
            return replacement  # the whole value: the type survives
        shown = str(replacement).lower() if isinstance(replacement, bool) else str(replacement)
        return value.replace(slug, shown)
    if isinstance(value, dict):
        return {key: _expand_one(each, slug, replacement) for key, each in value.items()}
    if isinstance(value, list):
        return [_expand_one(each, slug, replacement) for each in value]
    return value


def _refuse_leftovers(raw: dict[str, Any]) -> None:
    for key, value in raw.items():
        if key != "models":
            for path, name in _leftovers(value, str(key)):
                raise ConfigError(f"{path}: unknown macro '${{{name}}}'")
            continue
        for model, fields in (value or {}).items():
            for field, content in (fields or {}).items():
                for path, name in _leftovers(content, str(field)):
                    if name == "PID" and field == "cmdStop":
                        continue
                    if field not in OLD_FIELDS:
                        where = re.sub(r"\[\d+\]", "", path)
                        raise ConfigError(f"model {model} {where}: unknown macro '${{{name}}}'")
                    if name in ("PORT", "MODEL_ID"):
                        raise ConfigError(
                            f"macro '${{{name}}}' should have been substituted in {model}.{field}"
                        )
                    raise ConfigError(f"unknown macro '${{{name}}}' found in {model}.{field}")


def _leftovers(value: Any, path: str) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(path, name) for name in MACRO.findall(value)]
    if isinstance(value, dict):
        return [hit for key, each in value.items() for hit in _leftovers(each, f"{path}.{key}")]
    if isinstance(value, list):
        return [hit for i, each in enumerate(value) for hit in _leftovers(each, f"{path}[{i}]")]
    return []
