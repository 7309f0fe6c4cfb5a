"""The settings of a host, typed. Their defaults and meanings stand in group_data/all.py.

A `description` says in words what values a type takes, where a range or a list does not.
`make docs` writes both into docs/settings.md.
"""

import re
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from herd.core.settings import part_sources
from herd.core.settings.extra_args import LOAD_MODES, canonical, complaints
from herd.core.settings.field_types import Network, Path, Strict, Text
from herd.core.settings.llama_server_options import LlamaServerOptions
from herd.core.settings.llama_swap_options import LlamaSwapOptions
from herd.core.settings.model_parts import ModelParts
from herd.core.settings.release import Release
from herd.core.settings.swap_matrix import Matrix


def _address(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        raise ValueError("is no IP address") from None
    return value


def _reachable(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*\.?", value):
            raise ValueError("is no host name and no IP address; the port is proxy_port") from None
    return value


def _unprotected(value: str) -> str:
    # launchd jobs get "Operation not permitted" there (launchd.plist(5), CAVEATS).
    for name in ("Documents", "Desktop", "Downloads"):
        if re.match(rf"^(~|/Users/[^/]+)/{name}(/|$)", value):
            raise ValueError(f"lies in {name}, where macOS keeps launchd jobs out")
    for name in ("Mobile Documents", "CloudStorage"):
        if re.match(rf"^(~|/Users/[^/]+)/Library/{name}(/|$)", value):
            raise ValueError(f"lies in {name}, whose files macOS takes off the disk as it likes")
    if re.fullmatch(r"/Volumes/[^/]+", value) or value == "/Volumes":
        raise ValueError("is a volume itself; name a directory on it")
    return value


HeaderName = Annotated[
    Text, Field(pattern=r"^[A-Za-z0-9_-]+$", description="a header's name: letters, digits, `-_`")
]
UserPort = Annotated[int, Field(ge=1024, le=65535)]
Pattern = Annotated[Text, Field(description="a file pattern, as for `hf download --include`")]
# llama-server --help, --cache-type-k.
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]
QUANTISED = {"q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"}


def directory_of(repo: str) -> str:
    """The name of a model's directory: its repository's, without the owner."""
    return repo.rpartition("/")[2]


class Model(ModelParts, LlamaServerOptions, LlamaSwapOptions):
    """One model: which files, and how llama-server serves them."""

    name: Text
    repo: Annotated[
        Text, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[\w.-]+$", description="`OWNER/NAME`")
    ]
    revision: Text
    include: Annotated[list[Pattern], Field(min_length=1)]
    ctx_size: Annotated[int, Field(ge=0)]
    parallel: Annotated[int, Field(ge=1, le=256)]
    cache_type_k: CacheType
    cache_type_v: CacheType
    flash_attention: Literal["on", "off", "auto"]
    mlock: bool
    extra_args: list[Text]
    ttl: Annotated[int, Field(ge=0)]
    aliases: list[Text]
    preload: bool

    @property
    def directory(self) -> str:
        """The name of its directory."""
        return directory_of(self.repo)

    @property
    def total_ctx_size(self) -> int:
        """What `--ctx-size` must say, as it is shared by all slots; 0 is the model's own."""
        return self.ctx_size * self.parallel

    @property
    def parts(self) -> dict[str, list[str]]:
        """By role, what goes along with its own files."""
        return self.parts_with(self.extra_args)

    @field_validator("extra_args", mode="after")
    @classmethod
    def _ours(cls, value: list[str]) -> list[str]:
        if wrong := list(complaints(value)):
            raise ValueError("; it ".join(wrong))
        for argument in value:
            if argument.startswith(part_sources.SCHEME):
                part_sources.parse(argument)
        return value

    @model_validator(mode="after")
    def _said_once(self) -> "Model":
        if twice := self.said_twice(self.extra_args):
            raise ValueError(twice)
        if self.chat_template and self.chat_template_file:
            raise ValueError("has chat_template and chat_template_file: say one of them")
        words = {canonical(word) for word in self.extra_args}
        if self.mlock and (ways := words & LOAD_MODES):
            raise ValueError(
                f"mlock is True, and extra_args has {', '.join(sorted(ways))}: "
                "set mlock to False for another way to load"
            )
        for name, flag, value in self.given:
            if both := words & {*flag.names, flag.off}:
                said = ", ".join(sorted(both))
                raise ValueError(f"{name} is {value!r}, and extra_args has {said}: say it once")
        return self

    @model_validator(mode="after")
    def _quantised_values(self) -> "Model":
        # llama.cpp: "V cache quantization requires flash_attn".
        if self.cache_type_v in QUANTISED and self.flash_attention == "off":
            raise ValueError(
                f"cache_type_v={self.cache_type_v!r} needs flash attention, which is off"
            )
        return self


# What a deploy does about models that do not fit into a Mac's memory.
Fit = Literal["refuse", "warn", "off"]


class Group(Strict):
    """Models that share a rule of swapping (llama-swap, `groups`)."""

    members: Annotated[list[Text], Field(min_length=1)]
    swap: bool = True
    exclusive: bool = True
    persistent: bool = False


class Settings(Strict):
    """Everything that a host's deploy depends on; field names are the keys of host.data."""

    stack_root: Annotated[Path, AfterValidator(_unprotected)]

    homebrew_prefix: Path
    homebrew_installer: Annotated[Text, Field(pattern=r"^https?://", description="a URL")]
    homebrew_upgrade: bool

    models: dict[Text, Model]
    models_connections: Annotated[int, Field(ge=1, le=32)]
    models_prune: bool
    site: Text
    models_share: bool
    models_address: Annotated[Text, AfterValidator(_reachable)] | None

    llama_server_start_port: UserPort
    llama_cpp_release: Release | None

    llama_swap_port: UserPort
    llama_swap_release: Release | None
    llama_swap_watch_config: bool
    llama_swap_health_timeout: Annotated[int, Field(ge=15)]
    llama_swap_groups: dict[Text, Group]
    llama_swap_matrix: Matrix | None

    proxy_host: Annotated[
        Text, Field(pattern=r"^[^%]+$", description="an IP address"), AfterValidator(_address)
    ]
    proxy_port: UserPort
    proxy_address: Annotated[Text, AfterValidator(_reachable)] | None
    proxy_python: Annotated[
        Text, Field(pattern=r"^python@3\.\d+$", description="`python@3.` and a number")
    ]
    proxy_allow_origins: list[Text]
    proxy_allow_image_urls: list[Text]
    proxy_tls_certificate: Text | None
    proxy_tls_key: Text | None
    proxy_agent_port: UserPort | None
    proxy_token_deadline: Annotated[int, Field(ge=5, le=3600)]
    proxy_log_max_mb: Annotated[int, Field(ge=1, le=4096)]
    proxy_logs_kept: Annotated[int, Field(ge=0, le=99)]

    gateway_port: UserPort
    gateway_haproxy_port: UserPort
    gateway_weight: Annotated[int, Field(ge=1, le=800)] | None
    gateway_queue: Annotated[int, Field(ge=1, le=10_000)]
    gateway_queue_seconds: Annotated[int, Field(ge=1, le=3_600)]
    gateway_buffer_kib: Annotated[int, Field(ge=64, le=65_536)]
    gateway_session_headers: list[HeaderName]
    gateway_tls_authorities: Text | None

    # What an entry may hold is the proxy's to say (herd/workstation/api_keys.py).
    api_keys: list[Any]

    launchd_label_prefix: Annotated[
        Text,
        Field(
            pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$",
            description="letters, digits and `-`, with a dot at least once between them",
        ),
    ]
    launchd_domain: Literal["agent", "daemon"]
    launchd_autostart: Literal["background", "terminal", "off"]

    mac_sleep: Literal["never", "never-lid-shut"] | None
    mac_restart_after_power_loss: bool | None
    mac_wake_on_lan: bool | None
    mac_gpu_wired_limit_mb: Annotated[int, Field(ge=1024, le=1048576)] | None
    mac_firewall_exception: bool | None
    mac_networks: list[Network] | None
    mac_automatic_updates: bool | None

    preflight_fit: Fit
    preflight_memory_reserve_gb: Annotated[int, Field(ge=0)]
    preflight_disk_reserve_gb: Annotated[int, Field(ge=0)]

    verify_timeout: Annotated[int, Field(ge=10)]
    drain_timeout: Annotated[int, Field(ge=0)]

    @property
    def serves(self) -> bool:
        """Whether this host has models of its own; a gateway need not."""
        return bool(self.models)

    @property
    def listens_everywhere(self) -> bool:
        """Whether the proxy listens on every address of its Mac; "::" is IPv4, too."""
        return self.proxy_host in {"0.0.0.0", "::"}

    @property
    def releases(self) -> dict[str, Release]:
        """What is not Homebrew's, by software."""
        pinned = {"llama.cpp": self.llama_cpp_release, "llama-swap": self.llama_swap_release}
        return {name: release for name, release in pinned.items() if release}

    @property
    def preload(self) -> list[str]:
        """Names of the models to load when llama-swap starts."""
        return [name for name, model in self.models.items() if model.preload]

    def named(self, name: str) -> str:
        """The model of this name, or that has it among its aliases; else the name itself."""
        found = (each.name for each in self.models.values() if name in each.aliases)
        return name if name in self.models else next(found, name)

    @property
    def llama_server_ports(self) -> range:
        """Ports that llama-swap gives to its models, in the order of their names."""
        return range(self.llama_server_start_port, self.llama_server_start_port + len(self.models))

    @property
    def ports(self) -> list[int]:
        """Every port of the stack, in order."""
        agent = [self.proxy_agent_port] if self.proxy_agent_port else []
        return sorted({self.proxy_port, *agent, self.llama_swap_port, *self.llama_server_ports})


# A key of host.data with such a start is meant for us, so an unknown one is a slip of the pen.
PREFIXES = tuple(
    sorted({name.partition("_")[0] for name in Settings.model_fields} | {"model", "launchd"})
)


def wanted_keys() -> set[str]:
    """Every key of host.data that is ours."""
    return {*Settings.model_fields, "model_defaults"}


def is_ours(key: str) -> bool:
    """Whether a key of host.data is meant for us, well spelled or not."""
    return key.partition("_")[0] in PREFIXES or key in wanted_keys()


def model_fields() -> set[str]:
    """The settings of one model."""
    return set(Model.model_fields) - {"name"}
