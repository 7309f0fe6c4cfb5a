"""Skeletons of model files: their headers, and holes for all else, of the whole's length.

llama.cpp tells from one what the whole would take of memory: it needs no weights for that.
"""

import asyncio
from pathlib import Path

from fetcher import gguf_header
from fetcher.errors import Failure
from fetcher.hub import Hub, NoRanges, NotPlainly
from fetcher.progress import human, say
from fetcher.receiving import NETWORK, Interrupted, Span, interrupted
from fetcher.spec import File

FIRST, LONGEST = 1 << 20, 64 << 20
"""Bytes of the first request, and of a header at most: most is the tokenizer, of 13 MB for
gpt-oss-120b."""

TRIES = 4


async def make(hub: Hub, file: File, at: Path, *, pause: float, name: str) -> int:
    """Writes the skeleton of a file, in a directory that is there; how many bytes were fetched.

    Raises Failure when there is no header to be had now.
    """
    data = bytearray()
    wanted = min(FIRST, file.size)
    while True:
        await _extend(hub, file, data, wanted, pause, name)
        try:
            end = gguf_header.end(bytes(data))
        except ValueError as error:
            raise Failure(f"{file.path} {error}") from None
        if end is not None:
            break
        if len(data) == min(LONGEST, file.size):
            raise Failure(f"{file.path}: its header does not end within {human(len(data))}")
        wanted = min(2 * wanted, LONGEST, file.size)
    with at.open("wb") as skeleton:
        skeleton.write(data[:end])
        skeleton.truncate(file.size)
    return len(data)


async def _extend(
    hub: Hub, file: File, data: bytearray, wanted: int, pause: float, name: str
) -> None:
    """Has the file's first bytes, up to `wanted`."""

    def take(offset: int, more: bytes) -> None:
        data[offset:] = more

    for attempt in range(TRIES):
        try:
            if len(data) < wanted:
                await hub.fetch(file, Span(len(data), wanted, take))
            return
        except (NoRanges, NotPlainly):
            raise Failure(f"{file.path}: no part of it is given by itself") from None
        except NETWORK as error:
            cause = interrupted(error, 0) if not isinstance(error, Interrupted) else error
            if attempt == TRIES - 1:
                raise Failure(f"{file.path}: {cause}") from None
            rest = max(pause * 2**attempt, cause.after)
            if cause.status in (429, 503) and hub.cool_down(rest) and cause.status == 429:
                say(name, f"HTTP 429 from the Hub, asked {hub.limit}; going on in {rest:.0f} s")
            await asyncio.sleep(max(rest, hub.cool))
