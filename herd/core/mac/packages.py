"""Whether Homebrew's bin has the programs of our formulae, and who may install there."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from herd.core.mac.mac import Folder
from herd.core.settings.problems import Problem
from herd.core.text.quoting import shell_quote

# What we run of each formula.
_PROGRAMS = {"llama.cpp": "llama-server"}
# What a formula was called before: Homebrew takes one for the other.
_ONCE = {"hf": "huggingface-cli"}


def program_of(formula: str) -> str:
    """The program by which a formula's short name is known: "python3.13" of "python@3.13"."""
    return _PROGRAMS.get(formula, formula.replace("@", ""))


@dataclass(frozen=True)
class Link:
    """One entry of Homebrew's bin: where its link points, "" for a file that is no link; `whole`
    when something is there."""

    target: str
    whole: bool = True

    @property
    def formula(self) -> str | None:
        """Whose it is; None when it is none of Homebrew's."""
        match = re.search(r"(?:^|/)Cellar/([^/]+)/", self.target)
        return match[1] if match else None


@dataclass(frozen=True)
class Programs:
    """`links` are entries of Homebrew's bin by name; `groups` the gids of the user who asked, and
    `folders` what an installation writes to."""

    links: Mapping[str, Link]
    groups: frozenset[int] = frozenset()
    folders: tuple[Folder, ...] = ()

    def closed_to(self, uid: int) -> Folder | None:
        """The first folder that this user may not write to."""
        return next((f for f in self.folders if not f.is_writable(uid, self.groups)), None)


def problems(
    formulae: Iterable[str],
    installed: Mapping[str, str],
    there: Programs,
    *,
    prefix: str,
    uid: int,
    upgrade: bool = False,
) -> Iterator[Problem]:
    """What keeps formulae from being installed (and upgraded) and run. `formulae` are short names,
    `installed` maps those of the Cellar to versions."""
    names = list(formulae)
    for name in names:
        if wrong := _wrong(name, installed.get(name), there, prefix):
            yield Problem(f"package {name}", *wrong, kind="mac")
    missing = [name for name in names if upgrade or name not in installed]
    folder = there.closed_to(uid) if missing else None
    if folder:
        yield _closed(folder, missing, prefix)


def _wrong(name: str, version: str | None, there: Programs, prefix: str) -> tuple[str, str] | None:
    program = program_of(name)
    path, link = f"{prefix}/bin/{program}", there.links.get(program)
    own = link is not None and link.formula in (name, _ONCE.get(name, name))
    if version is None:
        if link is None or own:
            return None
        if link.formula is None:
            what = f"{path} is in its way, which is no program of Homebrew's"
            return f"{what}{_pointing(link)}.", f"move {path} away on the Mac, then deploy again."
        fix = f"run `brew unlink {shell_quote(link.formula)}` on the Mac, then deploy again."
        return f"{path} is that of {link.formula}, and in its way.", fix
    # Somebody's own build in its place is meant to be there: it is asked for its flags, too.
    if link and link.whole and (own or link.formula is None):
        return None
    what = f"{name} {version} is installed and not linked"
    if link and link.formula and not own:
        what += f": {path} is that of {link.formula}, which takes other flags"
    return f"{what}.", f"run `brew link --overwrite {shell_quote(name)}` on the Mac."


def _pointing(link: Link) -> str:
    return f" (it leads to {link.target})" if link.target else ""


def _closed(folder: Folder, missing: Sequence[str], prefix: str) -> Problem:
    return Problem(
        "Homebrew",
        f"{folder.path} belongs to {folder.owner}, so this user cannot install what is missing: "
        f"{', '.join(missing)}.",
        f"have {folder.owner} run `brew install {' '.join(missing)}`, set ssh_user to "
        f'{folder.owner}, or give it away: `sudo chown -R "$(whoami)" {shell_quote(prefix)}`.',
        kind="mac",
    )
