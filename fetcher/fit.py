"""Asks llama.cpp what models would take of memory, before anything large is fetched.

Of what is not there yet, it gets a skeleton. What it says is kept as notes: the line of each
device, as `llama-fit-params --fit-print on` prints it, or `error` with its last words.
"""

import asyncio
import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from fetcher import skeleton
from fetcher.errors import Failure
from fetcher.fit_spec import Ask, FitSpec
from fetcher.hub import Hub
from fetcher.progress import complain, human, say

SECONDS = 60
"""It needs some milliseconds."""

_DEVICE = re.compile(r"(\S+) (\d+) (\d+) (\d+)")


async def run(spec: FitSpec) -> bool:
    """Asks everything; whether each question has its note. Raises Gone, and Failure where notes
    cannot be kept."""
    notes = _Notes(spec.notes, spec.keep)
    done = True
    # Of this user's own, on the Mac's own disk, whose files may have holes.
    with TemporaryDirectory(prefix="llama-herd-fit-") as folder:
        async with Hub(spec.token, stall=30) as hub:
            for ask in spec.asks:
                try:
                    await _gather(hub, ask, spec, Path(folder))
                except Failure as failure:
                    done = False
                    complain(ask.name, f"{failure}; so llama.cpp cannot be asked before")
                    continue
                notes.write(ask.mark, await asyncio.to_thread(_answer, spec, ask, Path(folder)))
    return done


async def _gather(hub: Hub, ask: Ask, spec: FitSpec, folder: Path) -> None:
    """Has its files in the folder: links to what is there whole, skeletons of the others."""
    fetched = 0
    for file in ask.files:
        at, there = folder / file.path, spec.models / file.path
        if at.exists():
            continue
        at.parent.mkdir(parents=True, exist_ok=True)
        if there.is_file() and there.stat().st_size == file.size:
            at.symlink_to(there)
        else:
            fetched += await skeleton.make(hub, file, at, pause=spec.pause, name=ask.name)
    if fetched:
        say(ask.name, f"asking llama.cpp what it takes, by {human(fetched)} of its headers")


def _answer(spec: FitSpec, ask: Ask, folder: Path) -> str:
    """The text of the note."""
    command = [*spec.program, "--fit-print", "on", "--model", str(folder / ask.first), *ask.words]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            # Else it calls a debugger when it cannot load a model.
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"error it said nothing in {SECONDS} s\n"
    except OSError as error:
        return f"error {error.strerror}\n"
    lines = done.stdout.decode(errors="replace").splitlines()
    devices = [line.strip() for line in lines if _DEVICE.fullmatch(line.strip())]
    if done.returncode == 0 and devices:
        return "".join(f"{line}\n" for line in devices)
    return f"error {_reason(done.stderr.decode(errors='replace'), str(folder))}\n"


def _reason(told: str, folder: str) -> str:
    """What it complains of first: later lines say only that it ends."""
    said = [line.strip() for line in told.splitlines() if line.strip()]
    wrong = [line for line in said if re.search(r"error|unknown|failed", line)]
    line = (wrong or said[-1:] or ["it said nothing"])[0].replace(f"{folder}/", "")
    return re.sub(r"^[\d.]+ [A-Z] ", "", line)[:300]


class _Notes:
    """Files in one directory; what no model of now has asked goes."""

    def __init__(self, directory: Path, keep: frozenset[str]) -> None:
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for path in directory.iterdir():
                if path.name not in keep:
                    path.unlink()
        except OSError as error:
            raise Failure(f"{directory}: {error.strerror}") from None

    def write(self, mark: str, text: str) -> None:
        at = self._directory / mark
        new = at.with_suffix(".new")
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(at)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            raise Failure(f"{at}: {error.strerror}") from None
