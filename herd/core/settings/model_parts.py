"""What goes along with a model's weights, and what all of it does together."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from herd.core.settings import part_sources
from herd.core.settings.extra_args import canonical
from herd.core.settings.field_types import Strict, Text


def _part(value: str) -> str:
    part_sources.parse(value)
    return value


def _scaled_part(value: str) -> str:
    if "," in value:
        raise ValueError("has a comma, which parts names in llama-server's list of them")
    part_sources.parse(value, scaled=True)
    return value


_FILE_OF_THE_HUB = "a file of the repository, or `hf://OWNER/NAME@REVISION/FILE` of another"
Part = Annotated[Text, AfterValidator(_part), Field(description=_FILE_OF_THE_HUB)]
ScaledPart = Annotated[
    Text,
    AfterValidator(_scaled_part),
    Field(description=f"{_FILE_OF_THE_HUB}, with `:SCALE` behind it if that is not 1"),
]
# What is asked of a model, and how (herd/core/models/tasks.py).
Task = Literal["auto", "chat", "completion", "embedding", "reranking", "speech"]

# A model by itself, whatever another one has; with its projector, if it has one.
ALONE: dict[str, Any] = {
    **{"mmproj": "auto", "draft": None, "lora": [], "control_vector": []},
    **{"chat_template_file": None, "task": "auto"},
}

# Of which there is one: a setting says it, or the argument of a person who has the file there.
_ONCE = {
    "mmproj": ("-mm", "--mmproj"),
    "draft": ("-md", "--model-draft", "--spec-draft-model"),
    "chat_template_file": ("--chat-template-file", "--chat-template"),
}


class ModelParts(Strict):
    """Fields whose names are those of llama-server's flags, where there is one."""

    mmproj: Literal["auto"] | Part | None
    draft: Part | None
    lora: list[ScaledPart]
    control_vector: list[ScaledPart]
    chat_template_file: Part | None
    task: Task

    def parts_with(self, extra: Sequence[str]) -> dict[str, list[str]]:
        """By role, what is asked for beside the model's own files, by settings and by arguments;
        without what is as always, and without what is not asked for."""
        has_projector = self.mmproj is not None and not _said("mmproj", extra)
        asked = {
            "mmproj": [self.mmproj] if self.mmproj and has_projector else [],
            "draft": [self.draft] if self.draft else [],
            "lora": self.lora,
            "control_vector": self.control_vector,
            "chat_template_file": [self.chat_template_file] if self.chat_template_file else [],
            part_sources.FILE: [word for word in extra if word.startswith(part_sources.SCHEME)],
        }
        return {
            role: list(dict.fromkeys(sources))
            for role, sources in asked.items()
            if sources != ["auto"] and (sources or role == "mmproj")
        }

    def said_twice(self, extra: Sequence[str]) -> str | None:
        """A setting and the argument that says the same, in words."""
        for setting in _ONCE:
            value, flag = getattr(self, setting), _said(setting, extra)
            if flag and value not in (None, "auto"):
                return f"{setting} is {value!r}, and extra_args has {flag}: say it once"
        return None


def _said(setting: str, extra: Sequence[str]) -> str | None:
    return next((word for word in extra if canonical(word) in _ONCE[setting]), None)
