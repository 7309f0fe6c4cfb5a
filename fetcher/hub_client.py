"""The Hub's own client, `hf`: for files that the network before the store does not give over plain
HTTP. It has a transfer of its own (Xet), and begins anew when it is cut off."""

import asyncio
import os
import re
import shlex
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from yarl import URL

from fetcher.errors import Failure
from fetcher.item import Item
from fetcher.spec import File

# Below the directory that `hf` itself keeps its notes in.
STAGE = ".cache/huggingface/herd-{}"


def by_hand(file: File, directory: str) -> str:
    """The command that fetches a file, to be run on this Mac."""
    return shlex.join(["hf", *_words(file, directory)])


def _words(file: File, directory: str) -> Sequence[str]:
    found = re.fullmatch(r"/(.+)/resolve/([^/]+)/.+", URL(file.url, encoded=True).path)
    repo, commit = found.groups() if found else ("REPO", "main")
    return ["download", repo, file.path, "--revision", commit, "--local-dir", directory]


async def fetch(program: str, item: Item, token: str | None) -> None:
    """Has all bytes of a file in its part. Raises Failure with the client's last words."""
    stage = item.directory / STAGE.format(item.file.sha256[:12])
    try:
        await _run(program, _words(item.file, str(stage)), URL(item.file.url, encoded=True), token)
        item.pieces.take(stage / item.file.path)
    except OSError as error:
        raise Failure(f"{program}: {error.strerror}") from None
    finally:
        await asyncio.to_thread(shutil.rmtree, stage, ignore_errors=True)


async def _run(program: str, words: Sequence[str], url: URL, token: str | None) -> None:
    own = {"HF_ENDPOINT": str(url.origin()), "HF_HUB_DISABLE_TELEMETRY": "1"}
    own |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1"} | ({"HF_TOKEN": token} if token else {})
    running = await asyncio.create_subprocess_exec(
        *(program, *words, "--quiet"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **own},
        start_new_session=True,  # so that all of it ends with us
    )
    try:
        _, told = await running.communicate()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    if running.returncode:
        last = [line.strip() for line in told.decode(errors="replace").splitlines() if line.strip()]
        raise Failure(f"{Path(program).name} says {(last or ['nothing'])[-1][:300]!r}")
