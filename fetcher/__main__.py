"""stdin, signals and the exit code: 0 all is in place, 1 something is not, 2 a bad document.

With the argument `fit` it asks llama.cpp what models take of memory, and fetches none.
"""

import asyncio
import os
import signal
import sys
import traceback

from fetcher import fit, fit_spec
from fetcher.errors import Failure
from fetcher.fit_spec import FitSpec
from fetcher.progress import Gone, complain
from fetcher.run import Run
from fetcher.spec import Spec, parse
from fetcher.work import Work


def main() -> None:
    """Reads the document, and runs it."""
    for stream in (sys.stdout, sys.stderr):
        # A session may have no locale, and a name any characters.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    # With HTTPS_PROXY aiohttp takes passwords, too, which are not ours to send: one of the Hub's
    # host beside our token it even refuses.
    os.environ["NETRC"] = os.devnull
    parsed = fit_spec.parse if sys.argv[1:] == ["fit"] else parse
    try:
        spec = parsed(sys.stdin.buffer.read())
    except ValueError as error:
        print(f"fetcher: {error}", file=sys.stderr)
        sys.exit(2)
    try:
        code = _run(spec)
    except Exception as error:
        # Its text may hold an address with a signature, or a header.
        where = "".join(traceback.format_tb(error.__traceback__))
        complain("fetcher", f"a fault of ours, {type(error).__name__}:\n{where}")
        code = 1
    # What cannot be printed any more is nobody's concern, Python's neither.
    os._exit(code) if _flushed() is False else sys.exit(code)


def _run(spec: Spec | FitSpec) -> int:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_until_end(spec))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_end(spec))


async def _until_end(spec: Spec | FitSpec) -> int:
    """Runs until all is done, the connection is gone, or a signal comes."""
    loop = asyncio.get_running_loop()
    # A task's error may have an address in it, which this would print.
    loop.set_exception_handler(lambda *_: None)
    works: list[Work] = []
    if isinstance(spec, FitSpec):
        task = asyncio.ensure_future(_fits(spec))
    else:
        run = Run(spec)
        works, task = run.works, asyncio.ensure_future(run.all())
    ends: list[int] = []

    def end(number: int) -> None:
        if not ends:
            ends.append(number)
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    try:
        return 0 if await task else 1
    except Gone:
        return 1
    except asyncio.CancelledError:
        if ends == [signal.SIGTERM]:
            for work in works:
                if not work.is_over:
                    complain(work.name, "a later run has taken over")
        return 1


async def _fits(spec: FitSpec) -> bool:
    try:
        return await fit.run(spec)
    except Failure as failure:
        complain("fetcher", str(failure))
        return False


def _flushed() -> bool:
    try:
        sys.stdout.flush()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
