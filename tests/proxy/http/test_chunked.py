"""The framing of answers: content, end, and what is passed on, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.chunked import LAST, ChunkError, ChunkWalker, chunk, is_whole


def walk(data: bytes, sizes: list[int]) -> tuple[bytes, bytes, ChunkWalker]:
    """What was passed on, the content, and the walker, after reads of these sizes."""
    walker, passed, content, at = ChunkWalker(), b"", b"", 0
    while at < len(data) and not walker.done:
        size = sizes.pop(0) if sizes else len(data)
        passed += walker.feed(data[at : at + size])
        content += walker.content
        at += size
    return passed, content, walker


@given(
    st.lists(st.binary(min_size=1, max_size=40)),
    st.sampled_from([b"", b"X-T: 1\r\n", b"A: b\r\nC: d\r\n"]),
    st.lists(st.integers(1, 30)),
)
def test_any_cut_gives_the_same(parts: list[bytes], trailers: bytes, sizes: list[int]) -> None:
    """All but the last chunk passes as it came; trailers do not."""
    framed = b"".join(map(chunk, parts))
    passed, content, walker = walk(framed + b"0\r\n" + trailers + b"\r\n", sizes)

    assert passed == framed
    assert content == b"".join(parts)
    assert walker.done
    assert not walker.surplus


def test_extension_passes() -> None:
    """It means nothing, and is not ours to take away."""
    passed, content, _ = walk(b"3;a=b\r\nabc\r\n" + LAST, [])

    assert (passed, content) == (b"3;a=b\r\nabc\r\n", b"abc")


def test_bytes_behind_the_end_are_noticed() -> None:
    """The connection cannot be used again."""
    assert walk(LAST + b"HTTP/1.1 200 OK", [])[2].surplus


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"+3\r\nabc\r\n",
        b"-3\r\nabc\r\n",
        b"0x3\r\nabc\r\n",
        b"3_0\r\nabc\r\n",
        b" 3\r\nabc\r\n",
        b"3 \r\nabc\r\n",
        b"3\n\r\nabc\r\n",
        b"g\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc\n\r",
        b"1" * 17 + b"\r\n",
        b"3;" + b"x" * 300,
        b"3;a\x00\r\nabc\r\n",
        b"0\r\n" + b"X: " + b"y" * 10000,
    ],
)
def test_what_is_no_chunk_is_refused(data: bytes, step: int) -> None:
    """Nothing is guessed: a length read in two ways is how answers are smuggled."""
    with pytest.raises(ChunkError):
        walk(data, [step] * len(data))


@pytest.mark.parametrize(
    ("raw", "content", "whole"),
    [
        (b"3\r\nabc\r\n", b"abc", True),
        (b"3\r\nabc\r\n1\r\nd\r\n", b"abcd", True),
        (b"4\r\nabc", b"abc", False),
        (b"3\r\nabc\r\n1\r\n", b"abc", False),
        (b"c\r\n3\r\nabc\r\n", b"c3abc", False),
        (b"\r\n3\r\nabc\r\n", b"abc", False),
        (b"0\r\n\r\n", b"", False),
    ],
)
def test_content_that_came_in_whole_chunks(raw: bytes, content: bytes, whole: bool) -> None:
    """Only that can be written anew in another one."""
    assert is_whole(raw, content) is whole
