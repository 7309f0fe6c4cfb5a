"""How a Mac is just now, from what its tools print.

From documentation and Apple's sources (system_cmds, PowerManagement), not captured.
"""

import pytest

from herd.core.mac.vitals import Vitals, parse
from herd.core.text.units import GIB, MIB, duration

LINES = """\
now	1764385200
boot	{ sec = 1764381600, usec = 123456 } Sat Nov 29 03:00:00 2025
pressure	2
swap	total = 2048.00M  used = 512.50M  free = 1535.50M  (encrypted)
vm	Mach Virtual Memory Statistics: (page size of 16384 bytes)
vm	Pages free:                               65536.
vm	Pages wired down:                         131072.
vm	Pages tagged:                             1.
vm	Pages occupied by compressor:             64.
vm	"Translation faults":                     12345.
process	101 05
process	102 12:34
process	103 01:02:03
process	104 10-01:02:03
therm	Note: No thermal warning level has been recorded
gpu	34
""".splitlines()


def test_it_is_read_by_name() -> None:
    found = parse(LINES)

    assert found == Vitals(
        booted=3600,
        ages={102: 754, 103: 3723, 104: 867723},
        wired=2 * GIB,
        compressed=MIB,
        swap_used=int(512.5 * MIB),
        swap_total=2048 * MIB,
        pressure=2,
        gpu=34,
    )
    assert found.pressure_word == "warning"


def test_a_mac_that_tells_nothing_is_no_failure() -> None:
    assert parse([]) == parse(["", "sysctl: unknown oid", "vm\tPages free: 1."]) == Vitals()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2026-11-29 03:00:00 +0000 Thermal Warning Level = 2", ("thermal warning level 2",)),
        ("Performance Warning Level = 1", ("performance warning level 1",)),
        ("	CPU_Speed_Limit 	= 80", ("the processor runs at 80 %",)),
        ("	CPU_Speed_Limit 	= 100", ()),
        ("Note: No performance warning level has been recorded", ()),
    ],
)
def test_heat_is_told_only_where_it_slows_the_mac(line: str, said: tuple[str, ...]) -> None:
    assert parse([f"therm\t{line}"]).throttled == said


@pytest.mark.parametrize(
    ("lines", "source", "charge", "on_mains"),
    [
        (["Now drawing from 'AC Power'"], "AC Power", None, True),
        (
            [
                "Now drawing from 'Battery Power'",
                " -InternalBattery-0 (id=4653155)\t95%; discharging; 4:21 remaining present: true",
            ],
            *("Battery Power", 95, False),
        ),
        (
            [
                "Now drawing from 'UPS Power'",
                " -InternalBattery-0 (id=1)\t100%; charged; 0:00 remaining present: true",
                " -Back-UPS ES 700 (id=2)\t40%; discharging; 0:12 remaining present: true",
            ],
            *("UPS Power", 40, False),
        ),
        (["pmset: error"], "", None, None),
    ],
    ids=["desktop", "laptop", "UPS", "nothing"],
)
def test_what_it_draws_its_power_from(
    lines: list[str], source: str, charge: int | None, on_mains: bool | None
) -> None:
    found = parse(f"batt\t{line}" for line in lines)

    assert (found.source, found.charge, found.on_mains) == (source, charge, on_mains)


@pytest.mark.parametrize(
    ("said", "celsius", "watts"),
    [
        # As macmon's README has it, shortened.
        ('{"temp":{"cpu_temp_avg":43.7,"gpu_temp_avg":36.9},"all_power":0.2,"sys_power":5.87}',
         43.7, 5.87),
        ('{"temp":{"cpu_temp_avg":0.0,"gpu_temp_avg":51},"sys_power":0.0}', 51.0, None),
        ('{"temp":{"cpu_temp_avg":0.0,"gpu_temp_avg":0.0},"sys_power":9.0}', None, 9.0),
        ('{"temp":null}', None, None),
        ("[1]", None, None),
        ("thread 'main' panicked", None, None),
    ],
)  # fmt: skip
def test_degrees_and_watts_are_macmons_if_it_is_there(
    said: str, celsius: float | None, watts: float | None
) -> None:
    found = parse([f"macmon\t{said}"])

    assert (found.celsius, found.watts) == (celsius, watts)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (7260, "2 h 1 min"),
     (86400, "1 d 0 h"), (273600, "3 d 4 h")],
)  # fmt: skip
def test_times_are_in_two_units_at_most(seconds: int, words: str) -> None:
    assert duration(seconds) == words
