"""Types that fields of settings share."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from herd.core.text.quoting import complaint


class Strict(BaseModel):
    """Fields of their own types, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _carried(value: str) -> str:
    if reason := complaint(value):
        raise ValueError(reason)
    return value


def _absolute(value: str) -> str:
    if not re.match(r"^(/|~/.)", value) or value.rstrip("/") in {"", "~"}:
        raise ValueError("is not an absolute path, nor one below ~/")
    if {".", ".."} & set(value.split("/")):
        raise ValueError("has . or .. in it")
    if ":" in value:
        raise ValueError("holds `:`, which ends a directory in PATH and PYTHONPATH")
    return value.rstrip("/")


Text = Annotated[str, Field(min_length=1), AfterValidator(_carried)]
Path = Annotated[
    Text, AfterValidator(_absolute), Field(description="an absolute path, or one below `~/`")
]
