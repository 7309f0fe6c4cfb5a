"""A repository for a herd of one's own: the files of skeleton/, and a pin of this toolkit.

What is written once is its owner's from then on: nothing here ever changes or merges a file.
"""

import re
import subprocess
from pathlib import Path

from herd.core.text.harmless import harmless
from herd.workstation import toolkit
from herd.workstation.toolkit import PIN, ROOT

_SKELETON = ROOT / "skeleton"
# Whatever else make, a shell or a tool of theirs would read in some way of its own.
_PLAIN = re.compile(r"[\w./+,@ -]+")
_SHOWN = 10


def init(typed: str) -> bool:
    """Have such a repository in a directory; True also when it was there already.

    Raises ValueError, in words, when there cannot be one.
    """
    directory = _checked(typed)
    files = {PIN: _pin()}
    for file in sorted(_SKELETON.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            files[file.relative_to(_SKELETON).as_posix()] = file.read_text(encoding="utf-8")
    if all((directory / name).is_file() for name in files):
        print(f"{directory} is a repository of a herd already; nothing was changed")
        return True
    if there := _others(directory, files):
        shown = ", ".join(map(harmless, there[:_SHOWN]))
        more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
        raise ValueError(
            f"{directory} is not empty, so nothing was written: there is {shown}{more}.\n"
            "Name a directory that is empty or not there yet, and move what you keep into it."
        )
    try:
        for name, text in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be written: {error.strerror}") from None
    begun = _begin(directory)
    print(f"{directory} has {', '.join(sorted(files))}{begun}.")
    if "git+file:" in files[PIN]:
        print(f"{PIN} names this machine's copy of the toolkit: put the address there from which")
        print("others, and the forge, can have it.")
    print("Next: its README.md")
    return True


def _checked(typed: str) -> Path:
    """A directory to write into. Raises ValueError with the one thing that is wrong."""
    shown = harmless(typed)
    if not _PLAIN.fullmatch(typed) or typed.startswith("-") or typed != typed.strip():
        raise ValueError(
            f"{shown!r} is no name for a directory that make and shells leave as it is: "
            "of signs, have only . / _ - + , @ and blanks in it"
        )
    directory = Path(typed)
    if not directory.parent.is_dir():
        raise ValueError(f"there is no directory {directory.parent}; make it first, or mend DIR")
    if directory.is_symlink() and not directory.exists():
        raise ValueError(f"{directory} is a link to nothing; remove it, or name another")
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"{directory} is a file; name a directory")
    if directory.resolve().is_relative_to(ROOT.resolve()):
        raise ValueError(
            f"{directory} is inside the toolkit, {ROOT.resolve()}, which would then be yours to "
            "merge; name one beside it, as ../fleet"
        )
    return directory


def _others(directory: Path, files: dict[str, str], below: str = "") -> list[str]:
    """What is there and is not what would be written, as far as it was cut off once."""
    found: list[str] = []
    for path in sorted((directory / below).iterdir()) if directory.is_dir() else ():
        name = f"{below}{path.name}"
        if name == ".git":
            continue
        if path.is_dir() and not path.is_symlink() and any(n.startswith(f"{name}/") for n in files):
            found += _others(directory, files, f"{name}/")
        elif (
            name not in files
            or not path.is_file()
            or path.is_symlink()
            or path.read_bytes() != files[name].encode()
        ):
            found.append(name)
    return found


def _pin() -> str:
    return (
        "# The toolkit that this herd is for. To upgrade, name another version and install it;\n"
        f"# nothing of it is merged into what is here.\n{toolkit.requirement()}\n"
    )


def _begin(directory: Path) -> str:
    """Have git keep it, unless a repository around it does, or there is no git."""
    if toolkit.git(directory, "rev-parse", "--git-dir"):
        return ""
    try:
        git = ["git", "init", "--quiet", "--initial-branch=main"]
        done = subprocess.run(git, cwd=directory, capture_output=True, check=False)
    except OSError:
        return "; git is not here to keep them"
    return "" if done.returncode else ", in a git repository"
