"""YAML as data, with the line of each value."""

from functools import lru_cache
from typing import Any

import yaml

Path = tuple[str | int, ...]


class BadYaml(ValueError):
    """No YAML, or a key twice; `line` as a person counts."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@lru_cache(maxsize=8)  # each check of a host reads the same file, and pyyaml is slow
def load(text: str) -> tuple[Any, dict[Path, int]]:
    """The data, and the lines by path (("models", "tiny", "aliases", 0)), both to be read only.

    Raises BadYaml.
    """
    lines: dict[Path, int] = {}
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        _note(node, (), lines)
        return None if node is None else loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadYaml(mark.line + 1 if mark else 1, f"{error.problem}") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise BadYaml(getattr(error, "line", 1), str(error).splitlines()[0]) from None


def _note(node: Any, path: Path, lines: dict[Path, int]) -> None:
    if node is None:
        return
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            at = (*path, str(key.value))
            if at in lines:
                message = f"the key {key.value!r} stands here again; it is in line {lines[at]}, too"
                raise BadYaml(key.start_mark.line + 1, message)
            lines[at] = key.start_mark.line + 1
            _note(value, at, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _note(value, (*path, number), lines)
