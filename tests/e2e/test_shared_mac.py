"""Several stacks on one Mac: ports, paths and labels are host data."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.fleet import SENTENCE, Fleet, plain


def _two_stacks(fleet: Fleet, **second: Any) -> str:
    """An inventory in which the lab's Mac carries two stacks; returns its path."""
    scope: dict[str, Any] = {}
    exec(fleet.lab.inventory.read_text(), scope)
    ((_, data),) = scope["macs"]
    other = data | second
    path = fleet.lab.directory / "two-stacks.py"
    path.write_text(f"macs = {[('first', data), ('second', other)]!r}\n")
    return str(path)


@pytest.mark.soak
def test_two_stacks_share_a_mac(make_fleet: Callable[..., Fleet]) -> None:
    """Both serve, each with its own proxy, and a second run changes neither."""
    fleet = make_fleet("mac1")
    port = fleet["mac1"].ports["proxy"]
    inventory = _two_stacks(
        fleet,
        stack_root="~/second",
        launchd_label_prefix="com.example.second",
        proxy_port=port + 1,
        llama_swap_port=port + 2,
        llama_server_start_port=port + 15,
    )

    # One Homebrew installs one thing at a time.
    first = fleet.pyinfra("-y", "--serial", inventory, "deploy.py")
    second = fleet.pyinfra("-y", inventory, "deploy.py")

    assert first.code == 0, first.err
    assert plain(second.err).count("changed:  nothing") == 2
    assert fleet.says(port=port) == SENTENCE
    assert fleet.says(port=port + 1) == SENTENCE


def test_stacks_that_would_clash_are_refused_together(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet("mac1")

    run = fleet.pyinfra("-y", _two_stacks(fleet), "deploy.py")

    assert run.code == 1
    for setting in ("stack_root", "launchd_label_prefix", "proxy_port", "llama_swap_port"):
        assert f"first, second: {setting}" in plain(run.err)
    assert fleet["mac1"].log == []
