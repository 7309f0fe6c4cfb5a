"""Homebrew's state on one Mac: formulae, Cellar, taps, pins and the trust store of Homebrew 6.

Everything is on disk where Homebrew keeps it, so that commands and tests see the same.
lab.commands.brew is the command line over it.
"""

from __future__ import annotations

import os
import sys

from lab.mac import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

OFFICIAL_TAPS = ("homebrew/core", "homebrew/cask")
TRUST_KEYS = {  # the store's key: the name in `brew trust --json=v1`
    "trustedtaps": "taps",
    "trustedformulae": "formulae",
    "trustedcasks": "casks",
    "trustedcommands": "commands",
}


class Formula:
    """What a formula would install, and how it is called."""

    def __init__(
        self,
        name: str,
        version: str,
        binaries: tuple[str, ...] = (),
        dependencies: tuple[str, ...] = (),
        tap: str = "homebrew/core",
        oldnames: tuple[str, ...] = (),
        description: str = "",
    ) -> None:
        self.name = name
        self.version = version
        self.binaries = binaries
        self.dependencies = dependencies
        self.tap = tap
        self.oldnames = oldnames
        self.description = description

    @property
    def full_name(self) -> str:
        return self.name if self.tap == "homebrew/core" else f"{self.tap}/{self.name}"


FORMULAE = {
    formula.name: formula
    for formula in (
        Formula(
            "llama.cpp",
            "0.9.0",  # SemVer since August 2026; 9960 and the like before
            ("llama-server", "llama-cli"),
            ("ggml", "openssl@3"),
            description="LLM inference in C/C++",
        ),
        Formula(
            "llama-swap",
            "250",
            ("llama-swap",),
            tap="mostlygeek/llama-swap",
            description="Model swapping for llama.cpp",
        ),
        Formula("ggml", "0.9.5"),
        Formula("openssl@3", "3.6.0"),
        Formula("hf", "2.4.0", ("hf",), ("python@3.14",), oldnames=("huggingface-cli",)),
        Formula("uv", "0.13.9", ("uv", "uvx")),
        Formula("python@3.13", "3.13.9", ("python3.13",), ("openssl@3",)),
        Formula("python@3.14", "3.14.1", ("python3.14",), ("openssl@3",)),
        # Another one with a program of that name (tabbyml/tabby).
        Formula("tabby", "0.32.0", ("tabby", "llama-server"), tap="tabbyml/tabby"),
        Formula("haproxy", "3.4.5", ("haproxy",), ("openssl@3", "pcre2")),
        Formula("pcre2", "10.47"),
        Formula("aria2", "1.37.0", ("aria2c",)),
        Formula("node", "25.2.1", ("node", "npm")),
    )
}


class BrewError(Exception):
    """Ends the command with `Error: ...` and exit code 1."""


