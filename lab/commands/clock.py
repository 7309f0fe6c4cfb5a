"""date(1) of BSD: no -d, but -r seconds and -j -f."""

from __future__ import annotations

import os
import time

from lab.commands.base import Illegal, fail, getopt
from lab.mac import Machine

USAGE = """usage: date [-jnRu] [-I[date|hours|minutes|seconds|ns]] [-f input_fmt]
            [ -z output_zone ] [-r filename|seconds] [-v[+|-]val[y|m|w|d|H|M|S]]
            [[[[mm]dd]HH]MM[[cc]yy][.SS] | new_date] [+output_fmt]"""


def date(mac: Machine, args: list[str]) -> int:
    """Prints only: nobody sets this clock."""
    try:
        flags, rest = getopt([_iso(word) for word in args], "I:f:jnRr:u")
    except Illegal as error:
        return fail(f"date: {error}\n{USAGE}")
    options = dict(flags)
    if "u" in options:
        os.environ["TZ"] = "UTC"
        time.tzset()
    moment = time.time()
    if "r" in options:
        value = options["r"]
        moment = float(value) if value.isdigit() else os.stat(value).st_mtime
    elif "f" in options and rest:
        text = rest.pop(0)
        try:
            moment = time.mktime(time.strptime(text, options["f"]))
        except ValueError:
            return fail(f"Failed conversion of ``{text}'' using format ``{options['f']}''\n{USAGE}")
    layout = "%a %b %e %H:%M:%S %Z %Y"
    if "R" in options:
        layout = "%a, %d %b %Y %H:%M:%S %z"
    if "I" in options:
        layout = "%Y-%m-%d" if options["I"] == "date" else "%Y-%m-%dT%H:%M:%S%z"
    if rest and rest[0].startswith("+"):
        layout = rest[0][1:].replace("%N", "N")  # there are no nanoseconds
    print(time.strftime(layout, time.localtime(moment)))
    return 0


def _iso(word: str) -> str:
    """-I's argument is optional and glued."""
    return "-Idate" if word == "-I" else word
