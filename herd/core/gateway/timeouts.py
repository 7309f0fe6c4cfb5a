"""How soon HAProxy notices what, and how long it waits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """How soon what is noticed, in milliseconds; tests have shorter ones."""

    check: int = 2_000
    check_again: int = 1_000
    """After a check that failed."""
    check_answer: int = 2_000
    warm: int = 5_000
    """Between two questions whether a model is loaded, of each Mac that serves it."""
    failed_checks: int = 3
    connect: int = 2_000
    body: int = 60_000
    silence: int = 3_600_000
    """Of a Mac that works: a long prompt is read without a word."""
