"""Settings of a model that its entry in llama-swap's configuration has, by its own names."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from herd.core.settings.field_types import Strict, Text
from herd.core.settings.llama_server_options import Object

CONCURRENCY = 10
"""Requests to a model that llama-swap v250 lets through at a time, where nothing is said."""


def _parameter(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_]+", value):
        raise ValueError("is no name of a parameter")
    if value == "model":
        raise ValueError("is what llama-swap routes by, and changes for nobody")
    return value


def _parameters(value: dict[str, Any]) -> dict[str, Any]:
    if "model" in value:
        raise ValueError("holds 'model', which llama-swap routes by, and changes for nobody")
    return value


def _variable(value: str) -> str:
    name, equals, _ = value.partition("=")
    if not equals or not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        raise ValueError('is no "NAME=value", with a name in capitals')
    if re.match(r"LLAMA_|HF_|HUGGING_FACE", name):
        raise ValueError(f"sets {name}, by which llama-server takes arguments that no check sees")
    if re.search(r"(^|_)(API_KEY|TOKEN|SECRET|PASSWORD)$", name):
        raise ValueError(
            f"sets {name}: a secret in settings is one for everybody with this project"
        )
    return value


Variable = Annotated[Text, AfterValidator(_variable), Field(description='`"NAME=value"`')]
Parameters = Annotated[Object, AfterValidator(_parameters)]


class Filters(Strict):
    """What llama-swap changes in the body of a request (`filters`)."""

    strip_params: list[Annotated[Text, AfterValidator(_parameter)]] = Field(default_factory=list)
    set_params: Parameters | None = None
    set_params_by_id: dict[Text, Parameters] = Field(default_factory=dict)

    @property
    def entry(self) -> dict[str, Any]:
        """As llama-swap has it."""
        found = {
            "stripParams": ", ".join(self.strip_params),
            "setParams": self.set_params,
            "setParamsByID": self.set_params_by_id,
        }
        return {key: value for key, value in found.items() if value}


class LlamaSwapOptions(Strict):
    """How llama-swap shows a model, and what it does with requests to it."""

    filters: Annotated[Filters, Field(description="the fields of filters, below")] | None = None
    use_model_name: Text | None = None
    concurrency_limit: Annotated[int, Field(ge=0)] = 0
    env: list[Variable] = Field(default_factory=list)
    unlisted: bool = False
    display_name: Annotated[Text, Field(max_length=128)] | None = None
    description: Annotated[Text, Field(max_length=1024)] | None = None

    @field_validator("env", mode="after")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        names = [entry.partition("=")[0] for entry in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"sets {', '.join(twice)} twice")
        return value

    def entry(self, parallel: int) -> dict[str, Any]:
        """As llama-swap has it, without what it would take for granted. More slots than it lets
        requests through would stay empty."""
        limit = self.concurrency_limit or (parallel if parallel > CONCURRENCY else 0)
        found = {
            "name": self.display_name,
            "description": self.description,
            "unlisted": self.unlisted,
            "useModelName": self.use_model_name,
            "concurrencyLimit": limit,
            "env": self.env,
            "filters": self.filters.entry if self.filters else None,
        }
        return {key: value for key, value in found.items() if value}
