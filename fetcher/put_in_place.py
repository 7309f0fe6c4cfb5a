"""How a file gets its name: never before its SHA-256 is right, never beside another version's.

What has the name already is kept when it is right, stays until the new version is whole when it
is an earlier one, and is set aside when it is wrong.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial

from fetcher import no_links
from fetcher.errors import Failure
from fetcher.item import Item, State
from fetcher.pieces import flush
from fetcher.receipts import ADOPTED
from fetcher.spec import FETCHED

Say = Callable[[str], None]

ATTEMPTS = 3
"""Times that a file may arrive wrong."""


def look_at(item: Item, *, again: bool, say: Say) -> None:
    """What is there of a file; `again` doubts its receipt, too."""
    file, known = item.file, item.receipts.known(item.file.path)
    if known.valid and known.sha256 == file.sha256:
        item.state = State.ADOPT if again else State.WHOLE
    elif known.valid:
        # An earlier version, which stays until this one is whole.
        item.state = State.GET
    elif item.at.is_file() and item.at.stat().st_size == file.size:
        item.state = State.ADOPT
    else:
        item.state = State.GET
        if item.at.exists():
            wrong = f"it has {item.at.stat().st_size} bytes, not {file.size}"
            if not item.at.is_file():
                wrong = "it is a directory" if item.at.is_dir() else "it is no file"
            aside = item.receipts.set_aside(file.path)
            say(f"{file.path}: wrong, {wrong}: set aside as {aside}, fetching it again")
    if item.state is State.GET:
        part = item.receipts.known(item.part)
        if part.valid and part.sha256 == file.sha256:
            item.state = State.CHECKED
        elif item.pieces.whole:
            item.pieces.begin()
            item.state = State.CHECK


def adopted(item: Item, found: str, say: Say) -> None:
    """After the hashing of what was there before us."""
    file = item.file
    if found == file.sha256:
        known = item.receipts.known(file.path)
        item.receipts.vouch(file.path, found, known.origin or ADOPTED)
        item.state = State.WHOLE
        return
    aside = item.receipts.set_aside(file.path, found)
    wrong = f"wrong, its SHA-256 is {found}, not {file.sha256}"
    say(f"{file.path}: {wrong}: set aside as {aside}, fetching it again")
    item.state = State.GET


def arrived(item: Item, found: str, origin: str, hub: str, say: Say) -> None:
    """After the hashing of what has come; `hub` is what the Hub is called in `item.given`."""
    file = item.file
    if found == file.sha256:
        if item.at.exists():
            _vouch_for_part(item, origin)
            item.state = State.CHECKED
        else:
            _place(item, origin)
        return
    givers = [name for name, size in sorted(item.given.items()) if size]
    macs = [name for name in givers if name != hub]
    # Of several who gave bytes nobody can tell whose were wrong. Each is doubted only once, so
    # the Hub has all of its attempts, however many Macs were wrong before.
    item.doubted.update(macs)
    item.wrong += not macs
    item.given.clear()
    item.pieces.clear()
    if item.wrong >= ATTEMPTS:
        raise Failure(f"{file.path}: arrived wrong three times, last with SHA-256 {found}")
    item.state = State.GET
    whose = f" from {' and '.join(givers)}" if macs else ""
    wrong = f"arrived wrong{whose}, its SHA-256 is {found}, not {file.sha256}"
    again = "fetching it again"
    if macs:
        mend = " and ".join(f"`make verify-models LIMIT={name}`" for name in macs)
        again += f" from elsewhere; run {mend} to mend it there"
    say(f"{file.path}: {wrong}: {again}")


def switch(items: Sequence[Item], origin: str, say: Say) -> None:
    """When all are verified: the earlier version goes, and the new one comes. The first split is
    the one that is looked for, so it comes last: a run that is cut off here leaves the earlier
    version's first splits, or none, but never one of each."""
    switched = False
    for item in items:
        path = item.file.path
        if item.state is not State.CHECKED or not item.at.exists():
            continue
        switched = True
        known = item.receipts.known(path)
        if known.valid and known.origin == FETCHED:
            _change(f"cannot remove {path}", partial(no_links.remove, item.directory, path))
            item.receipts.forget(path)
        else:
            aside = item.receipts.set_aside(path, known.sha256)
            say(f"{path}: the earlier version, which we did not fetch, is set aside as {aside}")
    for item in reversed(items):
        if item.state is State.CHECKED:
            _place(item, origin)
        # A run that was taken over may have left these, of a file that was whole by then, too.
        item.clear_away()
    if switched:
        say("the new version has taken the place of the earlier one")


def _vouch_for_part(item: Item, origin: str) -> None:
    """Other Macs can have it from now on, and a later run need not hash it again."""
    _to_disk(item)
    item.receipts.vouch(item.part, item.file.sha256, origin)
    item.pieces.close()
    item.pieces.remove_journal()


def _place(item: Item, origin: str) -> None:
    """The receipt first, which is of no other file."""
    path = item.file.path
    if item.state is not State.CHECKED:
        _to_disk(item)
    item.receipts.vouch(path, item.file.sha256, origin, item.part)
    rename = partial(no_links.rename, item.directory, item.part, path)
    _change(f"cannot put {path} in place", rename)
    item.state = State.WHOLE
    item.clear_away()


def _to_disk(item: Item) -> None:
    """A receipt is not to outlive a crash that its bytes do not."""
    fd = no_links.open_to_read(item.directory, item.part)
    try:
        flush(fd)
    finally:
        os.close(fd)


def _change(problem: str, change: Callable[[], object]) -> None:
    try:
        change()
    except OSError as error:
        raise Failure(f"{problem}: {error.strerror}") from None
