"""A key's limits over two gateways: what one lets in, the other counts, and never twice."""

from collections.abc import Mapping

import pytest

from proxy.gateways.message import Answer, read, write
from proxy.keys.key import Limits
from proxy.keys.rate_limits import DAY, Meter
from proxy.keys.shared_limits import SharedMeters, Since

NOON = 20000 * DAY + DAY / 2


class Gateway:
    """One of a herd, on a clock of its own that began anywhere."""

    def __init__(self, name: str, limits: Mapping[str, Limits], *, used: int = 0) -> None:
        self.name, self.limits, self.used = name, dict(limits), used
        self.now = 1000.0 * len(name)
        self.today = NOON
        self.meters = SharedMeters(lambda _: self.used)

    def meter(self, name: str = "anna") -> Meter:
        return self.meters.of(name, self.limits[name], self.now, self.today)

    def enter(self, count: int = 1) -> int:
        """How many of so many were let in."""
        return sum(self.meter().enter(self.now, self.today) is None for _ in range(count))

    def hears(self, other: "Gateway") -> int:
        """Asks, over the wire; of how many names it was told."""
        since = self.meters.ask(other.name)
        told = other.meters.news(since, other.now, other.today)
        answer = read(write(Answer(other.meters.now, told)))
        self.meters.hear(other.name, answer.now, answer.told, self.limits.get, self.now, self.today)
        return len(answer.told)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.today += seconds


def pair(limits: Limits) -> tuple[Gateway, Gateway]:
    """Two that hear each other."""
    one, two = Gateway("gw1", {"anna": limits}), Gateway("gateway2", {"anna": limits})
    one.hears(two)
    two.hears(one)
    return one, two


def test_requests_of_a_minute_are_those_of_both() -> None:
    one, two = pair(Limits(rpm=6))

    assert one.enter(4) == 4
    two.hears(one)
    assert two.enter(9) == 2
    one.hears(two)
    assert one.enter() == 0
    for each in (one, two):
        each.later(10)
    assert one.enter(9) == 1
    two.hears(one)
    assert two.enter() == 0


def test_they_come_back_once_and_not_at_each() -> None:
    """Used up at both, there is one more in ten seconds, wherever it is asked for."""
    one, two = pair(Limits(rpm=6))
    taken = 0
    for _ in range(63):  # 62 seconds
        for each, other in ((one, two), (two, one)):
            taken += each.enter(9)
            other.hears(each)
        for each in (one, two):
            each.later(1)

    assert taken == 6 + 6


def test_an_idle_gateway_does_not_forget_what_it_hears() -> None:
    """Its bucket was full since long, and filled last then."""
    one, two = pair(Limits(rpm=6, tpm=60))
    for each in (one, two):
        each.later(3600)
    assert one.enter(6) == 6
    one.meter().charge(100, one.today)
    two.hears(one)

    denied = two.meter().enter(two.now, two.today)
    assert denied
    assert (denied.what, denied.wait) == ("tokens per minute", pytest.approx(41))


def test_tokens_are_those_of_both_and_given_back_to_both() -> None:
    one, two = pair(Limits(tpm=600, tpd=1000))
    one.meter().charge(700, NOON)
    two.hears(one)
    assert two.enter() == 0

    one.meter().charge(-500, NOON)
    two.hears(one)
    assert two.enter() == 1
    two.meter().charge(800, NOON)
    one.hears(two)
    assert one.meter().used_by_all(NOON) == 1000
    one.later(61)
    denied = one.meter().enter(one.now, one.today)
    assert denied
    assert denied.what == "tokens per day"
    assert dict(one.meter().headers(one.now, one.today))["x-ratelimit-remaining-tokens"] == "0"


def test_requests_at_once_are_those_of_both() -> None:
    one, two = pair(Limits(parallel=3))
    assert one.enter(2) == 2
    two.hears(one)
    assert two.enter(5) == 1
    assert two.meter().hold()

    one.meter().leave()
    two.hears(one)
    assert two.meter().hold() is None
    one.hears(two)
    assert one.enter() == 0


def test_what_is_charged_at_one_is_in_its_own_sums_only() -> None:
    """Nothing comes back as an echo."""
    one, two = pair(Limits(rpm=100, tpd=1000))
    one.enter(3)
    one.meter().charge(50, NOON)
    for _ in range(3):
        two.hears(one)
        one.hears(two)

    (told,) = two.meters.news(None, two.now, NOON).values()
    assert (told.requests, told.tokens, told.used, told.open) == (0, 0, 0, 0)
    assert one.meter().used_by_all(NOON) == two.meter().used_by_all(NOON) == 50


