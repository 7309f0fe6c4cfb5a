"""What a deploy would write otherwise than at another commit, host by host.

That commit's files are made by its own code, in a directory of their own: a change of a template
or of the toolkit shows as well as one of a setting.
"""

import difflib
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

# Digests follow from what changed, and differ from host to host.
_DIGEST = re.compile(r"\b[0-9a-f]{16}\b")
_WORD = re.compile(r"\w+|\W")
_RELEASE = re.compile(r"/proxy/(release-[0-9a-f]{16})/")


def compare(inventory: str, base: str) -> str:
    """The change of each host, those with the same change together.

    Raises ValueError, in words, when there is no such commit, or it cannot be rendered.
    """
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    if not (name := commit.decode().strip()):
        raise ValueError(f"git knows no commit {base!r}; say BASE=main, or fetch it")
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        there = Path(folder, "project")
        inside = _git("rev-parse", "--show-prefix").decode().strip()
        with tarfile.open(fileobj=BytesIO(_git("archive", name))) as tar:
            tar.extractall(there, filter="data")
        project = there / inside if (there / inside).is_dir() else there
        _render(project, inventory, before, f"{base} ({name[:12]})")
        _render(Path(), inventory, after, "what is here")
        return _told(_hosts(before), _hosts(after), f"{base} ({name[:12]})")


def _git(*words: str) -> bytes:
    try:
        done = subprocess.run(["git", *words], capture_output=True, check=False)
    except OSError as error:
        raise ValueError(f"git cannot be run: {error.strerror}") from None
    if done.returncode and done.stderr:
        raise ValueError(f"git: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _render(project: Path, inventory: str, out: Path, what: str) -> None:
    if not (project / inventory).is_file():
        out.mkdir()  # no host yet
        return
    command = [sys.executable, "-m", "herd", "render"]
    done = subprocess.run(
        [*command, "--inventory", inventory, "--out", str(out)],
        cwd=project,
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
