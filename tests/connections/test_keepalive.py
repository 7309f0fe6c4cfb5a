"""A Mac that gives no sign of life loses its connection; one that is only slow keeps it."""

import logging
from types import SimpleNamespace
from typing import Any

import gevent  # type: ignore[import-untyped]
import pytest

from herd.connections import keepalive


class Transport:
    """An SSH connection whose other side answers after some seconds."""

    def __init__(self, after: float, times: int = 3) -> None:
        self.after, self.left, self.closed = after, times, False

    def is_active(self) -> bool:
        return not self.closed and self.left > 0

    def global_request(self, kind: str, wait: bool) -> None:
        assert wait
        assert kind == "keepalive@openssh.com"
        gevent.sleep(self.after)
        self.left -= 1

    def close(self) -> None:
        self.closed = True


# What a person waits for, at most.
BOUND = keepalive.INTERVAL + keepalive.PATIENCE


def test_it_is_noticed_within_a_minute() -> None:
    assert 30 <= BOUND < 60


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepalive, "INTERVAL", 0.01)
    monkeypatch.setattr(keepalive, "PATIENCE", 0.2)


HOST: Any = SimpleNamespace(name="mac1", print_prefix="[mac1] ")


def test_a_dark_mac_is_named_and_given_up(caplog: pytest.LogCaptureFixture) -> None:
    dark = Transport(after=60, times=9)
    with caplog.at_level(logging.ERROR, "pyinfra"), gevent.Timeout(20):
        keepalive.watch(HOST, dark)

    assert dark.closed
    (told,) = caplog.messages
    assert told.startswith("[mac1] It gives no sign of life")


def test_who_answers_is_asked_as_long_as_there_is_a_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow = Transport(after=0.05)
    with caplog.at_level(logging.ERROR, "pyinfra"), gevent.Timeout(20):
        keepalive.watch(HOST, slow)

    assert slow.left == 0
    assert not slow.closed
    assert not caplog.messages
