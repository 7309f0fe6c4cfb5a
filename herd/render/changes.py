"""What a deploy would write otherwise than at another commit, host by host.

That commit's files are made by the toolkit of then, in a directory of their own: a change of a
template or of the toolkit shows as well as one of a setting.
"""

import difflib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from herd.render.rendering import MANIFEST
from herd.workstation import toolkit
from herd.workstation.herd_directory import directory
from herd.workstation.toolkit import ROOT
from herd.workstation.typed_commands import command

# Digests follow from what changed, and differ from host to host.
_DIGEST = re.compile(r"\b[0-9a-f]{16}\b")
_WORD = re.compile(r"\w+|\W")
_RELEASE = re.compile(r"/proxy/(release-[0-9a-f]{16})/")


def compare(inventory: str, base: str) -> str:
    """The change of each host, those with the same change together.

    Raises ValueError, in words, when there is no such commit, or it cannot be rendered.
    """
    own = directory(inventory)
    wanted = f"{base}^{{commit}}"
    found = _git(own, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
    if not (commit := found.decode().strip()):
        last = command("render-diff", BASE="HEAD")
        known = _git(own, "rev-parse", "--verify", "--quiet", "HEAD")
        mend = f"fetch it, or name another, as `{last}`" if known else "there is none here yet"
        raise ValueError(f"git knows no commit {base!r}; {mend}")
    called = f"{base} ({commit[:12]})"
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        code, there = _as_of(commit, own, Path(folder, "project"), Path(folder, "toolkit"))
        _render(code, there / Path(inventory).name, before, called)
        _render(ROOT, Path(inventory).absolute(), after, "what is here")
        return _told(_hosts(before), _hosts(after), called)


def _as_of(commit: str, own: Path, project: Path, code: Path) -> tuple[Path, Path]:
    """The toolkit and the herd's directory as they were at a commit of the herd's repository.

    A toolkit that is in that repository is of that commit, too; one in another is the one that was
    pinned then, if its repository is here; else it is the one that runs now.
    """
    top = Path(_git(own, "rev-parse", "--show-toplevel").decode().removesuffix("\n")).resolve()
    inside = own.resolve().relative_to(top)
    if _has(top, commit, ROOT.resolve()):
        _unpack(_git(top, "archive", commit), project)
        return project / ROOT.resolve().relative_to(top), project / inside
    tree = f"{commit}:{inside.as_posix()}" if inside.parts else commit
    _unpack(toolkit.git(top, "archive", tree), project)
    pinned = toolkit.pinned(project)
    if pinned and toolkit.is_checkout():
        _unpack(toolkit.git(ROOT, "archive", f"{pinned}^{{commit}}"), code)
    return code if code.is_dir() else ROOT, project


def _has(top: Path, commit: str, code: Path) -> bool:
    """Whether a toolkit was in the repository, and not beside what is in it, as in its .venv."""
    if not code.is_relative_to(top):
        return False
    return bool(_git(top, "ls-tree", commit, "--", str(code.relative_to(top) / "herd")))


def _unpack(archive: bytes, into: Path) -> None:
    if archive:
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            tar.extractall(into, filter="data")


def _git(directory: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(["git", *words], cwd=directory, capture_output=True, check=False)
    except OSError as error:
        raise ValueError(f"git cannot be run: {error.strerror}") from None
    if done.returncode and done.stderr:
        raise ValueError(f"git: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _render(code: Path, inventory: Path, out: Path, what: str) -> None:
    if not inventory.is_file():
        out.mkdir()  # no host yet
        return
    done = subprocess.run(
        [sys.executable, "-m", "herd", "render", "--inventory", inventory.name, "--out", str(out)],
        cwd=inventory.parent,
        env=os.environ | {"PYTHONPATH": str(code.resolve()), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise ValueError("\n".join([f"{what} cannot be rendered:", *said[-40:]]))


def _hosts(rendered: Path) -> dict[str, Path]:
    return {path.parent.name: path.parent for path in sorted(rendered.glob(f"*/{MANIFEST}"))}


def _told(before: Mapping[str, Path], after: Mapping[str, Path], base: str) -> str:
    groups: dict[str, list[str]] = {}
    shown: dict[str, str] = {}
    for host in sorted(before.keys() | after.keys()):
        old, new = _files(before.get(host)), _files(after.get(host))
        key = f"{(host in before, host in after)}\n{_sign(old, new)}"
        groups.setdefault(key, []).append(host)
        if key not in shown:
            shown[key] = "\n".join(_difference(old, new))
    told = []
    for key, hosts in groups.items():
        if not shown[key]:
            continue
        what = "changed"
        if key.startswith("(False"):
            what = "new"
        elif key.startswith("(True, False"):
            what = "gone"
        count = f"{len(hosts)} host{'' if len(hosts) == 1 else 's'}"
        told.append(f"== {what} on {count}: {', '.join(hosts)}\n\n{shown[key]}\n")
    same = sum(len(hosts) for key, hosts in groups.items() if not shown[key])
    return "\n".join(
        [*told, f"against {base}: {same} of {len(before.keys() | after.keys())} hosts as they were"]
    )


def _files(host: Path | None) -> dict[str, list[str]]:
    """The lines of each file by a path that all hosts share: "~" for the home directory."""
    if host is None:
        return {}
    manifest = (host / MANIFEST).read_text(encoding="utf-8")
    home = re.search(r"^home (.*)$", manifest, re.MULTILINE)
    found = {}
    for path in sorted(host.rglob("*")):
        if path.is_file() and not path.is_symlink():
            name = "/" + str(path.relative_to(host))
            content = path.read_bytes()
            text = content.decode(errors="replace")
            if b"\0" in content:
                text = f"a program, SHA-256 {sha256(content).hexdigest()[:16]}"
            if home:
                name, text = (_at_home(part, home[1]) for part in (name, text))
            if name == f"/{MANIFEST}":
                name, text = MANIFEST, _modes(text)
            found[_RELEASE.sub("/proxy/release/", name)] = text.splitlines()
    return found


def _at_home(text: str, home: str) -> str:
    return re.sub(rf"{re.escape(home)}(?=/|$)", "~", text, flags=re.MULTILINE)


def _modes(manifest: str) -> str:
    """Without the name of the host, and the checksums of files that are compared themselves."""
    rows = [re.sub(r"^(\d{3}) [0-9a-f]{16} ", r"\1 ", row) for row in manifest.splitlines()]
    return "\n".join(_RELEASE.sub("/proxy/release/", row) for row in rows if row[:5] != "host ")


def _sign(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> str:
    """Tells one change from another: the words that change, by file. What else stands on a line
    may differ from host to host, and so do digests, which follow from it."""
    found: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path, []), after.get(path, [])
        if old == new:
            continue
        found.append(path)
        lines = difflib.SequenceMatcher(None, old, new, autojunk=False)
        for tag, a, b, c, d in lines.get_opcodes():
            if tag != "equal":
                found += _changed(
                    _WORD.findall("\n".join(old[a:b])), _WORD.findall("\n".join(new[c:d]))
                )
    return _DIGEST.sub("DIGEST", "\n".join(found))


def _changed(old: list[str], new: list[str]) -> Iterator[str]:
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield f"-{''.join(old[a:b])}\n+{''.join(new[c:d])}"


def _difference(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> list[str]:
    lines: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old != new:
            names = (path if old is not None else "nothing", path if new is not None else "nothing")
            lines += difflib.unified_diff(old or [], new or [], *names, lineterm="")
    return lines
