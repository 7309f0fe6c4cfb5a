"""`usage`: what was used, as a table or as JSON."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path

from proxy.accounting import usage
from proxy.commands import NO_DAY


def add_usage(parser: ArgumentParser) -> None:
    """The options of `usage`."""
    parser.add_argument(
        "--db", type=Path, default=Path("usage.db"), metavar="PATH", help="the proxy's --usage file"
    )
    parser.add_argument("--since", type=begin, default="30d", metavar="7d", help="days, or a date")
    parser.add_argument("--key", metavar="NAME", help="of this key only")
    parser.add_argument("--json", action="store_true", help="for programs")


def show_usage(args: Namespace) -> int:
    """Prints what was used."""
    try:
        rows = usage.read(args.db, args.since, args.key)
    except ValueError as problem:
        print(f"proxy: {problem}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps([row._asdict() for row in rows], indent=2))
    else:
        print("\n".join(table(rows)))
    return 0


def table(rows: Sequence[usage.Row]) -> list[str]:
    """Lines with aligned columns, and the sum."""
    if not rows:
        return ["nothing was used"]
    numbers = ("requests", "errors", "prompt", "completion")
    sums = [str(sum(getattr(row, name) for row in rows)) for name in numbers]
    cells = [usage.Row._fields, *(tuple(map(str, row)) for row in rows), ("total", "", "", *sums)]
    widths = [max(len(row[column]) for row in cells) for column in range(7)]
    return [
        "  ".join(
            text.ljust(width) if column < 3 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def begin(text: str) -> str:
    """The day that was so many days ago, or a date."""
    try:
        return usage.first_day(text)
    except ValueError:
        raise ArgumentTypeError(NO_DAY.format(text)) from None