class Homebrew:
    """One prefix and the user's trust store."""

    def __init__(self, mac: Machine) -> None:
        self.mac = mac
        self.prefix = mac.prefix
        self.cellar = self.prefix / "Cellar"
        self.locks: list[TextIO] = []
        self.pins = self.prefix / "var/homebrew/pinned"
        self.taps_folder = self.prefix / "Library/Taps"

    @property
    def version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in str(self.mac.facts["homebrew"]).split("-")[0].split("."))

    # -- formulae

    def find(self, name: str) -> Formula | None:
        """By name, full name or old name, with this Mac's idea of the current version."""
        short = name.rpartition("/")[2]
        for formula in FORMULAE.values():
            if short == formula.name or short in formula.oldnames:
                if "/" in name and name.rpartition("/")[0].lower() != formula.tap:
                    return None
                facts = self.mac.facts
                version = facts["formulae"].get(formula.name, formula.version)
                found = Formula(**(formula.__dict__ | {"version": str(version)}))
                if found.name == "llama.cpp" and facts["fit_params"] is not None:
                    found.binaries = (*found.binaries, "llama-fit-params")
                return found
        return None

    def installed(self) -> dict[str, list[str]]:
        """name: its versions, sorted as `brew list --versions` does."""
        racks = sorted(self.cellar.iterdir()) if self.cellar.is_dir() else []
        found = {rack.name: sorted(keg.name for keg in rack.iterdir()) for rack in racks}
        return {name: versions for name, versions in found.items() if versions}

    def linked(self, name: str) -> str | None:
        link = self.prefix / "opt" / name
        return os.path.basename(os.readlink(link)) if link.is_symlink() else None

    def is_linked(self, formula: Formula) -> bool:
        """Whether its programs are the ones in bin."""
        links = [self.prefix / "bin" / name for name in formula.binaries]
        return self.linked(formula.name) is not None and all(
            link.is_symlink() and f"/Cellar/{formula.name}/" in os.readlink(link) for link in links
        )

    def pour(self, formula: Formula, *, on_request: bool) -> Path:
        """Put a keg in the Cellar and link it in place of what was linked before."""
        import json

        keg = self.cellar / formula.name / formula.version
        (keg / "bin").mkdir(parents=True, exist_ok=True)
        receipt = {"installed_on_request": on_request, "source": {"tap": formula.tap}}
        (keg / "INSTALL_RECEIPT.json").write_text(json.dumps(receipt))
        for name in formula.binaries:
            _write_binary(self.mac, keg / "bin" / name)
        self.unlink(formula.name)
        self.link(formula, overwrite=False)
        return keg

    def link(self, formula: Formula, *, overwrite: bool) -> None:
        """Raises BrewError where something else has a program's name."""
        links = {name: self.prefix / "bin" / name for name in formula.binaries}
        taken = [name for name, link in links.items() if os.path.lexists(link)]
        opt = self.prefix / "opt" / formula.name
        opt.unlink(missing_ok=True)
        opt.symlink_to(f"../Cellar/{formula.name}/{formula.version}")
        if taken and not overwrite:
            raise BrewError(
                "The `brew link` step did not complete successfully\n"
                "The formula built, but is not symlinked into "
                f"{self.prefix}\nCould not symlink bin/{taken[0]}\n"
                f"Target {links[taken[0]]}\nalready exists. You may want to remove it:\n"
                f"  rm '{links[taken[0]]}'\n"
            )
        for name, link in links.items():
            link.unlink(missing_ok=True)
            link.symlink_to(f"../Cellar/{formula.name}/{formula.version}/bin/{name}")

    def unlink(self, name: str) -> int:
        """How many links are gone; that of opt stays."""
        links = [
            link
            for link in (self.prefix / "bin").iterdir()
            if link.is_symlink() and f"/Cellar/{name}/" in os.readlink(link)
        ]
        for link in links:
            link.unlink()
        return len(links)

    def lock(self, name: str) -> None:
        """Until this process ends. Raises BrewError where another one installs the same (Homebrew's
        formula_lock.rb, and OperationInProgressError of its exceptions.rb)."""
        import fcntl

        path = self.prefix / "var/homebrew/locks" / f"{name}.formula.lock"
        path.parent.mkdir(exist_ok=True)
        self.locks.append(path.open("w"))
        try:
            fcntl.flock(self.locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BrewError(
                f"A `brew {' '.join(sys.argv[4:])}` process has already locked {path}.\n"
                "Please wait for it to finish or terminate it to continue."
            ) from None

    def remove_old(self, formula: Formula) -> None:
        """Upgrades leave one keg, as HOMEBREW_NO_INSTALL_CLEANUP is not set on most Macs."""
        import shutil

        for version in self.installed().get(formula.name, []):
            if version != formula.version:
                shutil.rmtree(self.cellar / formula.name / version)

    def uninstall(self, name: str) -> None:
        import shutil

        self.unlink(name)
        shutil.rmtree(self.cellar / name)
        (self.prefix / "opt" / name).unlink(missing_ok=True)
        (self.pins / name).unlink(missing_ok=True)

    def outdated(self, name: str) -> bool:
        formula = self.find(name)
        return formula is not None and formula.version not in self.installed().get(name, [])

    def pinned(self, name: str) -> bool:
        return (self.pins / name).is_symlink()

    # -- taps

    def taps(self) -> list[str]:
        """user/repo, lower case; core and cask are not there in API mode."""
        return sorted(
            f"{user.name}/{repo.name.removeprefix('homebrew-')}".lower()
            for user in self.taps_folder.glob("*")
            for repo in user.glob("homebrew-*")
        )

    def tap_path(self, tap: str) -> Path:
        user, _, repo = tap.lower().partition("/")
        return self.taps_folder / user / f"homebrew-{repo}"

    # -- trust (docs/Tap-Trust.md, Homebrew 6.0)

    @property
    def trust_store(self) -> Path:
        from pathlib import Path

        home = os.environ.get("HOME", str(self.mac.home))
        config = os.environ.get("XDG_CONFIG_HOME")
        return (Path(config, "homebrew") if config else Path(home, ".homebrew")) / "trust.json"

    def trusted(self) -> dict[str, list[str]]:
        """The store, complete."""
        import json

        stored = json.loads(self.trust_store.read_text()) if self.trust_store.exists() else {}
        return {key: sorted(stored.get(key, [])) for key in TRUST_KEYS}

    def trust(self, key: str, name: str, *, wanted: bool) -> bool:
        """Add or remove an entry; whether that changed anything."""
        import json

        store = self.trust_store
        folder = store.parent
        if folder.exists() and folder.stat().st_mode & 0o022:
            raise BrewError(f"Refusing to write insecure trust store: {store}")
        entries = self.trusted()
        if (name in entries[key]) == wanted:
            return False
        (entries[key].append if wanted else entries[key].remove)(name)
        folder.mkdir(parents=True, exist_ok=True)
        draft = store.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(entries, indent=2) + "\n")
        draft.replace(store)
        return True

    def is_trusted(self, formula: Formula) -> bool:
        if formula.tap in OFFICIAL_TAPS or self.version < (6,):
            return True
        if os.environ.get("HOMEBREW_NO_REQUIRE_TAP_TRUST"):
            return True
        entries = self.trusted()
        return (
            formula.tap in entries["trustedtaps"] or formula.full_name in entries["trustedformulae"]
        )


