"""Keys and the certificate, and whose files are: what ends soon, and what others may read."""

from collections.abc import Iterator
from datetime import UTC, datetime

from herd.core.text.quoting import shell_quote
from herd.core.text.units import duration
from herd.diagnosis.finding import CLOSE, DAY, Finding, Patient

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


def readable(patient: Patient) -> Iterator[Finding]:
    """What holds keys, or what people ask."""
    for path in patient.symptoms.readable:
        yield Finding(
            "readable-by-others",
            f"other users of the Mac may read {path}",
            f"`chmod 600 {shell_quote(path)}` on the Mac",
            CLOSE,
        )


def foreign(patient: Patient) -> Iterator[Finding]:
    """What a deploy cannot change, and somebody else can."""
    if paths := patient.symptoms.foreign:
        user, root = shell_quote(patient.mac.user), shell_quote(patient.layout.root)
        yield Finding(
            "of-another-user",
            f"{', '.join(paths)} {'is' if len(paths) == 1 else 'are'} not {patient.mac.user}'s",
            f"`sudo chown -R {user} {root}` on the Mac",
        )


def _ending(end: float, now: float, soon: int) -> str:
    day = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d")
    if end <= now:
        return f"ended {duration(int(now - end))} ago, on {day}"
    return f"ends in {duration(int(end - now))}, on {day}" if end - now <= soon else ""


RULES = (keys, certificate, readable, foreign)
