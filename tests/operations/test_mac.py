"""Only settings of the Mac that differ are changed, and whether they are is looked at again."""

from collections.abc import Callable, Iterable

import pytest

from herd.core.mac import managed
from herd.operations import mac
from tests.core.mac import test_power
from tests.core.samples import layout
from tests.facts.test_mac import GOOD
from tests.facts.test_mac_settings import said
from tests.operations.harness import Run, run

PLACE = layout(mac_sleep="never", mac_wake_on_lan=True)
ASKED = managed.asked(PLACE)
NOTE = "mac-set '/Users/me/Library/Application Support/llama-herd/mac-before'"
AWAKE = test_power.CUSTOM
for _before, _after in {
    "disksleep            10": "disksleep            0",
    "powernap             1": "powernap             0",
    " sleep                1": " sleep                0",
}.items():
    AWAKE = AWAKE.replace(_before, _after)


def answers(*custom: str) -> Callable[[str], Iterable[str]]:
    """One after the other, the last for ever."""
    left = list(custom)

    def answer(_: str) -> Iterable[str]:
        now = left.pop(0) if len(left) > 1 else left[0]
        return said(live=test_power.LIVE, custom=now)

    return answer


def keep(*custom: str) -> Run:
    return run(
        mac.kept,
        layout=PLACE,
        kind=managed.POWER,
        asked=ASKED,
        answers={"mac-settings": answers(*custom), "mac ": GOOD},
    )


def test_a_mac_as_wanted_is_sent_nothing() -> None:
    assert keep(AWAKE).untouched


def test_what_differs_is_noted_and_changed() -> None:
    found = keep(test_power.CUSTOM, test_power.CUSTOM, AWAKE)

    assert found.sent == [
        f"{NOTE} 'AC Power: sleep' 1 /usr/bin/pmset -c sleep 0",
        f"{NOTE} 'AC Power: disksleep' 10 /usr/bin/pmset -c disksleep 0",
        f"{NOTE} 'AC Power: powernap' 1 /usr/bin/pmset -c powernap 0",
    ]
    assert (found.planned, found.changed, found.failed) == (True, True, False)


def test_what_did_not_take_is_an_error_with_both_values() -> None:
    found = keep(test_power.CUSTOM)

    assert "AC Power: sleep is 1 still, not 0" in found.sent[-1]
    assert found.sent[-1].endswith(">&2; exit 1")


def restore(before: str, *custom: str) -> Run:
    return run(
        mac.restored,
        layout=layout(),
        answers={"cat": before, "mac-settings": answers(*custom)},
    )


def test_without_a_note_nothing_is_put_back() -> None:
    assert restore("", AWAKE).untouched


def test_what_was_is_put_back_and_forgotten() -> None:
    before = "AC Power: sleep\t1\nAC Power: powernap\t0\n"
    found = restore(
        before,
        AWAKE,
        AWAKE,
        test_power.CUSTOM.replace("powernap             1", "powernap             0"),
    )

    assert found.sent == [
        "run-as-root /usr/bin/pmset -c sleep 1",
        "rm -f '/Users/me/Library/Application Support/llama-herd/mac-before'",
        "rmdir '/Users/me/Library/Application Support/llama-herd' 2>/dev/null || :",
    ]


def test_what_cannot_be_put_back_is_not_forgotten() -> None:
    found = restore("AC Power: sleep\t1\n", AWAKE)

    assert "AC Power: sleep is 0 still, not 1" in found.sent[1]


@pytest.mark.parametrize("record", ["half a li", "\n"])
def test_a_note_that_is_none_says_nothing(record: str) -> None:
    assert restore(record, AWAKE).untouched
