"""How long a server wants to be left alone is read in every form that is about."""

import time
from email.utils import formatdate

import pytest

from fetcher.rate_limit import pause

TOLD: dict[str, tuple[list[tuple[str, str]], float]] = {
    "nothing": ([], 0),
    "seconds": ([("Retry-After", "30")], 30),
    "the Hub's": ([("ratelimit", '"resolvers";r=0;t=212')], 212),
    "its name is any case": ([("RateLimit", '"api";r=0;t=55')], 55),
    "beside its policy": (
        [("ratelimit-policy", '"fixed window";"api";q=500;w=300'), ("ratelimit", '"api";r=0;t=5')],
        5,
    ),
    "the other order, with blanks": ([("ratelimit", '"api"; t=7; r=0')], 7),
    "only the moment": ([("ratelimit", '"api";t=9')], 9),
    "there is something left": ([("ratelimit", '"api";r=12;t=212')], 0),
    "one of several is used up": ([("ratelimit", '"pages";r=3;t=900, "api";r=0;t=40')], 40),
    "two lines": ([("ratelimit", '"a";r=0;t=10'), ("ratelimit", '"b";r=0;t=20')], 20),
    "a name with what parts names": ([("ratelimit", '"a,b;r=5";r=0;t=8')], 8),
    "an older draft": ([("RateLimit", "limit=100, remaining=0, reset=50")], 50),
    "an older draft, not used up": ([("RateLimit", "limit=100, remaining=7, reset=50")], 0),
    "a header each": ([("RateLimit-Remaining", "0"), ("RateLimit-Reset", "17")], 17),
    "a header each, with X": ([("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "17")], 17),
    "a header each, not used up": (
        [("X-RateLimit-Remaining", "4"), ("X-RateLimit-Reset", "17")],
        0,
    ),
    "Retry-After goes first": ([("retry-after", "3"), ("ratelimit", '"api";r=0;t=212')], 3),
    "a Retry-After that says nothing": (
        [("retry-after", "soon"), ("ratelimit", '"api";r=0;t=212')],
        212,
    ),
    "less than nothing": ([("Retry-After", "-5")], 0),
    "two of them": ([("Retry-After", "5"), ("Retry-After", "9")], 0),
    "digits of another script": ([("Retry-After", "٣")], 0),
    "a number without end": ([("ratelimit", f'"api";r=0;t={"9" * 400}')], 0),
    "a date that is over": ([("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")], 0),
}


@pytest.mark.parametrize(("headers", "seconds"), TOLD.values(), ids=TOLD)
def test_it_is_the_seconds_until_it_may_be_asked(
    headers: list[tuple[str, str]], seconds: float
) -> None:
    assert pause(headers) == seconds


def test_a_moment_is_so_many_seconds_away() -> None:
    later = time.time() + 90

    assert 85 < pause([("Retry-After", formatdate(later, usegmt=True))]) <= 90
    reset = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", str(int(later)))]
    assert 85 < pause(reset) <= 90
