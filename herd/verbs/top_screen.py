"""What `make top` draws: a line for each Mac where there is room, two where there is not."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import ConsoleDimensions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from herd.core.live.look import Pools
from herd.core.live.reading import Reading
from herd.core.mac.vitals import Vitals
from herd.core.text.harmless import harmless
from herd.core.text.units import GIB

CONNECTING = "connecting"
"""What is said of a Mac that was not reached yet, and not given up either."""
WIDE = 100
"""Columns from which on a Mac has one line."""
_NUMBERS = ("slots", "queue", "req/min", "tok/s", "first", "memory")
_WIDTHS = (7, 5, 7, 7, 7, 12)
_NAME = 24
"""Columns of each; a longer one is cut."""


@dataclass(frozen=True)
class Row:
    """A Mac, or the gateway on one. `silent` says why there is nothing of it; `memory` is in
    bytes."""

    name: str
    reading: Reading | None = None
    pools: Pools | None = None
    memory: int = 0
    vitals: Vitals = field(default_factory=Vitals)
    silent: str = ""
    is_gateway: bool = False


def of(rows: Sequence[Row], size: ConsoleDimensions) -> RenderableType:
    """All rows in a screen of this size; its height is 0 where what is above may scroll away."""
    wide = size.width >= WIDE
    room = size.height - 3 if size.height else len(rows) * 2
    most = max(1, room if wide else room // 2)
    shown = list(rows) if len(rows) <= most else list(rows[: most - 1])
    parts: list[RenderableType] = [_sum(rows), Text()]
    parts += [_wide(shown)] if wide else _narrow(shown, size.width)
    if left := len(rows) - len(shown):
        parts.append(Text(f"and {left} more: LIMIT=NAME, or a higher window, shows them"))
    return Group(*parts)


def _wide(rows: Iterable[Row]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=False)
    table.add_column("Mac", no_wrap=True, overflow="ellipsis", max_width=_NAME)
    table.add_column("models", ratio=1, overflow="fold")
    for name, width in zip(_NUMBERS, _WIDTHS, strict=True):
        table.add_column(name, justify="right", width=width, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(Text(harmless(row.name)), _said(row), *_numbers(row))
    return table


def _narrow(rows: Iterable[Row], width: int) -> Iterator[RenderableType]:
    """Names and words above, numbers below them."""
    yield _line(_NUMBERS)
    for row in rows:
        first = Text(harmless(row.name), style="bold")
        first.truncate(_NAME, overflow="ellipsis")
        first.append("  ").append_text(_said(row)).truncate(width, overflow="ellipsis")
        yield first
        if not row.silent:
            yield _line(_numbers(row))


def _line(words: Sequence[str]) -> Text:
    fitted = (word[:width].rjust(width) for word, width in zip(words, _WIDTHS, strict=True))
    return Text("  " + "  ".join(fitted), no_wrap=True, overflow="ellipsis")


def _said(row: Row) -> Text:
    if row.silent or row.reading is None:
        return Text(harmless(row.silent), style="yellow" if row.silent == CONNECTING else "red")
    words = [f"{n}" if s == "ready" else f"{n} ({s})" for n, s in row.reading.models.items()]
    if row.pools:
        words.append(f"{row.pools.ready} of {row.pools.macs} Macs ready")
    said = Text(harmless(", ".join(words) or "no model is loaded"))
    for problem in row.reading.problems:
        said.append("; ").append(harmless(problem), style="red")
    return said


def _numbers(row: Row) -> list[str]:
    if row.reading is None:
        return [""] * len(_NUMBERS)
    reading, rates = row.reading, row.reading.rates
    busy = "-" if reading.busy is None else str(reading.busy)
    return [
        "-" if reading.total is None else f"{busy}/{reading.total}",
        "-" if reading.waiting is None else str(reading.waiting),
        _figure(rates.requests),
        _figure(rates.written),
        "-" if rates.first is None else f"{_figure(rates.first)} s",
        _memory(row),
    ]


def _memory(row: Row) -> str:
    """Wired of all, in GiB: that is where the models are. Then macOS's own word, if it has one."""
    if not row.memory:
        return ""
    wired = "-" if row.vitals.wired is None else f"{row.vitals.wired / GIB:.0f}"
    word = {"warning": " warn", "critical": " crit"}.get(row.vitals.pressure_word, " GiB")
    return f"{wired}/{row.memory / GIB:.0f}{word}"


def _figure(value: float | None) -> str:
    """Three digits of it."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def _sum(rows: Sequence[Row]) -> Text:
    """Of the Macs: what goes through a gateway is done by them."""
    macs = [row for row in rows if not row.is_gateway]
    read = [row.reading for row in macs if row.reading]
    lost = sum(bool(row.silent) and row.silent != CONNECTING for row in macs)
    busy = sum(each.busy or 0 for each in read)
    total = sum(each.total or 0 for each in read)
    words = [
        f"{len(macs)} Mac{'' if len(macs) == 1 else 's'}{f', {lost} lost' if lost else ''}",
        f"{busy}/{total} slots",
        f"{_total([each.rates.requests for each in read])} req/min",
        f"{_total([each.rates.written for each in read])} tok/s",
    ]
    return Text("  ".join(words), style="bold", no_wrap=True, overflow="ellipsis")


def _total(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _figure(sum(known)) if known else "-"
