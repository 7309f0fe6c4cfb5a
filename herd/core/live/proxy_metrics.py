"""The numbers of one of our proxies, out of its `/metrics` (docs/proxy.md, "Metrics")."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field

Name = tuple[str, frozenset[tuple[str, str]]]
"""Of a counter: its family's, and its labels with their values."""
Counters = Mapping[Name, float]

_REQUESTS, _TOKENS = "proxy_requests_total", "proxy_tokens_total"
_FIRST = "proxy_time_to_first_token_seconds"
_NOBODY = ("key", "-")
_COUNTED = (_REQUESTS, _TOKENS, f"{_FIRST}_sum", f"{_FIRST}_count")


@dataclass(frozen=True)
class ProxyMetrics:
    """`counters` only rise; `open` requests are under way, `stuck` models give no token; of other
    gateways, by the names of their keys, whether they are `heard`."""

    counters: Counters = field(default_factory=dict)
    open: int = 0
    drained: bool = False
    stuck: tuple[str, ...] = ()
    heard: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """What was done between two looks: requests, tokens of prompts and of answers, streams that
    began, and the seconds that all of these waited for that."""

    requests: float = 0.0
    read: float = 0.0
    written: float = 0.0
    begun: float = 0.0
    waited: float = 0.0

    def __add__(self, other: "Done") -> "Done":
        return Done(*(sum(pair) for pair in zip(astuple(self), astuple(other), strict=True)))


def parse(text: str) -> ProxyMetrics | None:
    """None if nobody answered, or with something else. Raises nothing."""
    # A deploy without gateways need not wait for it.
    from prometheus_client.parser import text_string_to_metric_families

    counters: dict[Name, float] = {}
    gauges: dict[str, float] = {}
    stuck = []
    heard: dict[str, bool] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in _COUNTED:
                    counters[sample.name, frozenset(sample.labels.items())] = sample.value
                elif sample.name == "proxy_stuck":
                    stuck.append(sample.labels.get("model", ""))
                elif sample.name == "proxy_gateway_heard":
                    heard[sample.labels.get("gateway", "")] = bool(sample.value)
                else:
                    gauges[sample.name] = sample.value
    except (ValueError, KeyError, IndexError):
        return None
    if "proxy_open_requests" not in gauges:
        return None
    opened, drained = gauges["proxy_open_requests"], gauges.get("proxy_drained", 0.0)
    return ProxyMetrics(counters, int(opened), bool(drained), tuple(stuck), heard)


def done(increases: Counters) -> Done:
    """Sums of what counters rose by; requests are those with a key, as HAProxy asks every other
    second whether the proxy lives."""

    def total(family: str) -> float:
        return sum(
            value
            for (name, labels), value in increases.items()
            if name == family and _NOBODY not in labels
        )

    return Done(
        requests=total(_REQUESTS),
        read=_tokens(increases, "in"),
        written=_tokens(increases, "out"),
        begun=total(f"{_FIRST}_count"),
        waited=total(f"{_FIRST}_sum"),
    )


def _tokens(increases: Counters, direction: str) -> float:
    label = ("direction", direction)
    return sum(v for (name, labels), v in increases.items() if name == _TOKENS and label in labels)
