"""Files with exactly some content and mode, replaced at once or not at all."""

import hashlib
import io
from collections.abc import Iterator, Sequence

from pyinfra import host, logger
from pyinfra.api import FileUploadCommand, QuoteString, StringCommand
from pyinfra.facts.files import FileContents
from pyinfra.operations.util.files import generate_color_diff

from herd.facts.files import Entry, Modes, State
from herd.facts.gathered import Question
from herd.operations.commands import Commands, operation


def is_as_wanted(entry: Entry, content: str | bytes, mode: str) -> bool:
    """Whether a file holds this content under this mode ("600")."""
    raw = content.encode() if isinstance(content, str) else content
    wanted = Entry("file", mode, hashlib.sha256(raw).hexdigest())
    return entry == wanted


def write(path: str, content: str | bytes, mode: str) -> Commands:
    """Commands that put a file in place by a rename, never readable by more than `mode` says."""
    new = f"{path}.new"
    raw = content.encode() if isinstance(content, str) else content
    parent = QuoteString(path.rpartition("/")[0])
    # The file is there with its mode before its content is: SFTP keeps the mode of what it finds.
    yield StringCommand(
        *("mkdir -p", parent, "&& rm -f", QuoteString(new), "&& (umask 077 && :"),
        *(">", QuoteString(new), ")"),
    )
    yield FileUploadCommand(io.BytesIO(raw), new)
    yield StringCommand(
        *("chmod", mode, QuoteString(new), "&& mv -f", QuoteString(new), QuoteString(path))
    )


def show_diff(path: str, content: str) -> None:
    """With --diff, what a write would change."""
    if host.state.config.DIFF:
        present = host.get_fact(FileContents, path=path) or []
        host.log(f"Will modify {path}")
        for line in generate_color_diff(list(present), content.splitlines()):
            logger.info("  %s", line)


def _text_asks(path: str, content: str, *, mode: str = "644") -> Iterator[Question]:
    yield Question(State, paths=[path])


@operation(asks=_text_asks, changes=[State])
def text(path: str, content: str, *, mode: str = "644") -> Commands:
    """
    Keep a text file.

    + path: absolute path; its directory is made when missing
    + content: the whole text
    + mode: octal permissions
    """
    (entry,) = host.get_fact(State, paths=[path])
    if is_as_wanted(entry, content, mode):
        host.noop(f"{path} is as wanted")
        return
    show_diff(path, content)
    yield from write(path, content, mode)


def _private_asks(paths: Sequence[str]) -> Iterator[Question]:
    yield Question(Modes, paths=list(paths))


@operation(asks=_private_asks, changes=[State, Modes])
def private(paths: Sequence[str]) -> Commands:
    """
    Have files, whatever is in them, that nobody but their owner reads.

    + paths: absolute paths; their directories are there
    """
    modes = host.get_fact(Modes, paths=list(paths))
    if wrong := [path for path, mode in zip(paths, modes, strict=True) if mode != "600"]:
        quoted = [QuoteString(path) for path in wrong]
        yield StringCommand("umask 077 && touch", *quoted, "&& chmod 600", *quoted)
    else:
        host.noop("they are there, and private")


def _directories_asks(paths: Sequence[str]) -> Iterator[Question]:
    yield Question(State, paths=list(paths))


@operation(asks=_directories_asks, changes=[State])
def directories(paths: Sequence[str]) -> Commands:
    """
    Have directories; those that are made are for their owner only.

    + paths: absolute paths
    """
    found = host.get_fact(State, paths=list(paths))
    pairs = zip(paths, found, strict=True)
    if missing := [path for path, entry in pairs if entry.kind == "absent"]:
        quoted = [QuoteString(path) for path in missing]
        yield StringCommand("umask 077 && mkdir -p", *quoted)
    else:
        host.noop("they are there")


@operation()
def absent(path: str) -> Commands:
    """
    Keep a file away.

    + path: absolute path of the file
    """
    (entry,) = host.get_fact(State, paths=[path])
    if entry.kind == "absent":
        host.noop(f"{path} is not there")
        return
    yield StringCommand("rm", "-f", QuoteString(path))
