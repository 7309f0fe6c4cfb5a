"""lab/ports.py: a block of ports is one's own, also before anybody listens on it."""

import itertools
import socket
import subprocess
import sys

from lab import ports

TAKE = "import sys; from lab import ports; print(ports.take(int(sys.argv[1])) is not None)"


def taken_elsewhere(first: int) -> bool:
    """Whether another process gets the block."""
    asked = [sys.executable, "-c", TAKE, str(first)]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "True\n"


def test_a_block_is_nobody_elses_until_it_is_let_go() -> None:
    block = next(ports.free_blocks())
    assert not taken_elsewhere(block.first)
    assert ports.take(block.first) is None

    block.lock.close()
    assert taken_elsewhere(block.first)


def test_blocks_are_told_apart_and_stay_below_the_ephemeral_ports() -> None:
    held = list(itertools.islice(ports.free_blocks(), 20))
    firsts = sorted(block.first for block in held)
    assert all(b - a >= ports.SIZE for a, b in itertools.pairwise(firsts))
    assert firsts[0] >= ports.FIRST
    assert firsts[-1] + ports.SIZE <= ports.LAST


def test_a_block_in_which_somebody_listens_is_passed_over() -> None:
    block = next(ports.free_blocks())
    with socket.create_server(("127.0.0.1", block.first + ports.SIZE - 1)):
        block.lock.close()
        assert block.first not in {each.first for each in ports.free_blocks()}
