"""What `make soak` says at its end of the clients that it ran."""

from collections import defaultdict
from typing import Any

import pytest


def show(terminalreporter: pytest.TerminalReporter) -> None:
    """A row for each client of tests/clients: its version, what passed, what took how long."""
    rows: dict[str, dict[str, Any]] = defaultdict(lambda: {"seconds": 0.0, "asked": set()})
    for outcome, sign in (("passed", "ok"), ("failed", "FAILED"), ("skipped", "-"), ("", "")):
        for report in terminalreporter.getreports(outcome):
            told = dict(report.user_properties)
            if "client" not in told:
                continue
            row = rows[told["client"]]
            name = report.nodeid.partition("::test_")[2]
            column = "alias" if "alias" in name else name.partition("[")[0]
            if sign:
                row[column] = sign
                row["seconds"] += report.duration
            row["version"] = told.get("version", row.get("version", ""))
            row["asked"] |= set(told.get("asked", ()))
    if not rows:
        return
    columns = {
        "it_says_the_sentence": "sentence",
        "alias": "alias",
        "a_wrong_key_is_named_by_the_client_itself": "wrong key",
        "a_busy_key_is_waited_for": "busy key",
        "a_spent_key_is_told_so": "spent key",
    }
    terminalreporter.section("clients")
    head = ("client", "version", *columns.values(), "seconds", "would have asked")
    lines = [head]
    for client, row in rows.items():
        seen = (str(row.get(column, "")) for column in columns)
        asked = ", ".join(sorted(row["asked"])) or "nobody"
        lines.append((client, row["version"], *seen, f"{row['seconds']:.0f}", asked))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        words = (word.ljust(width) for word, width in zip(line, widths, strict=True))
        terminalreporter.write_line("  ".join(words).rstrip())