def _write_binary(mac: Machine, path: Path) -> None:
    """The program of a formula: the lab's own, the workstation's, or a placeholder."""
    import shlex
    import subprocess
    from pathlib import Path

    venv = Path(sys.executable).parent
    project = Path(__file__).parents[1]
    if path.name == "llama-server":
        call = f"lab.llama_server.write_wrapper(path, {mac.facts['llama_server']!r})"
    elif path.name == "llama-fit-params":
        call = f"lab.fit_params.write_wrapper(path, {mac.facts['fit_params']!r})"
    elif path.name == "llama-swap":
        call = "lab.llama_swap.write_wrapper(path)"
    elif path.name == "haproxy":
        call = "lab.haproxy.write_wrapper(path)"
    elif path.name.startswith("python3"):
        # The workstation's interpreter, whatever its version: `uv venv --python` must work.
        path.symlink_to(os.path.realpath(sys.executable))
        # What bin/python3 of a framework build starts, and ps and the firewall see (Python's own
        # Mac/README.rst; pythonw.c).
        version = path.name.removeprefix("python")
        app = path.parents[1] / "Frameworks/Python.framework/Versions" / version / "Resources"
        (app / "Python.app/Contents/MacOS").mkdir(parents=True)
        (app / "Python.app/Contents/MacOS/Python").symlink_to(path)
        return
    elif (venv / path.name).exists():
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(str(venv / path.name))} "$@"\n')
        path.chmod(0o755)
        return
    else:
        path.write_text(f"#!/bin/sh\necho '{path.name}: not in this simulation' >&2\nexit 70\n")
        path.chmod(0o755)
        return
    # In a process of its own: those modules may need packages, and brew runs without any.
    module = call.split(".write_wrapper")[0]
    code = f"import sys, pathlib, {module}; path = pathlib.Path(sys.argv[1]); {call}"
    environment = os.environ | {"PYTHONPATH": str(project)}
    subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=True)
