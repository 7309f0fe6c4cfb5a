"""Bytes that wait to go up come out as they went in."""

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.body.body_queue import BLOCK, BodyQueue

PIECES = st.lists(st.binary(max_size=50) | st.integers(1, 3).map(lambda n: b"x" * (n * BLOCK)))


@settings(deadline=None)
@given(PIECES, st.binary(min_size=1, max_size=20), st.integers(1, 2 * BLOCK))
def test_all_comes_out_once_and_in_order(pieces: list[bytes], front: bytes, most: int) -> None:
    queue, out = BodyQueue(), []
    for piece in pieces:
        queue.add(piece)
    queue.add_before(front)
    while queue.size:
        before = queue.size
        out.append(queue.take(most))
        assert len(out[-1]) == min(most, before) == before - queue.size

    assert b"".join(out) == front + b"".join(pieces)
    assert queue.take(most) == b""


def test_what_comes_in_small_pieces_is_kept_in_few_blocks() -> None:
    """Millions of objects would take as long to free as one join."""
    queue = BodyQueue()
    for _ in range(BLOCK):
        queue.add(b"four")

    assert queue.size == 4 * BLOCK
    assert len(queue._blocks) == 4


def test_nothing_is_left_of_what_goes_up_nowhere() -> None:
    queue = BodyQueue()
    queue.add(b"old")
    queue.clear()
    queue.add(b"new")

    assert (queue.size, queue.take(10)) == (3, b"new")
