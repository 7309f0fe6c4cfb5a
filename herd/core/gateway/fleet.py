"""The herd as a gateway sees it: which Mac serves which name, with how many slots, how much of it.

Clients ask by a name, and only a name that leads to the same model on the same Macs as another
shares a pool with it: so a name may mean another model on another Mac, and no slot counts twice.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from herd.core.gateway.timeouts import Timeouts
from herd.core.settings.schema import Settings

GROUP = "gateways"
"""Of an inventory: hosts in it make one service of all."""
HEAVIEST = 256
"""The greatest weight of a server (HAProxy, configuration.txt, `weight`)."""
PREFIX = "model."
"""Of a backend for a model."""
USUAL = 100
"""Of a Mac with gateway_weight 100: 16 points each on HAProxy's ring (BE_WEIGHT_SCALE)."""


@dataclass(frozen=True)
class Mac:
    """One Mac of the herd: how its proxy is reached. `tls` is whether it has a certificate,
    `agent_port` where it says how it is (HAProxy's agent check); None is nowhere."""

    name: str
    address: str
    port: int
    tls: bool = False
    agent_port: int | None = None

    @property
    def server(self) -> str:
        """Its name in HAProxy."""
        return plain(self.name)

    @property
    def host(self) -> str:
        """Its address, as it stands before a port."""
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def url(self) -> str:
        """Where its proxy is asked."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def number(self) -> int:
        """Its place on HAProxy's ring where no better one is known (`id`): it stays when other
        Macs come and go."""
        return int(hashlib.sha256(self.name.encode()).hexdigest()[:7], 16) + 1


@dataclass(frozen=True)
class Share:
    """What a Mac takes of a model: requests at a time, and its weight among the others."""

    mac: Mac
    slots: int
    weight: int

    @property
    def cold(self) -> int:
        """Percent of its weight while the model is not loaded there: the least that is no zero."""
        return -(-100 // self.weight)

    @property
    def least(self) -> int:
        """The weight that this makes: more is that of a Mac where the model is loaded."""
        return self.weight * self.cold // 100


@dataclass(frozen=True)
class Pool:
    """Names that lead to the same model on the same Macs, the model's own name first."""

    names: Sequence[str]
    shares: Sequence[Share]
    factor = 125
    """Percent of the average that a Mac may have before HAProxy 3.2 (`hash-balance-factor`)."""

    @property
    def backend(self) -> str:
        """Its name in HAProxy; that of a model is no word of ours."""
        return f"{PREFIX}{plain(self.names[0])}"

    @property
    def scarce(self) -> int:
        """With fewer free slots than this, `factor` of the average, by weight, may be more than
        some Mac has."""
        slots = sum(share.slots for share in self.shares)
        weight = sum(share.weight for share in self.shares)
        enough = (s.slots * weight * 100 // (self.factor * s.weight) for s in self.shares)
        return slots - min(slots, *enough) + 1

    @property
    def asked(self) -> str:
        """Its name, as the agent of a Mac is asked for it."""
        return self.keys[0]

    @property
    def keys(self) -> list[str]:
        """Its names as HAProxy compares them: in hexadecimal, as a name may be any text."""
        return [name.encode().hex().upper() for name in self.names]


@dataclass(frozen=True)
class Gateway:
    """All that the configuration of HAProxy says; `port` is on loopback."""

    macs: Sequence[Mac]
    pools: Sequence[Pool]
    listing: str
    """What /v1/models answers."""
    port: int
    queue: int
    """Requests that may wait for one pool."""
    queue_seconds: int
    buffer: int
    """Bytes of a request that are read, kept, and sent again elsewhere."""
    session_headers: Sequence[str]
    directory: str = "gateway"
    """Of its files, from where it is started: a socket's path is short."""
    vouched: bool = False
    """Whether there is a file of who may vouch for the Macs; else it is whom the system trusts."""
    timing: Timeouts = field(default_factory=Timeouts)
    others: Sequence[Mac] = ()
    """The other gateways: how clients reach the proxy before their HAProxy."""

    @property
    def key_file(self) -> str:
        """What the Macs know this gateway by."""
        return f"{self.directory}/gateway.key"

    @property
    def socket(self) -> str:
        """Where its runtime API is."""
        return f"{self.directory}/haproxy.sock"

    @property
    def state(self) -> str:
        """What it knows of the Macs, over a reload."""
        return f"{self.directory}/haproxy.state"

    @property
    def authorities(self) -> str:
        """A PEM file, or HAProxy's word for those that the system trusts."""
        return f"{self.directory}/authorities.pem" if self.vouched else "@system-ca"

    @property
    def connections(self) -> int:
        """Those that may be open at once: at work, waiting, and what asks for a list meanwhile."""
        slots = sum(share.slots for pool in self.pools for share in pool.shares)
        return slots + self.queue * max(1, len(self.pools)) + 100

    @property
    def readable(self) -> int:
        """Bytes of a body that certainly fit, beside the head, its rewriting and their frames."""
        return self.buffer - 16 * 1024


def plain(name: str) -> str:
    """A name of HAProxy's for any text, which no other text has: its sections and servers have
    letters, digits and `-_.:` only."""
    kept = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return kept if kept == name else f"{kept}:{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def mac(name: str, settings: Settings, address: str) -> Mac:
    """A host as gateways reach it, given how clients do."""
    return Mac(
        name,
        address if settings.listens_everywhere else settings.proxy_host,
        settings.proxy_port,
        settings.proxy_tls_certificate is not None,
        settings.proxy_agent_port,
    )


def as_gateway(mac: Mac, settings: Settings) -> Mac:
    """The same host, as other gateways reach the one on it."""
    return replace(mac, port=settings.gateway_port, agent_port=None)


def gateway(
    settings: Settings, hosts: Mapping[Mac, Settings], speeds: Mapping[str, int] | None = None,
    others: Sequence[Mac] = (),
) -> Gateway:  # fmt: skip
    """What a gateway with these settings is told of the herd: of those hosts that serve, and of its
    `others`. `speeds` has what is known of how fast they are, by name."""
    macs = {mac: own for mac, own in hosts.items() if own.serves}
    return Gateway(
        macs=list(macs),
        pools=pools(macs, speeds or {}),
        listing=listing(macs),
        port=settings.gateway_haproxy_port,
        queue=settings.gateway_queue,
        queue_seconds=settings.gateway_queue_seconds,
        buffer=settings.gateway_buffer_kib * 1024,
        session_headers=[name.lower() for name in settings.gateway_session_headers],
        vouched=settings.gateway_tls_authorities is not None,
        others=others,
    )


def pools(macs: Mapping[Mac, Settings], speeds: Mapping[str, int] | None = None) -> list[Pool]:
    """Every name that clients may use, by what it leads to; in the order of the models' names."""
    leads: dict[str, dict[Mac, str]] = defaultdict(dict)
    for mac, settings in macs.items():
        for model in settings.models.values():
            for name in (model.name, *model.aliases):
                leads[name][mac] = model.name
    alike: dict[tuple[tuple[Mac, str], ...], list[str]] = defaultdict(list)
    for name in sorted(leads):
        alike[tuple(leads[name].items())].append(name)
    found = []
    for served, names in alike.items():
        models = {model for _, model in served}
        ordered = sorted(names, key=lambda name: (name not in models, name))
        found.append(Pool(ordered, _shares(served, macs, speeds or {})))
    return sorted(found, key=lambda pool: pool.names[0])


def _shares(
    served: Sequence[tuple[Mac, str]], macs: Mapping[Mac, Settings], speeds: Mapping[str, int]
) -> list[Share]:
    """Of each Mac: as its slots are to those of the one with the most, times gateway_weight; where
    that is None, times its speed to that of the fastest, if all are known."""
    slots = {mac: macs[mac].models[model].parallel for mac, model in served}
    most = max(slots.values())
    known = all(mac.name in speeds for mac in slots)
    fastest = max(speeds[mac.name] for mac in slots) if known else 1

    def percent(mac: Mac) -> float:
        if (declared := macs[mac].gateway_weight) is not None:
            return declared
        return 100 * speeds[mac.name] / fastest if known else 100

    weights = {mac: USUAL * own / most * percent(mac) / 100 for mac, own in slots.items()}
    return [
        Share(mac, own, min(HEAVIEST, max(1, round(weights[mac])))) for mac, own in slots.items()
    ]


def listing(macs: Mapping[Mac, Settings]) -> str:
    """The herd's /v1/models in llama-swap's shape: each model once, its aliases beside it.

    A model is listed if a Mac lists it; what the first Mac says of it counts.
    """
    entries: dict[str, dict[str, object]] = {}
    aliases: dict[str, list[str]] = defaultdict(list)
    for settings in macs.values():
        for model in settings.models.values():
            aliases[model.name] += model.aliases
            if model.unlisted or model.name in entries:
                continue
            entry: dict[str, object] = {"id": model.name, "object": "model", "created": 0}
            entry["owned_by"] = "llama-herd"
            told = {"name": model.display_name, "description": model.description}
            entries[model.name] = entry | {key: text for key, text in told.items() if text}
    data = []
    for name, entry in sorted(entries.items()):
        about = {"aliases": sorted(set(aliases[name]) - {name})}
        data.append({**entry, "meta": {"llamaswap": about}})
    return json.dumps({"object": "list", "data": data}, ensure_ascii=True)
