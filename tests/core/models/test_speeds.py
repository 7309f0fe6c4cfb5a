"""What llama-server tells of its speed, kept by host, model and build, beside the last."""

from dataclasses import replace
from typing import Any

import pytest

from herd.core.models.speeds import Speed, dump, kept, last, measured, parse, words

BEFORE = Speed("mac1", "m", "b1-x", 800.0, 60.0, 512, 128, "2026-11-28T03:00:00Z")


def answer(prompt_ms: float, predicted_ms: float, **own: Any) -> dict[str, Any]:
    # As build 11434 answers, shortened.
    timings = {"cache_n": 0, "prompt_n": 500, "prompt_ms": prompt_ms, "predicted_n": 100}
    return {
        "system_fingerprint": "b2-y",
        "timings": {**timings, "predicted_ms": predicted_ms},
        **own,
    }


def test_it_is_the_median_of_several_answers() -> None:
    answers = [answer(500, 2000), answer(9000, 50000), answer(625, 1600)]

    assert measured("mac1", "m", answers, "now") == Speed(
        "mac1", "m", "b2-y", prompt=800.0, generation=50.0, prompt_tokens=500,
        generated_tokens=100, when="now",
    )  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        None,
        {"timings": None},
        {"timings": {"prompt_n": 1}},
        answer(0, 1),
        answer(1, 1, timings={"prompt_n": "x", "prompt_ms": 1}),
    ],
    ids=str,
)
def test_an_answer_without_timings_says_so(said: Any) -> None:
    with pytest.raises(ValueError, match="no timings"):
        measured("mac1", "m", [said], "now")


def test_a_person_sees_what_changed_and_with_which_build() -> None:
    now = replace(BEFORE, prompt=880.0, generation=57.0, when="2026-11-29T03:00:00Z")

    assert words(now, BEFORE) == (
        "prompt 880.0 tok/s (+10 %), answer 57.0 tok/s (-5 %)"
        " (512 and 128 tokens, build b1-x; before: 2026-11-28)"
    )
    assert words(replace(now, build="b2-y"), BEFORE).endswith("before: 2026-11-28 with build b1-x)")
    assert words(now, None) == (
        "prompt 880.0 tok/s, answer 57.0 tok/s (512 and 128 tokens, build b1-x)"
    )


def test_one_is_kept_of_each_host_model_and_build() -> None:
    newer = replace(BEFORE, prompt=1.0, when="2026-11-29T03:00:00Z")
    others = [replace(BEFORE, host="mac2"), replace(BEFORE, model="n"), replace(BEFORE, build="b0")]

    assert kept([BEFORE, *others], newer) == [*others, newer]
    assert last([BEFORE, newer, *others], "mac1", "m") == newer
    assert last(others, "mac1", "o") is None


def test_what_is_written_is_read() -> None:
    speeds = [BEFORE, replace(BEFORE, host="mac2", model='a "model"')]

    assert parse(dump(speeds)) == speeds
    assert parse(dump([])) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value"),
        ("[]", "no list of speeds"),
        ("{}", "no list of speeds"),
        ('{"schema": 2, "speeds": []}', "has schema 2"),
        ('{"schema": 1}', "no list of speeds"),
    ],
)
def test_what_is_no_list_of_speeds_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)
