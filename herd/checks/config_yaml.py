"""config.yaml: YAML, by llama-swap's loader, and only what we mean to say."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from herd.checks import llama_swap_rules, yaml_lines
from herd.checks.config_model import Config
from herd.checks.project import Finding, Project, Subject
from herd.checks.yaml_lines import BadYaml, Path

RULES = {
    "config-syntax": "config.yaml is YAML, with no key twice",
    "config-loader": "llama-swap's loader takes config.yaml",
    "config-model": "config.yaml holds the keys and values that we render, and no others",
}
# Where a person sets what stands there.
_SETTINGS = {
    "healthCheckTimeout": "llama_swap_health_timeout",
    "startPort": "llama_server_start_port",
    "groups": "llama_swap_groups",
    "matrix": "llama_swap_matrix",
}


def check(project: Project) -> Iterator[Finding]:
    """Every host's config.yaml."""
    for subject in project.hosts:
        if file := subject.files.get(subject.host.layout.config):
            try:
                data, lines = yaml_lines.load(file.content.decode())
            except (BadYaml, UnicodeDecodeError) as error:
                line = getattr(error, "line", 1)
                message = f"It is no YAML for llama-swap: {error}."
                fix = "mend templates/config.yaml.j2; its filter `yaml` quotes any value."
                yield subject.finding("config-syntax", file, line, message, fix)
                continue
            yield from _data(subject, data, lines)


def _data(subject: Subject, data: Any, lines: dict[Path, int]) -> Iterator[Finding]:
    file = subject.files[subject.host.layout.config]

    def finding(rule: str, path: Path, what: str, fix: str) -> Finding:
        near = path
        while near and near not in lines:
            near = near[:-1]
        setting = _setting(path)
        return subject.finding(rule, file, lines.get(near, 1), what, fix, setting=setting)

    for fault in llama_swap_rules.faults(data):
        yield finding("config-loader", *fault)
    try:
        Config.model_validate(data)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            at = tuple(part for part in each["loc"] if part != "[key]")
            what = f"{'.'.join(map(str, at))}: {each['msg']}."
            fix = "mend templates/config.yaml.j2; herd/checks/config_model.py says what may stand."
            yield finding("config-model", at, what, fix)


def _setting(path: Path) -> str:
    match path:
        case ("models", model, "ttl" | "aliases" as field, *_):
            return f"models.{model}.{field}"
        case ("hooks", *_):
            return "models"
        case (str(key), *_) if key in _SETTINGS:
            return _SETTINGS[key]
    return ""
