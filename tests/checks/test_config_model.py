"""Our model of config.yaml, held against upstream's own schema, and the loader's rules."""

import copy
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import ValidationError

from herd.checks import llama_swap_rules, yaml_lines
from herd.checks.config_model import Config, Entry, Group
from herd.checks.yaml_lines import BadYaml
from tests.core.files.test_templates import hostile_settings, rendered, upstream_schema

GOOD: dict[str, Any] = {
    "healthCheckTimeout": 900,
    "startPort": 10001,
    "logLevel": "info",
    "logToStdout": "both",
    "captureBuffer": 0,
    "performance": {"every": "60s"},
    "apiKeys": ["${env.LLAMA_API_KEY}"],
    "models": {
        "a": {
            "proxy": "http://127.0.0.1:${PORT}",
            "cmd": "llama-server --port ${PORT}",
            "ttl": 0,
            "aliases": ["b"],
        }
    },
    "groups": {"g": {"members": ["a"], "swap": True, "exclusive": True, "persistent": False}},
    "hooks": {"on_startup": {"preload": ["a"]}},
}


def with_value(path: str, value: Any) -> dict[str, Any]:
    """GOOD with another value at a path."""
    found: dict[str, Any] = copy.deepcopy(GOOD)
    *above, last = path.split(".")
    inner = found
    for part in above:
        inner = inner[part]
    inner[last] = value
    return found


def properties(schema: dict[str, Any], *path: str) -> dict[str, Any]:
    """What upstream's schema has at a place; references within it are followed."""

    def plain(part: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in part:
            target: Any = schema
            for step in part["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            part = target
        return part

    here = plain(schema)
    for step in path:
        here = plain(here["additionalProperties"] if step == "*" else here["properties"][step])
    return {name: plain(each) for name, each in here["properties"].items()}


def test_what_we_render_is_as_the_model_says() -> None:
    Config.model_validate(rendered(hostile_settings()))
    Config.model_validate(GOOD)


def test_upstream_knows_every_key_of_the_model() -> None:
    schema = upstream_schema()

    assert set(Config.model_fields) <= set(properties(schema))
    assert set(Entry.model_fields) <= set(properties(schema, "models", "*"))
    assert set(Group.model_fields) <= set(properties(schema, "groups", "*"))


def test_upstream_knows_every_word_of_the_model() -> None:
    """Words are compared as sets where both sides list them: the model may have fewer."""
    known = properties(upstream_schema())
    for name in ("logLevel", "logToStdout"):
        words = set(get_args(Config.model_fields[name].annotation))

        assert words <= set(known[name]["enum"]), name


WRONG = [
    ("healthCheckTimeout", "900"),
    ("healthCheckTimeout", 5),
    ("startPort", "10001"),
    ("logLevel", "loud"),
    ("logToStdout", "all"),
    ("models", []),
    ("models.a", {}),
    ("models.a.cmd", 5),
    ("models.a.cmd", ""),
    ("models.a.ttl", "0"),
    ("models.a.ttl", -5),
    ("models.a.aliases", "b"),
    ("groups", []),
    ("groups.g.swap", "yes"),
    ("hooks.on_startup.preload", "a"),
    ("captureBuffer", -1),
]
# What upstream's schema lets pass, and we do not mean.
NARROWER = [("startPort", 0), ("groups.g.members", []), ("captureBuffer", 10)]


@pytest.mark.parametrize(("path", "value"), WRONG, ids=[f"{p}={v!r}" for p, v in WRONG])
def test_what_the_schema_refuses_the_model_refuses_too(path: str, value: Any) -> None:
    bad = with_value(path, value)

    assert [*jsonschema.Draft7Validator(upstream_schema()).iter_errors(bad)]
    with pytest.raises(ValidationError):
        Config.model_validate(bad)


@pytest.mark.parametrize(("path", "value"), NARROWER, ids=[f"{p}={v!r}" for p, v in NARROWER])
def test_the_model_is_narrower_where_we_mean_less(path: str, value: Any) -> None:
    bad = with_value(path, value)

    jsonschema.Draft7Validator(upstream_schema()).validate(bad)
    with pytest.raises(ValidationError):
        Config.model_validate(bad)


def test_a_key_that_the_model_has_not_is_refused_where_the_schema_is_silent() -> None:
    bad = with_value("healthChekTimeout", 900)

    jsonschema.Draft7Validator(upstream_schema()).validate(bad)
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Config.model_validate(bad)


# -- The loader's rules


def said(bad: dict[str, Any]) -> list[str]:
    return [fault.what for fault in llama_swap_rules.faults(bad)]


def test_a_good_configuration_has_no_fault() -> None:
    assert said(GOOD) == []
    assert said(rendered(hostile_settings())) == []


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ({"models": []}, "It has no model."),
        (with_value("macros", {"MODEL_ID": 1}), "The macro MODEL_ID is llama-swap's own."),
        (with_value("macros", {"a b": 1}), "'a b' is no name of a macro."),
        (with_value("macros", {"a": [1]}), "The macro a is no scalar."),
        (with_value("macros", {"a": "x ${a}"}), "The macro a holds itself."),
        (with_value("globalTTL", -1), "-1 is no number of seconds."),
        (with_value("routing", {"router": {"use": "group"}}), "groups and routing.router do"),
        (with_value("logLevel", "${level}"), "'${level}' is an unknown macro"),
        (with_value("models.a.env", ["A=${env.HOME}"]), "'${env.HOME}' is an unknown macro"),
        (with_value("models.a.cmd", "x ${PORT} ${PID}"), "'${PID}' is an unknown macro"),
    ],
)
def test_what_the_loader_refuses_is_told(bad: dict[str, Any], what: str) -> None:
    assert [each for each in said(bad) if each.startswith(what)]


def test_macros_that_are_declared_are_no_fault() -> None:
    good = with_value("macros", {"dir": "/x"})
    good["models"]["a"] |= {
        "macros": {"own": "${dir}/y"},
        "cmd": "s ${own} ${PORT} ${MODEL_ID}",
        "cmdStop": "kill ${PID}",
    }

    assert said(good) == []


# -- Lines


def test_each_value_has_its_line() -> None:
    _, lines = yaml_lines.load("a: 1\nb:\n  c: [x,\n    y]\n  d:\n    - z\n")

    assert lines["a",] == 1
    assert lines["b", "c", 1] == 4
    assert lines["b", "d", 0] == 6


@pytest.mark.parametrize(
    ("text", "line"), [("a: 1\na: 2\n", 2), ("a: [\n", 2), ("a: b: c\n", 1), ("a: \x01", 1)]
)
def test_what_is_no_yaml_is_told_with_its_line(text: str, line: int) -> None:
    with pytest.raises(BadYaml) as found:
        yaml_lines.load(text)

    assert found.value.line == line
