"""What Prometheus may ask for. Labels are key names and models that have answered: bounded.

Counting is plain arithmetic here, since each request pays for it; prometheus_client, whose counters
take several microseconds each, makes its families of the numbers when they are asked for.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST
MOST_MODELS = 100
OTHER = "other"

_TTFT = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_SPEED = (1, 2, 5, 10, 20, 30, 40, 60, 80, 100, 150, 200, 400)
_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800)


class Spread:
    """How often a value fell between which bounds, for each model."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(bounds) + 1))
        self._sums: defaultdict[str, float] = defaultdict(float)

    def add(self, model: str, value: float) -> None:
        """One value more."""
        self._counts[model][bisect_left(self._bounds, value)] += 1
        self._sums[model] += value

    def family(self, name: str, what: str) -> Metric:
        """As Prometheus has it: each bucket with all that is below."""
        family = HistogramMetricFamily(name, what, labels=["model"])
        for model, counts in self._counts.items():
            buckets, below = [], 0
            for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
                below += count
                buckets.append((bound, float(below)))
            family.add_metric([model], buckets, self._sums[model])
        return family


class Metrics(Collector):
    """The numbers of one proxy, in a registry of their own."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()  # key, model, status
        self.tokens: Counter[tuple[str, str, str]] = Counter()  # key, model, in or out
        self.seconds = Spread(_SECONDS)
        self.first = Spread(_TTFT)
        self.speed = Spread(_SPEED)
        self.open = 0
        self.streams = 0
        self.keys = 0
        self.upstream: bool | None = None
        self.drained = False
        self.stuck: Collection[str] = ()
        self.heard: Mapping[str, bool] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        requests = CounterMetricFamily(
            "proxy_requests", "Requests that are over.", labels=["key", "model", "status"]
        )
        for (key, model, status), count in self.requests.items():
            requests.add_metric([key, model, str(status)], count)
        yield requests
        tokens = CounterMetricFamily(
            "proxy_tokens",
            "Tokens of prompts (in) and of answers (out).",
            labels=["key", "model", "direction"],
        )
        for labels, count in self.tokens.items():
            tokens.add_metric(labels, count)
        yield tokens
        yield self.seconds.family("proxy_request_seconds", "How long requests took.")
        yield self.first.family(
            "proxy_time_to_first_token_seconds",
            "From the head of a request to the first event of its stream.",
        )
        yield self.speed.family("proxy_tokens_per_second", "How fast an answer's tokens came.")
        yield GaugeMetricFamily("proxy_open_requests", "Requests under way.", self.open)
        yield GaugeMetricFamily("proxy_open_streams", "Event streams under way.", self.streams)
        yield GaugeMetricFamily("proxy_keys", "Keys in force.", self.keys)
        up = GaugeMetricFamily("proxy_upstream_up", "Whether llama-swap answered when last asked.")
        if self.upstream is not None:
            up.add_metric([], self.upstream)
        yield up
        yield GaugeMetricFamily("proxy_drained", "Whether new requests are refused.", self.drained)
        stuck = GaugeMetricFamily(
            "proxy_stuck", "Models that are up and give no token.", labels=["model"]
        )
        for model in self.stuck:
            stuck.add_metric([model], 1)
        yield stuck
        heard = GaugeMetricFamily(
            "proxy_gateway_heard",
            "Whether another gateway is heard, so that limits hold for both.",
            labels=["gateway"],
        )
        for gateway, is_heard in self.heard.items():
            heard.add_metric([gateway], is_heard)
        yield heard

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)


class Models:
    """The models that have answered. What a client merely asks for is no label and no row."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def answered(self, model: str) -> None:
        """This one exists."""
        if len(self._known) < MOST_MODELS:
            self._known.add(model)

    def label(self, model: str | None) -> str:
        """How to call it in counters."""
        if model in self._known:
            return model
        return "-" if model is None else OTHER
