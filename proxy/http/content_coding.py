"""Undoes the Content-Encoding of a body as it comes, a little at a time and within a bound. Pure.

Python has zstd since 3.14; before that the package `backports.zstd` is the same module. Without
either, zstd is one of the codings that are not read here.
"""

import sys
import zlib
from typing import Any, Protocol

from proxy.http.refusal import Refused, large

PIECE = 16384
"""Decoded bytes in one go."""
SIP = 4096
"""Encoded bytes in one go: what decodes to nothing takes its time, too."""
MOST_MEMBERS = 1024
"""Of gzip's members, or zstd's frames, in one body: 64 MiB have as many of 64 KiB. Each costs time
to begin, even an empty one."""
WINDOW = 23
"""Bits of memory that zstd may take: 8 MiB, as RFC 9659 has it."""


class _Decompressor(Protocol):
    """As in `compression.zstd` and `bz2`."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """zlib's, in the same manner."""

    def __init__(self, wbits: int) -> None:
        self._inner = zlib.decompressobj(wbits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = len(out) < max_length and not self._inner.unconsumed_tail
        return out


def _zstd() -> Any:
    """The module, or None."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd  # type: ignore[import-not-found,unused-ignore]
        else:
            from backports import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    return zstd


_ZSTD = _zstd()
_FAULTS = (zlib.error, _ZSTD.ZstdError) if _ZSTD else (zlib.error,)
CODINGS = ("zstd", "gzip", "deflate") if _ZSTD else ("gzip", "deflate")
ACCEPTED = ("Accept-Encoding", ", ".join(CODINGS))


class Decoder:
    """One body on its way out of its coding."""

    __slots__ = ("_coding", "_decompressor", "_members", "_most", "_size")

    def __init__(self, coding: str, most: int) -> None:
        self._coding = coding
        self._most = most
        self._size = 0
        self._members = 0
        self._decompressor = self._new()

    def _new(self) -> _Decompressor:
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise large(
                f"The body has more than {MOST_MEMBERS} pieces in its Content-Encoding. "
                "Encode it in one."
            )
        if self._coding == "zstd":
            bounded = {_ZSTD.DecompressionParameter.window_log_max: WINDOW}
            made: _Decompressor = _ZSTD.ZstdDecompressor(options=bounded)
            return made
        return _Zlib(31 if self._coding == "gzip" else 15)

    def take(self, came: bytearray, last: bool) -> tuple[bytes, bool] | None:
        """Decodes some of what came, and takes that away: bytes, and whether they were the last.
        None if more has to come. It may be no bytes for now: what goes in is bounded as what comes
        out is, so that others get their turn. Raises Refused."""
        inner = self._decompressor
        if inner.eof:
            if inner.unused_data:
                came[:0] = inner.unused_data
            if not came:
                return (b"", True) if last else None
            self._decompressor = inner = self._new()  # another one may follow
        data = b""
        if inner.needs_input:
            if not came:
                if last:
                    raise _broken(
                        f"The body ends before what Content-Encoding {self._coding} began."
                    )
                return None
            data = bytes(came[:SIP])
            del came[:SIP]
        try:
            out = inner.decompress(data, PIECE)
        except _FAULTS:
            raise _broken(f"The body is not in its Content-Encoding: {self._coding}.") from None
        self._size += len(out)
        if self._size > self._most:
            raise large(
                f"The body is larger than {self._most >> 20} MiB when it is decoded. "
                "Send one like this without Content-Encoding."
            )
        return out, False


def _broken(message: str) -> Refused:
    """By a code of its own: it is the true reason, whatever the Content-Type said or did not."""
    return Refused(400, "invalid_encoding", message)


def decoder_of(lines: list[str], most: int) -> Decoder | None:
    """What undoes these codings; None if there is nothing to undo."""
    named = [part.strip().lower() for line in lines for part in line.split(",")]
    codings = [coding.removeprefix("x-") for coding in named if coding not in ("", "identity")]
    if not codings:
        return None
    if len(codings) == 1 and codings[0] in CODINGS:
        return Decoder(codings[0], most)
    said = f"The Content-Encoding {', '.join(codings)[:64]!a} is not read here"
    how = f"Send the body without one, or in one of {', '.join(CODINGS)}."
    raise Refused(415, "unsupported_media_type", f"{said}. {how}", ACCEPTED)
