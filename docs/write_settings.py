"""`make docs`: docs/settings.md of group_data/all.py and the types in herd/core/settings/schema.py.

Defaults, meanings and sections are those of group_data/all.py and its comments; the values that a
setting takes are read off its type. Nothing is said twice, so nothing can disagree.
"""

import ast
import types
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from jinja2 import Template
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from herd.core.settings.extra_args import OWNED_FLAGS
from herd.core.settings.llama_swap_options import Filters
from herd.core.settings.precedence import MERGED
from herd.core.settings.release import Release
from herd.core.settings.schema import Group, Model, Settings
from herd.core.settings.swap_matrix import Matrix

ROOT = Path(__file__).parents[1]
ALL = ROOT / "group_data/all.py"
PAGE = ROOT / "docs/settings.md"
TEMPLATE = ROOT / "docs/settings.md.j2"


@dataclass(frozen=True)
class Setting:
    """One assignment of group_data/all.py: its section, name, default as it is written, comment."""

    section: str
    name: str
    default: str
    meaning: str


def settings_of(source: str) -> Iterator[Setting]:
    """Every setting of group_data/all.py in its order; those of a model as "model_defaults.ttl"."""
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        name = node.targets[0].id
        above = [line for line in lines[: node.lineno] if line.startswith("# -- ")]
        section = above[-1].strip("# -")
        if name == "model_defaults" and isinstance(node.value, ast.Dict):
            yield Setting(section, name, "see below", "What a model leaves out.")
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                inner = f"{name}.{ast.literal_eval(key or ast.Constant(''))}"
                yield Setting(section, inner, _code(value), _comment(lines, value.lineno))
        else:
            yield Setting(section, name, _code(node.value), _comment(lines, node.lineno))


def _code(value: ast.expr) -> str:
    return f"`{ast.unparse(value)}`".replace("'", '"')


def _comment(lines: list[str], number: int) -> str:
    """The comment above line `number`, and of lines that share one, above them all."""
    above: list[str] = []
    for line in reversed(lines[: number - 1]):
        text = line.strip()
        if text.startswith("#") and not text.startswith("# --"):
            above.insert(0, text.removeprefix("#").strip())
        elif above or not text or text.startswith("# --"):
            break
    return " ".join(above)


def values(annotation: Any, metadata: tuple[Any, ...] = (), description: str | None = None) -> str:
    """What a type takes, in words."""
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        for entry in more:
            if isinstance(entry, FieldInfo):
                description = entry.description or description
                metadata += tuple(entry.metadata)
            else:
                metadata += (entry,)
    if description:
        return description
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join("`None`" if each is type(None) else values(each) for each in inner)
    if origin is Literal:
        return ", ".join(f'`"{each}"`' for each in inner)
    if origin is list:
        return f"a list; each is {values(inner[0])}"
    if origin is dict:
        return f"by name, {values(inner[1])}"
    if annotation is bool:
        return "`True`, `False`"
    if annotation is int:
        least = next((int(str(m.ge)) for m in metadata if isinstance(m, Ge)), None)
        most = next((int(str(m.le)) for m in metadata if isinstance(m, Le)), None)
        return f"{least} to {most}" if most is not None else f"{least} or more"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"the fields of a {annotation.__name__.lower()}, below"
    return {str: "a text", Any: "an entry, [as the proxy takes it](proxy.md#configjson)"}[
        annotation
    ]


def _values_of(model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    return values(field.annotation, tuple(field.metadata), field.description)


def _table(rows: Iterable[Sequence[str]], *heads: str) -> str:
    escaped = ([cell.replace("|", "&#124;") for cell in row] for row in rows)
    lines = [heads, ["---"] * len(heads), *escaped]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def page() -> str:
    """docs/settings.md, as it is to be."""
    everything = list(settings_of(ALL.read_text()))
    heads = ("Setting", "Default", "Values", "Meaning")
    sections = {
        section: _table(
            [
                (f"`{s.name}`", s.default, _values_of_setting(s.name), s.meaning)
                for s in everything
                if s.section == section and "." not in s.name
            ],
            *heads,
        )
        for section in dict.fromkeys(setting.section for setting in everything)
    }
    fields = [("`repo`", "required", _values_of(Model, "repo"), "The repository on the Hub.")]
    for setting in everything:
        if "." in setting.name:
            name = setting.name.rpartition(".")[2]
            fields.append((f"`{name}`", setting.default, _values_of(Model, name), setting.meaning))
    filters = [
        (f"`{name}`", _default(field), _values_of(Filters, name))
        for name, field in Filters.model_fields.items()
    ]
    matrix = [
        (f"`{name}`", _default(field), _values_of(Matrix, name))
        for name, field in Matrix.model_fields.items()
    ]
    rules = [
        (f"`{name}`", _default(field), _values_of(Group, name))
        for name, field in Group.model_fields.items()
    ]
    release = [(f"`{name}`", _values_of(Release, name)) for name in Release.model_fields]
    *most, last = (f"`{name}`" for name in MERGED)
    text: str = Template(TEMPLATE.read_text(), keep_trailing_newline=True).render(
        sections=sections,
        model=_table(fields, *heads),
        group=_table(rules, "Field", "Default", "Values"),
        matrix=_table(matrix, "Field", "Default", "Values"),
        filters=_table(filters, "Field", "Default", "Values"),
        release=_table(release, "Field", "Values"),
        flags=", ".join(f"`{flag}`" for flag in OWNED_FLAGS),
        merged=f"{', '.join(most)} and {last}",
    )
    return text


def _values_of_setting(name: str) -> str:
    if name == "model_defaults":
        return "by name, any field of a model but `repo`"
    return _values_of(Settings, name)


def _default(field: FieldInfo) -> str:
    return (
        "required" if field.is_required() else f"`{field.get_default(call_default_factory=True)}`"
    )


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(ROOT)} is written")
