"""What two looks make: rates, slots, who waits, and what is wrong."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from herd.core.live.look import Look, Pools, Slots
from herd.core.live.proxy_metrics import ProxyMetrics
from herd.core.live.reading import Rates, Reading, of_gateway, of_mac, within

FIRST = "proxy_time_to_first_token_seconds"


def proxy(
    requests: float = 0, read: float = 0, written: float = 0, begun: float = 0, waited: float = 0
) -> ProxyMetrics:
    of_model = frozenset({("key", "anna"), ("model", "m")})
    return ProxyMetrics(
        {
            ("proxy_requests_total", of_model): requests,
            ("proxy_tokens_total", of_model | {("direction", "in")}): read,
            ("proxy_tokens_total", of_model | {("direction", "out")}): written,
            (f"{FIRST}_count", of_model): begun,
            (f"{FIRST}_sum", of_model): waited,
        },
        open=3,
    )


def look(at: float, found: ProxyMetrics | None, slots: Mapping[str, Slots] | None = None) -> Look:
    return Look(at=at, states=dict.fromkeys(slots or {}, "ready"), slots=slots or {}, proxy=found)


def rates(*looks: Look) -> Rates:
    return of_mac(looks, {}).rates


def test_rates_are_differences_over_time() -> None:
    before, after = proxy(10, 100, 50, 4, 2.0), proxy(13, 400, 90, 6, 3.0)

    assert rates(look(0, before), look(20, after)) == Rates(
        requests=9.0, read=15.0, written=2.0, first=0.5
    )


def test_who_asks_whether_the_proxy_lives_is_no_request() -> None:
    """As HAProxy does every other second, without a key."""

    def at(asked: float) -> Look:
        found = proxy(requests=asked // 10)
        nobodys = frozenset({("key", "-"), ("model", "-"), ("status", "200")})
        return look(asked, replace(found, counters={
            **found.counters, ("proxy_requests_total", nobodys): asked,
        }))  # fmt: skip

    assert rates(at(0), at(30)).requests == 6.0


def test_one_look_or_none_at_the_end_has_no_rates() -> None:
    some = proxy(10)

    assert rates(look(0, some)) == Rates()
    assert rates(look(0, some), look(2, None)) == Rates()
    assert rates(look(0, None), look(2, some)) == Rates()
    # What did not answer in between is passed over.
    assert rates(look(0, some), look(1, None), look(6, proxy(11))).requests == 10.0


def test_a_proxy_that_began_anew_counts_from_nothing() -> None:
    looks = [look(0, proxy(10, written=500)), look(5, proxy(12, written=600))]
    looks += [look(10, proxy(1, written=40)), look(15, proxy(2, written=60))]

    found = rates(*looks)

    assert (found.requests, found.written) == (4 * 4.0, 160 / 15)


def test_tokens_of_answers_under_way_count_once() -> None:
    def at(seconds: float, done: int, *under_way: int) -> Look:
        slots = {"m": Slots(len(under_way), 2, sum(under_way))}
        return look(seconds, proxy(written=done), slots)

    assert rates(at(0, 100), at(2, 100, 40)).written == 20.0
    # It is over, and the proxy has counted it.
    assert rates(at(0, 100, 40), at(2, 160)).written == 10.0
    assert rates(at(0, 100, 40, 10), at(2, 160, 20)).written == 15.0
    # Its client left, or it went around the proxy: nothing is taken back.
    assert rates(at(0, 100, 40), at(2, 100)).written == 0.0


def test_slots_and_who_waits() -> None:
    two = {"m": Slots(2, 4), "n": Slots(1, 1)}

    assert of_mac([look(0, ProxyMetrics(open=5), two)], {}) == Reading(
        models={"m": "ready", "n": "ready"}, busy=3, total=5, waiting=2
    )
    # One that does not tell, as it is no llama-server: as many as were declared.
    some = Look(0, {"m": "ready", "n": "starting"}, {"m": Slots(2, 4)}, ProxyMetrics(open=5))
    found = of_mac([some], {"n": 3})
    assert (found.busy, found.total, found.waiting) == (None, 7, None)
    # An answer that began between two questions is nobody's debt.
    assert of_mac([look(0, ProxyMetrics(open=1), two)], {}).waiting == 0


@pytest.mark.parametrize(
    ("now", "problems"),
    [
        (Look(0, {}, {}, ProxyMetrics()), ()),
        (Look(0, None, {}, ProxyMetrics()), ("llama-swap does not answer",)),
        (Look(0, {}), ("its proxy does not answer, or is older than this toolkit",)),
        (Look(0, {}, {}, ProxyMetrics(drained=True)), ("takes no new requests",)),
        (Look(0, {}, {}, ProxyMetrics(stuck=("m", "n"))), ("m gives no token", "n gives no token")),
    ],
)
def test_what_is_wrong_is_said(now: Look, problems: tuple[str, ...]) -> None:
    assert of_mac([now], {}).problems == problems


def test_a_gateway_has_its_pools() -> None:
    def at(seconds: float, requests: float, pools: Pools | None) -> Look:
        return Look(at=seconds, gateway=proxy(requests), pools=pools)

    found = of_gateway([at(0, 1, None), at(30, 4, Pools(2, 3, busy=1, total=4, queue=7))])
    assert (found.busy, found.total, found.waiting, found.problems) == (1, 4, 7, ())
    assert found.rates.requests == 6.0
    assert of_gateway([at(0, 1, Pools(0, 3))]).problems == ("no Mac is ready",)
    dark = ProxyMetrics(heard={"gateway-gw2": False, "gateway-gw3": True})
    assert of_gateway([Look(0, gateway=dark, pools=Pools(1, 1))]).problems == (
        "gateway-gw2 is not heard",
    )
    assert of_gateway([Look(0)]).problems == (
        "its proxy does not answer",
        "HAProxy does not answer",
    )


def test_the_window_is_covered_and_no_more_is_kept() -> None:
    every = [Look(at=float(at)) for at in range(0, 100, 4)]

    assert [each.at for each in within(every, 10)] == [84, 88, 92, 96]
    assert within(every[:2], 10) == every[:2]
    assert within(every[:1], 10) == every[:1]
