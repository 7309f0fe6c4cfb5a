"""What of a stack only root may do: exact command lines, and the rule of sudoers(5) for them.

sudo compares a command line as a whole, so the rule grants these and no others: our scripts call
`sudo -n` with the very words that stand here. Whoever may have root copy a file of his own, or load
any job, is root; so what root is to write stands in the command line itself.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from herd.core.mac import job_definitions, managed
from herd.core.mac.domains import DAEMONS
from herd.core.mac.job_definitions import ALL_JOBS, jobs_of
from herd.core.mac.launchd import compact
from herd.core.mac.layout import Layout
from herd.core.mac.root_command import Command, Pattern

DIRECTORY = "/etc/sudoers.d"
LAUNCHCTL = "/bin/launchctl"
_TRUE = "/usr/bin/true"


def commands(layout: Layout) -> list[Command]:
    """All that a stack's settings ask of root; the same in every run. Of Linux that is nothing: its
    services are the user's."""
    if layout.is_linux:
        return []
    ours = [job_definitions.daemon(layout, job) for job in jobs_of(layout) if layout.is_daemon]
    kept = managed.jobs(layout)
    return [
        *(each for job in ours for each in _installs(job)),
        *(removals(layout) if ours else ()),
        *managed.root(layout),
        *(each for job in kept for each in (*_installs(job), *_ends(job["Label"]))),
    ]


def _installs(job: Mapping[str, Any]) -> list[Command]:
    """To install and start a job of the system."""
    path, target = DAEMONS.plist(job["Label"]), DAEMONS.target(job["Label"])
    return [
        writes(path, compact(job)),
        (LAUNCHCTL, "enable", target),
        (LAUNCHCTL, "bootstrap", DAEMONS.name, path),
        (LAUNCHCTL, "kickstart", target),
    ]


def removals(layout: Layout) -> list[Command]:
    """To end the stack's jobs of the system, and take their property lists away."""
    return [command for job in ALL_JOBS for command in _ends(layout.label(job))]


def _ends(label: str) -> list[Command]:
    return [(LAUNCHCTL, "bootout", DAEMONS.target(label)), removes(label)]


def removes(label: str) -> Command:
    """Takes a job's property list away from the system."""
    return ("/bin/rm", "-f", DAEMONS.plist(label))


def writes(path: str, text: str) -> Command:
    """Puts a text file of root's in place, for everybody to read, by a rename: a new file has none
    of the old one's attributes, such as com.apple.quarantine.

    sudo compares the words joined by blanks, so these might come cut into others: no beginning of
    this script does harm, and within the text there is no blank to cut it at. Programs are named by
    their paths, as PATH is the caller's; what root makes in such a folder is of root:wheel.
    """
    if not re.fullmatch(r"/[\w./-]+", path, re.ASCII):
        raise ValueError(f"no path for a command of root: {path!r}")
    new = f"{path}.new"
    script = (
        f"printf '{_for_printf(text)}' >{new} && /bin/chmod 644 {new} && /bin/mv -f {new} {path}"
    )
    return ("/bin/sh", "-c", script)


def _for_printf(text: str) -> str:
    """A format of printf(1) that prints the text, in single quotes and without blanks."""
    return re.sub(
        r"[\s'\\%\x00-\x1f\x7f]",
        lambda c: "%%" if c[0] == "%" else "".join(f"\\{byte:03o}" for byte in c[0].encode()),
        text,
    )


def probe(granted: Sequence[Command]) -> Command:
    """Does nothing, and may be run without a password where exactly these commands may.

    What `sudo -l` lists is no proof: an administrator may run all of it, with his password.
    """
    text = "\n".join(map(" ".join, granted))
    return (_TRUE, f"llama-herd-{hashlib.sha256(text.encode()).hexdigest()[:16]}")


def file_name(layout: Layout) -> str:
    """Of the rule's file: sudo passes over names with a dot (sudoers(5))."""
    return f"{DIRECTORY}/{layout.settings.launchd_label_prefix.replace('.', '-')}"


def drop_in(host: str, layout: Layout, *, user: str, uid: int, daemons: bool = False) -> str:
    """The file in sudoers.d that lets the SSH user of a Mac run these without a password, and how
    to put it there; "" where nothing needs root. `daemons`: there are some, wanted or not."""
    wanted = commands(layout)
    # So that they can be removed again when the rest of the rule is for other settings.
    ending = removals(layout) if daemons or layout.is_daemon else []
    granted = [each for each in (wanted, ending) if each]
    return rendered(host, file_name(layout), user_in_sudoers(user, uid), *granted)


def rendered(host: str, path: str, whose: str, *granted: Sequence[Command]) -> str:
    """The same for any lists of commands, each with its probe, and any file."""
    if not granted:
        return ""
    probes = [probe(each) for each in granted]
    once = dict.fromkeys([*probes, *(command for each in granted for command in each)])
    lines = [
        f"# What Llama Herd may do as root on {host}: {path}",
        "# With this text in a file FILE on the Mac, put it in place there:",
        "#   sudo visudo -cf FILE",
        f"#   sudo install -o root -g wheel -m 0440 FILE {path}",
        *(f"{whose} ALL=(root) NOPASSWD: {spec(each)}" for each in once),
    ]
    return "\n".join([*lines, ""])


def spec(command: Command) -> str:
    """A command as sudoers(5) has it: only a `Pattern` is one, and its arguments are all."""
    program, *arguments = command
    if arguments and isinstance(arguments[0], Pattern):
        return f"{_escaped(program)} ^{arguments[0]}$"
    return (
        " ".join([_escaped(program), *map(_escaped, arguments)]) if arguments else f'{program} ""'
    )


def _escaped(word: str) -> str:
    if re.search(r"[^\S ]|[\x00-\x1f\x7f]", word) or not word:
        raise ValueError(f"sudoers can hold no such word: {word!r}")
    # Of a backslash sudoers(5) takes one, and fnmatch(3) of the rest another.
    return re.sub(r"[*?\[\]!^,:=#\\ ]", lambda c: r"\\\\" if c[0] == "\\" else f"\\{c[0]}", word)


def user_in_sudoers(user: str, uid: int) -> str:
    """A user as sudoers(5) has it, where words in capitals are aliases: else by the number."""
    return user if re.fullmatch(r"[a-z_][A-Za-z0-9._-]*", user) else f"#{uid}"
