"""What tests hold over the hub: what was asked and sent, and the faults to play."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatch
from typing import Any, Literal

Stage = Literal["api", "resolve", "body"]


@dataclass
class Fault:
    """Trouble for requests whose "org/repo/file" matches `path`, the next `times` of them.

    `on` is the request it befalls: the one that sends the file's bytes, the one to resolve/
    (which for LFS files only redirects), or one to the API, whose path is "org/repo".
    """

    path: str = "*"
    on: Stage = "body"
    times: int | None = None
    status: int | None = None
    retry_after: int | None = None
    ratelimit: str | None = None  # in place of Retry-After, as the real one says it
    drop_after: int | None = None  # close the connection after so many bytes of the body
    rate: float | None = None  # bytes per second
    corrupt: int | None = None  # flip the byte at this offset of the file
    delay: float | None = None  # seconds before the answer

    @classmethod
    def parse(cls, data: Any) -> Fault:
        known = {each.name for each in fields(cls)}
        if not isinstance(data, dict) or not set(data) <= known:
            raise ValueError(f"a fault has the keys {sorted(known)}, got {data!r}")
        return cls(**data)


@dataclass
class Seen:
    """One request, as GET /_lab/stats tells it; never the credentials themselves."""

    method: str
    stage: Stage
    path: str
    authorization: bool
    range: str | None = None
    status: int = 0
    sent: int = 0


@dataclass
class Control:
    faults: list[Fault] = field(default_factory=list)
    requests: int = 0
    sent: dict[str, int] = field(default_factory=dict)
    # Bounded: a long soak asks more often than anyone will read.
    log: deque[Seen] = field(default_factory=lambda: deque(maxlen=5000))

    def reset(self) -> None:
        self.faults.clear()
        self.forget()

    def forget(self) -> None:
        """What was asked and sent so far; faults stay."""
        self.requests = 0
        self.sent.clear()
        self.log.clear()

    def note(self, seen: Seen) -> Seen:
        self.requests += 1
        self.log.append(seen)
        return seen

    def count(self, seen: Seen, size: int) -> None:
        seen.sent += size
        self.sent[seen.path] = self.sent.get(seen.path, 0) + size

    def fault(self, path: str, stage: Stage) -> Fault | None:
        """The first fault that applies, used up by one."""
        for fault in self.faults:
            if fault.on == stage and fault.times != 0 and fnmatch(path, fault.path):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def stats(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "bytes": sum(self.sent.values()),
            "files": dict(self.sent),
            "log": [asdict(seen) for seen in self.log],
            "faults": [asdict(fault) for fault in self.faults],
        }
