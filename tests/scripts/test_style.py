"""All scripts are sh as macOS has it: bash 3.2 in POSIX mode, and BSD's tools."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from herd.core import scripts
from tests.core.samples import ROOT

# Where the systems differ, and what is asked of Linux only.
APART = ("gnu-or-bsd", "holders", "unit", "linux")
FILES = sorted((ROOT / "herd" / "scripts").glob("*/*.sh"))

# What a stock Mac does not have, or what only GNU's tools understand (macos.md, section 4).
FOREIGN = {
    "a command that macOS lacks": (
        r"(?<![\w-])(timeout|setfacl|flock|getent|nproc|wget|sha256sum|md5sum)\b"
    ),
    "/proc": r"/proc/",
    "GNU's stat": r"\bstat (-c|--)",
    "GNU's sed -i": r"\bsed -i",
    "GNU's date -d": r"\bdate (-d|--date)",
    "GNU's find -printf": r"-printf|-readable|-size \+?\d+[MG]",
    "GNU's xargs -r": r"\bxargs -r",
    "GNU's du -b": r"\bdu -b|--apparent-size",
    "GNU's ps": r"\bps [^|\n]*--",
    "a mktemp that BSD reads otherwise": r"\bmktemp (?!-t |-d)",
    "a bash 4 or a non-POSIX word": (
        r"\[\[|\bmapfile\b|(?<![/.])\blocal\b|\bdeclare\b|<<<|\$\{\w+,,|<\("
    ),
    "echo with options or escapes": r"\becho -[en]\b|\becho '[^']*\\[nt]",
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_script_uses_nothing_that_macos_lacks(file: Path) -> None:
    text = scripts.text(file.stem)
    for apart in APART:
        text = text.replace(scripts.text(apart), "")
    # One that a script asks for first, it can do without.
    asked = "|".join(re.findall(r"command -v (\w+) >", text)) or "(?!)"
    text = re.sub(rf"\b({asked})\b", "", text)
    found = [what for what, pattern in FOREIGN.items() if re.search(pattern, text)]

    assert found == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_script_says_what_it_is_for_and_how_it_is_called(file: Path) -> None:
    text = file.read_text()

    assert text.startswith("# ")
    assert f"usage: {file.name}" in text


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_this_mac_is_asked_directly_whatever_proxy_its_user_has(file: Path) -> None:
    """A shell's start-up file may export http_proxy, and it would hear of every key; ~/.curlrc may
    have curl print what nobody here expects."""
    asked = [line for line in scripts.text(file.stem).splitlines() if re.search(r"\bcurl -", line)]

    far = [line for line in asked if "curl -q --noproxy '*' " not in line]
    assert bool(far) == (file.stem in ("install-homebrew", "release")), far


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_script_is_well_formed_without_its_comments(file: Path, shell: str) -> None:
    """It is sent without the lines that begin with #, so none of those may belong to a text."""
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here")
    done = subprocess.run(
        [shell, "-n"], input=scripts.text(file.stem), text=True, capture_output=True
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.parent.name != "shared"], ids=lambda file: file.stem
)
def test_shellcheck_finds_nothing(file: Path) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not here; CI's Linux has it")
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "--severity=warning", "-"],
        input=scripts.text(file.stem),  # whole, as it is sent
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout
