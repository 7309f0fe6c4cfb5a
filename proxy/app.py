"""The proxy as one thing: its settings, and the engine they make."""

from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from proxy.certificate import Certificate
from proxy.engine.engine import Engine
from proxy.engine.upstream_key import UpstreamKey
from proxy.engine.upstream_pool import LLAMA_SWAP, Behind
from proxy.exchange import Policy
from proxy.gateways.sharing import Sharing
from proxy.keys.store import KeyStore
from proxy.limits import Limits
from proxy.readiness.readiness import Readiness


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the proxy works with; where it listens is the server's business."""

    keys: KeyStore
    policy: Policy
    upstream: str = "http://127.0.0.1:8080"
    upstream_key: Path | None = None
    """The file with the key that llama-swap asks for, if it does."""
    behind: Behind = LLAMA_SWAP
    readiness: Readiness = field(default_factory=Readiness)
    agent: tuple[str, int] | None = None
    """Where HAProxy's agent check is answered, if it is."""
    token_deadline: float = 60.0
    """Seconds for one token of a model that may be stuck, which is looked for with the agent."""
    sharing: Sharing | None = None
    """Of limits with other gateways."""
    limits: Limits = field(default_factory=Limits)
    certificate: Certificate | None = None
    """Without one, plain HTTP is spoken."""


def create_engine(settings: Settings) -> Engine:
    """The whole proxy, ready to listen. To be called in a running event loop."""
    upstream = URL(settings.upstream)
    key = UpstreamKey(settings.upstream_key)
    host, port = upstream.host or "", upstream.port or 80
    return Engine(settings.policy, host, port, settings.limits, key, settings.behind)