def test_only_what_changed_is_told_again() -> None:
    limits = {name: Limits(rpm=60) for name in ("anna", "bob", "carl")}
    one, two = Gateway("gw1", limits), Gateway("gateway2", limits)
    for name in limits:
        one.meter(name)
    assert two.hears(one) == 3
    assert two.hears(one) == 0
    one.meter("bob").enter(one.now, NOON)

    assert two.hears(one) == 1
    assert list(one.meters.news(Since("0" * 16, 10**9), one.now, NOON)) != []


def test_names_without_limits_here_are_kept_nowhere() -> None:
    one, two = Gateway("gw1", {"anna": Limits(rpm=1)}), Gateway("gateway2", {})
    one.enter()

    assert two.hears(one) == 1
    assert two.meters.news(None, two.now, NOON) == {}


def test_one_that_is_dark_has_nothing_open_and_used_what_it_used() -> None:
    one, two = pair(Limits(parallel=2, tpd=100))
    one.enter(2)
    one.meter().charge(60, NOON)
    two.hears(one)
    assert two.enter() == 0

    two.meters.unhear("gw1")
    assert two.enter(9) == 2
    assert two.meter().used_by_all(NOON) == 60
    assert two.meter().used_by_all(NOON + DAY) == 0


def test_heard_again_the_lesser_of_what_both_have_left_counts() -> None:
    """Neither twice, nor what was let in an hour ago."""
    one, two = pair(Limits(rpm=6))
    one.enter(2)
    two.hears(one)
    two.meters.unhear("gw1")
    assert one.enter(2) == 2
    assert two.enter(1) == 1
    two.hears(one)
    assert two.enter(9) == 2

    two.meters.unhear("gw1")
    for _ in range(60):
        one.later(60)
        two.later(60)
        assert one.enter(6) == 6
    one.later(60)
    two.later(60)
    two.hears(one)
    assert two.enter(9) == 6


def test_one_that_starts_again_knows_what_is_left_and_counts_anew() -> None:
    one, two = pair(Limits(rpm=6, tpd=100))
    one.enter(3)
    one.meter().charge(30, NOON)
    two.hears(one)
    again = Gateway("gw1", one.limits, used=30)
    again.meters.begin(again.limits, {"anna": 30}, again.now, NOON)
    again.hears(two)
    two.hears(again)

    assert again.enter(9) == two_left(two) == 3
    two.hears(again)
    assert two_left(two) == 0
    assert two.meter().used_by_all(NOON) == again.meter().used_by_all(NOON) == 30


def two_left(gateway: Gateway) -> int:
    """Requests of the minute."""
    return int(dict(gateway.meter().headers(gateway.now, NOON))["x-ratelimit-remaining-requests"])


def test_a_day_that_is_another_one_there_does_not_count() -> None:
    """Around midnight, as clocks differ."""
    one, two = pair(Limits(tpd=100))
    one.meter().charge(100, NOON)
    two.today = NOON + DAY
    two.hears(one)

    assert two.enter() == 1


def test_a_key_that_goes_and_comes_again_is_no_credit() -> None:
    one, two = pair(Limits(rpm=6))
    one.enter(5)
    one.meter().leave()
    two.hears(one)
    for _ in range(4):
        one.meter().leave()
    one.meters.keep({})
    assert one.meters.news(None, one.now, NOON) == {}
    two.hears(one)
    assert two_left(two) == 1
    one.enter(2)
    two.hears(one)

    assert two_left(two) == 1
    one.hears(two)
    assert two_left(one) == 1


def test_a_key_that_gets_limits_is_heard_of() -> None:
    """Also of what it had open before they were known here."""
    one, two = Gateway("gw1", {"anna": Limits(parallel=2)}), Gateway("gateway2", {})
    one.enter(2)
    two.hears(one)
    two.limits["anna"] = Limits(parallel=2)
    two.meters.keep(two.limits)

    assert two.hears(one) == 1
    assert two.enter() == 0


def test_what_three_let_in_is_one_sum() -> None:
    limits = {"anna": Limits(rpm=9, parallel=9)}
    herd = [Gateway("gw" * n, limits) for n in (1, 2, 3)]
    taken = 0
    for gateway in herd * 3:
        for other in herd:
            if other is not gateway:
                gateway.hears(other)
        taken += gateway.enter(2)

    assert taken == 9
