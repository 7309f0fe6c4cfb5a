"""What `make top` draws in how much room; a real terminal is in tests/e2e/test_top.py."""

from collections.abc import Sequence

import pytest
from rich.console import Console, ConsoleDimensions

from herd.core.live.look import Pools
from herd.core.live.reading import Rates, Reading
from herd.core.mac.vitals import Vitals
from herd.core.text.units import GIB
from herd.verbs.top_screen import Row, of

BUSY = Row(
    "studio.local",
    Reading(
        {"gpt-oss-120b": "ready", "qwen3-coder": "starting"},
        *(3, 5, 2),
        Rates(requests=12.345, read=1000, written=141.7, first=0.4321),
    ),
    memory=128 * GIB,
    vitals=Vitals(wired=61 * GIB, pressure=2),
)
IDLE = Row("mini.local", Reading({}, 0, 0, 0), memory=64 * GIB, vitals=Vitals(wired=3 * GIB))
GATEWAY = Row(
    "mini.local gateway", Reading({}, 3, 9, 4, Rates(12.0)), Pools(1, 2, 3, 9, 4), is_gateway=True
)
LOST = Row("attic.local", silent="SSH error (No route to host)")
HERD = [BUSY, IDLE, GATEWAY, LOST]


def drawn(rows: Sequence[Row], width: int, height: int = 0) -> list[str]:
    console = Console(width=width, height=height or 50, color_system=None, record=True)
    with console.capture() as capture:
        console.print(of(rows, ConsoleDimensions(width, height)))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_wide_has_a_line_for_each() -> None:
    total, _, head, *lines = drawn(HERD, 120)

    assert total == "3 Macs, 1 lost  3/5 slots  12.3 req/min  142 tok/s"
    assert " ".join(head.split()) == "Mac models slots queue req/min tok/s first memory"
    assert [" ".join(line.split()) for line in lines] == [
        "studio.local gpt-oss-120b, qwen3-coder (starting) 3/5 2 12.3 142 0.43 s 61/128 warn",
        "mini.local no model is loaded 0/0 0 - - - 3/64 GiB",
        "mini.local gateway 1 of 2 Macs ready 3/9 4 12.0 - -",
        "attic.local SSH error (No route to host)",
    ]
    assert all(len(line) <= 120 for line in lines)


def test_narrow_has_two_with_all_numbers() -> None:
    lines = drawn(HERD, 60)

    assert all(len(line) <= 60 for line in lines)
    assert [" ".join(line.split()) for line in lines[2:]] == [
        "slots queue req/min tok/s first memory",
        "studio.local gpt-oss-120b, qwen3-coder (starting)",
        "3/5 2 12.3 142 0.43 s 61/128 warn",
        "mini.local no model is loaded",
        "0/0 0 - - - 3/64 GiB",
        "mini.local gateway 1 of 2 Macs ready",
        "3/9 4 12.0 - -",
        "attic.local SSH error (No route to host)",
    ]
    # Each number stands below its name.
    assert lines[2].index("tok/s") + len("tok/s") == lines[4].index("142") + len("142")


@pytest.mark.parametrize(("width", "height", "shown"), [(120, 24, 20), (60, 24, 9)])
def test_a_herd_that_is_higher_than_the_screen_says_so(width: int, height: int, shown: int) -> None:
    herd = [Row(f"mac{n}.local", IDLE.reading, memory=GIB) for n in range(50)]

    lines = drawn(herd, width, height)

    assert len(lines) <= height
    assert sum("mac" in line for line in lines) == shown
    assert lines[-1] == f"and {50 - shown} more: LIMIT=NAME, or a higher window, shows them"
    assert len(drawn(herd, width)) >= 50  # in a pipe nothing is left out


@pytest.mark.parametrize("width", [40, 60, 99, 100, 250])
def test_nothing_is_wider_than_the_terminal_whatever_a_mac_says(width: int) -> None:
    evil = Row(
        "\x1b[2J" + "x" * 80,
        Reading({"[red]m\n\x1b]0;t\x07" + "y" * 300: "ready"}, None, None, None),
        memory=GIB,
    )

    lines = drawn([evil, LOST], width)

    assert all(len(line) <= width for line in lines)
    text = "".join(lines)
    assert "\x1b" not in text
    assert "[red]" in text or width == 40


def test_of_nothing_there_is_no_sum() -> None:
    assert drawn([LOST], 120)[0] == "1 Mac, 1 lost  0/0 slots  - req/min  - tok/s"
