"""Types that fields of settings share."""

import re
from ipaddress import IPv6Network, ip_network
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


_IPV4_WITHIN = IPv6Network("::ffff:0:0/96")


def _network(value: str) -> str:
    """As pf prints it: of netmasks, zones and bits beyond the prefix it understands some."""
    if not re.fullmatch(r"[0-9A-Fa-f:.]+(/(0|[1-9][0-9]{0,2}))?", value):
        raise ValueError('is no network, as "192.168.1.0/24", nor an address')
    try:
        wide = ip_network(value, strict=False)
    except ValueError:
        raise ValueError('is no network, as "192.168.1.0/24" or "fd00::/8"') from None
    address = value.partition("/")[0]
    if wide.network_address != ip_network(address).network_address:
        raise ValueError(f"has bits beyond its prefix: write {wide}, or {address} alone")
    if isinstance(wide, IPv6Network) and wide.subnet_of(_IPV4_WITHIN):
        raise ValueError("is IPv4 in IPv6, which no packet of this network has: write it as IPv4")
    return str(wide)


Text = Annotated[str, Field(min_length=1), AfterValidator(_carried)]
Path = Annotated[
    Text, AfterValidator(_absolute), Field(description="an absolute path, or one below `~/`")
]
Network = Annotated[
    Text,
    AfterValidator(_network),
    Field(description="a network (`192.168.1.0/24`, `fd00::/8`) or an address"),
]
