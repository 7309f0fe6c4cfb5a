"""Who serves which name, with how many slots, and how much of it."""

import json
from typing import Any

import pytest

from herd.core.gateway import fleet
from herd.core.gateway.fleet import Mac, Pool, Share
from herd.core.mac import chips
from herd.core.settings.schema import Settings
from tests.core.samples import settings

REPO = {"repo": "o/m-GGUF"}


def macs(*each: dict[str, Any]) -> dict[Mac, Settings]:
    """mac1, mac2, ... with these settings."""
    named = enumerate(each, start=1)
    return {Mac(f"mac{n}", f"10.0.0.{n}", 3000): settings(**own) for n, own in named}


def serving(parallel: int = 1, *aliases: str, **more: Any) -> dict[str, Any]:
    model = {**REPO, "parallel": parallel, "aliases": list(aliases)}
    return {"models": {"gpt-oss-120b": None, "m": model}, **more}


def told(pool: Pool) -> dict[str, tuple[int, int]]:
    return {share.mac.name: (share.slots, share.weight) for share in pool.shares}


def test_names_that_lead_to_the_same_share_a_pool() -> None:
    (pool,) = fleet.pools(macs(serving(2, "fast"), serving(2, "fast")))

    assert pool.names == ["m", "fast"]
    assert told(pool) == {"mac1": (2, 100), "mac2": (2, 100)}


def test_a_name_that_some_macs_lack_has_a_pool_of_its_own() -> None:
    pools = fleet.pools(macs(serving(2, "fast"), serving(2)))

    assert {pool.names[0]: set(told(pool)) for pool in pools} == {
        "m": {"mac1", "mac2"},
        "fast": {"mac1"},
    }


def test_a_name_may_mean_another_model_on_another_mac() -> None:
    other = {"models": {"gpt-oss-120b": None, "n": {**REPO, "aliases": ["fast"], "parallel": 3}}}
    pools = fleet.pools(macs(serving(2, "fast"), other))

    assert {pool.names[0]: told(pool) for pool in pools} == {
        "fast": {"mac1": (2, 67), "mac2": (3, 100)},
        "m": {"mac1": (2, 100)},
        "n": {"mac2": (3, 100)},
    }


@pytest.mark.parametrize(
    ("slots", "weights", "expected"),
    [
        ((4, 4), (100, 100), [100, 100]),
        ((4, 1), (100, 100), [100, 25]),
        ((4, 4), (100, 33), [100, 33]),
        ((256, 1), (100, 1), [100, 1]),
        ((1, 1), (800, 100), [256, 100]),
    ],
)
def test_weights_follow_slots_and_the_setting(
    slots: tuple[int, int], weights: tuple[int, int], expected: list[int]
) -> None:
    each = [serving(s, gateway_weight=w) for s, w in zip(slots, weights, strict=True)]
    (pool,) = fleet.pools(macs(*each))

    assert [share.weight for share in pool.shares] == expected


def test_a_mac_keeps_its_place_when_others_come_and_go() -> None:
    numbers = {name: Mac(name, "10.0.0.1", 1).number for name in ("mac1", "mac2", "mac3")}

    assert len(set(numbers.values())) == 3
    assert all(0 < number < 2**31 for number in numbers.values())
    assert Mac("mac1", "10.9.9.9", 2).number == numbers["mac1"]


def test_the_list_of_models_is_the_herds() -> None:
    first = serving(2, "fast")
    second = {
        "models": {
            "gpt-oss-120b": None,
            "m": {**REPO, "aliases": ["quick"]},
            "n": {**REPO, "display_name": "N", "description": 'It\'s "n"'},
            "hidden": {**REPO, "unlisted": True},
        }
    }

    data = json.loads(fleet.listing(macs(first, second)))["data"]

    assert [entry["id"] for entry in data] == ["m", "n"]
    assert data[0]["meta"]["llamaswap"]["aliases"] == ["fast", "quick"]
    assert (data[1]["name"], data[1]["description"]) == ("N", 'It\'s "n"')


def test_the_auth_proxy_reads_that_list() -> None:
    from proxy.policy import model_list

    entries = model_list.read(fleet.listing(macs(serving(1, "fast"), serving())).encode())

    assert [entry["id"] for entry in entries] == ["fast", "m"]


def test_a_gateway_holds_all_who_may_wait() -> None:
    own = settings(gateway_queue=10)
    made = fleet.gateway(own, macs(serving(3), serving(4)))

    assert made.connections == 3 + 4 + 10 + 100
    assert made.readable < made.buffer == 1024 * 1024
    assert made.port == own.gateway_haproxy_port


@pytest.mark.parametrize(
    ("speeds", "declared", "expected"),
    [
        ({"mac1": 800, "mac2": 400}, (None, None), [100, 50]),
        ({"mac1": 120, "mac2": 546}, (None, None), [22, 100]),
        ({"mac1": 800}, (None, None), [100, 100]),
        ({}, (None, None), [100, 100]),
        ({"mac1": 800, "mac2": 400}, (None, 75), [100, 75]),
        ({"mac1": 800, "mac2": 400}, (100, 100), [100, 100]),
    ],
)
def test_weights_follow_speeds_where_all_are_known_and_nobody_says_otherwise(
    speeds: dict[str, int], declared: tuple[int | None, int | None], expected: list[int]
) -> None:
    each = [serving(4, gateway_weight=weight) for weight in declared]
    (pool,) = fleet.pools(macs(*each), speeds)

    assert [share.weight for share in pool.shares] == expected


@pytest.mark.parametrize(("name", "speed"), [
    ("Apple M1", 68), ("Apple M4 Max", 546), ("Apple M3 Ultra", 819), ("Apple M99 Ultra", None),
    ("Intel(R) Core(TM) i9", None), ("Apple M4 Max (Virtual)", None), ("", None),
])  # fmt: skip
def test_chips_are_known_by_their_names(name: str, speed: int | None) -> None:
    assert chips.bandwidth(name) == speed


@pytest.mark.parametrize("weight", range(1, 257))
def test_no_weight_is_nothing_where_a_model_is_not_loaded(weight: int) -> None:
    """HAProxy takes a percentage of the first weight, rounded down (agent-check); 0 is drained."""
    share = Share(Mac("mac1", "10.0.0.1", 1), 1, weight)

    assert share.least == weight * share.cold // 100 >= 1
    assert share.least * 16 <= max(weight, 16)


@pytest.mark.parametrize("weights", [(100, 100, 100, 100), (100, 50, 50, 22), (256, 1, 1, 1)])
def test_the_last_slots_are_given_by_hand_before_3_2(weights: tuple[int, ...]) -> None:
    """With as many at work as leave `scarce` free, nobody's part of them is more than it has."""
    for each in range(1, 17):
        named = [Mac(f"mac{n}", "10.0.0.1", 1) for n in range(4)]
        pool = Pool(["m"], [Share(mac, each, w) for mac, w in zip(named, weights, strict=True)])
        busy = 4 * each - pool.scarce
        for share in pool.shares:
            part = -(-(busy + 1) * pool.factor * share.weight // (100 * sum(weights)))
            assert busy < 0 or part <= share.slots


def test_a_gateway_is_reached_by_others_as_by_clients() -> None:
    own = settings(gateway_port=4000, proxy_agent_port=3001)
    one = fleet.as_gateway(fleet.mac("gw1", own, "gw1.example.com"), own)

    assert (one.url, one.agent_port) == ("http://gw1.example.com:4000", None)
    assert fleet.gateway(own, {}, others=[one]).others == [one]
