"""What our config.yaml may say: narrower than llama-swap, which ignores unknown keys."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Filters(_Strict):
    """What is changed in the body of a request."""

    stripParams: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_, ]+$")] | None = None
    setParams: Annotated[dict[Name, Any], Field(min_length=1)] | None = None
    setParamsByID: dict[Name, dict[Name, Any]] | None = None


class Entry(_Strict):
    """One model."""

    proxy: Literal["http://127.0.0.1:${PORT}"]  # "localhost" may be ::1 first
    cmd: Name
    ttl: Annotated[int, Field(ge=0)]
    aliases: Annotated[list[Name], Field(min_length=1)] | None = None
    name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    description: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    unlisted: bool = False
    useModelName: Name | None = None
    concurrencyLimit: Annotated[int, Field(ge=1)] | None = None
    env: list[Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*=")]] = []
    filters: Filters | None = None


class Group(_Strict):
    """Models that share a rule of swapping."""

    members: Annotated[list[Name], Field(min_length=1)]
    swap: bool
    exclusive: bool
    persistent: bool


class Matrix(_Strict):
    """Models that may be loaded together, as expressions."""

    vars: dict[Annotated[str, Field(pattern=r"^[a-zA-Z0-9.-]{1,32}$")], Name] = {}
    evict_costs: dict[Name, Annotated[int, Field(ge=1)]] = {}
    sets: Annotated[dict[Name, Name], Field(min_length=1)]


class OnStartup(_Strict):
    """What is loaded at the start."""

    preload: Annotated[list[Name], Field(min_length=1)]


class Performance(_Strict):
    """How often it looks how the machine is."""

    every: Literal["60s"]  # no polling faster than a minute


class Hooks(_Strict):
    """Of llama-swap's events there is one."""

    on_startup: OnStartup


class Config(_Strict):
    """The whole file."""

    healthCheckTimeout: Annotated[int, Field(ge=15)]
    startPort: Annotated[int, Field(ge=1024, le=65535)]
    logLevel: Literal["debug", "info", "warn", "error"]
    logToStdout: Literal["proxy", "upstream", "both", "none"]
    captureBuffer: Literal[0]  # prompts and answers are not kept
    performance: Performance
    # Of whoever asks; the key itself is in no file that we render.
    apiKeys: Annotated[list[Literal["${env.LLAMA_API_KEY}"]], Field(min_length=1, max_length=1)]
    models: Annotated[dict[Name, Entry], Field(min_length=1)]
    groups: dict[Name, Group] = {}
    matrix: Matrix | None = None
    hooks: Hooks | None = None
