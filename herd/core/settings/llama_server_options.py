"""Settings of a model that each are one flag of llama-server, by the flag's own name.

None leaves it to llama-server or the model. `extra_args` may have the flag only where the setting
is None.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from herd.core.settings.field_types import Path, Strict, Text
from herd.core.text.quoting import complaint


@dataclass(frozen=True)
class Flag:
    """How builds spell it, the newest first; `off` is a switch's other side."""

    names: tuple[str, ...]
    off: str = ""


def _flag(*names: str, off: str = "") -> Flag:
    return Flag(names, off)


def _object(value: dict[str, Any]) -> dict[str, Any]:
    try:
        reason = complaint(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"is no JSON: {error}") from None
    if reason:
        raise ValueError(reason)
    return value


Object = Annotated[
    dict[str, Any], AfterValidator(_object), Field(description="a dictionary, as JSON has them")
]
_Positive = Annotated[float, Field(ge=0, allow_inf_nan=False, description="0 or more")]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, description="0 to 1")]
_Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False, description="-2 to 2")]
_Count = Annotated[int, Field(ge=0)]
_Budget = Annotated[int, Field(ge=-1)]


class LlamaServerOptions(Strict):
    """What requests get that do not say otherwise, and what llama-server does beside answering."""

    temperature: Annotated[_Positive | None, _flag("--temp", "--temperature")] = None
    top_k: Annotated[_Count | None, _flag("--top-k")] = None
    top_p: Annotated[_Share | None, _flag("--top-p")] = None
    min_p: Annotated[_Share | None, _flag("--min-p")] = None
    repeat_penalty: Annotated[_Positive | None, _flag("--repeat-penalty")] = None
    presence_penalty: Annotated[_Penalty | None, _flag("--presence-penalty")] = None
    frequency_penalty: Annotated[_Penalty | None, _flag("--frequency-penalty")] = None
    reasoning_format: Annotated[
        Literal["auto", "none", "deepseek", "deepseek-legacy"] | None, _flag("--reasoning-format")
    ] = None
    reasoning_budget: Annotated[_Budget | None, _flag("--reasoning-budget")] = None
    jinja: Annotated[bool | None, _flag("--jinja", off="--no-jinja")] = None
    chat_template: Annotated[Text | None, _flag("--chat-template")] = None
    chat_template_kwargs: Annotated[Object | None, _flag("--chat-template-kwargs")] = None
    context_shift: Annotated[bool | None, _flag("--context-shift", off="--no-context-shift")] = None
    cache_reuse: Annotated[_Count | None, _flag("--cache-reuse")] = None
    slot_save_path: Annotated[Path | None, _flag("--slot-save-path")] = None
    spec_type: Annotated[Text | None, _flag("--spec-type")] = None
    spec_draft_n_max: Annotated[
        _Count | None, _flag("--spec-draft-n-max", "--draft-max", "--draft-n", "--draft")
    ] = None
    spec_draft_n_min: Annotated[
        _Count | None, _flag("--spec-draft-n-min", "--draft-min", "--draft-n-min")
    ] = None
    spec_draft_p_min: Annotated[_Share | None, _flag("--spec-draft-p-min", "--draft-p-min")] = None
    pooling: Annotated[
        Literal["none", "mean", "cls", "last", "rank"] | None, _flag("--pooling")
    ] = None
    metrics: Annotated[bool | None, _flag("--metrics")] = None

    @property
    def given(self) -> Iterator[tuple[str, Flag, Any]]:
        """Each that is set, with its flag and value."""
        for name, flag in FLAGS.items():
            if (value := getattr(self, name)) is not None:
                yield name, flag, value


FLAGS = {
    name: next(each for each in field.metadata if isinstance(each, Flag))
    for name, field in LlamaServerOptions.model_fields.items()
}
