"""SHA-256 of files in threads, one file for each core: OpenSSL's code lets others run meanwhile."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

READ = 4 << 20
"""Bytes at once."""


class Digest:
    """One file that is being hashed; `done` are bytes."""

    def __init__(self) -> None:
        self.done = 0
        self.stopped = False

    def run(self, opened: Callable[[], int]) -> str:
        """In a thread. The checksum; "" when it was stopped."""
        sha256, view = hashlib.sha256(), memoryview(bytearray(READ))
        with open(opened(), "rb", buffering=0) as file:
            while count := file.readinto(view):
                if self.stopped:
                    return ""
                sha256.update(view[:count])
                self.done += count
        return sha256.hexdigest()


class Hashing:
    """The threads."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(os.cpu_count() or 2, thread_name_prefix="hashing")
        self._digests: set[Digest] = set()

    async def sha256(self, opened: Callable[[], int], digest: Digest) -> str:
        """Waits for a free core; `opened` gives a descriptor. Raises OSError."""
        self._digests.add(digest)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, digest.run, opened)
        finally:
            self._digests.discard(digest)

    def close(self) -> None:
        """Ends what still runs."""
        for digest in self._digests:
            digest.stopped = True
        self._threads.shutdown(cancel_futures=True)
