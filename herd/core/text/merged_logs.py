"""Lines of several logs in the order of time, as far as they tell it."""

import re
from collections.abc import Iterable, Sequence

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")


def merged(logs: Iterable[tuple[str, Sequence[str]]]) -> list[tuple[str, str]]:
    """Pairs of a log's name and a line of it, the oldest first.

    A line without a time belongs to the one before it; those before the first come as early as
    their log begins, and a log without any time, first. Logs keep their own order.
    """
    keyed = []
    for number, (name, lines) in enumerate(logs):
        last = next((found[0] for line in lines if (found := _TIME.match(line))), "")
        for place, line in enumerate(lines):
            if found := _TIME.match(line):
                last = max(last, found[0])
            keyed.append(((last, number, place), name, line))
    return [(name, line) for _, name, line in sorted(keyed)]
