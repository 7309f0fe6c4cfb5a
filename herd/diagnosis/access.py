"""Keys and the certificate: what ends soon, or has ended."""

from collections.abc import Iterator
from datetime import UTC, datetime

from herd.core.text.units import duration
from herd.diagnosis.finding import DAY, Finding, Patient

_SOON = {"key": 7 * DAY, "certificate": 21 * DAY}
"""Seconds before the end at which it is told; who renews a certificate does so 30 days before."""


def keys(patient: Patient) -> Iterator[Finding]:
    """By name, where they have an end."""
    for name, end in sorted(patient.expiries.items()):
        if told := _ending(end, patient.now, _SOON["key"]):
            yield Finding(
                "key-expires",
                f"the key of {name} {told}",
                f"`make key NAME={name} ARGS=--rotate`, then `make deploy`; or remove its entry",
            )


def certificate(patient: Patient) -> Iterator[Finding]:
    """The one that is declared; that the Mac has another is drift."""
    end = patient.certificate
    if end is not None and (told := _ending(end, patient.now, _SOON["certificate"])):
        yield Finding(
            "certificate-expires",
            f"the proxy's certificate {told}",
            "renew it, then `make deploy`: the proxy takes it without a restart",
        )


def _ending(end: float, now: float, soon: int) -> str:
    day = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d")
    if end <= now:
        return f"ended {duration(int(now - end))} ago, on {day}"
    return f"ends in {duration(int(end - now))}, on {day}" if end - now <= soon else ""


RULES = (keys, certificate)
