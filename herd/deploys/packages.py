"""Homebrew, and what it brings."""

from herd.deploys.desired import desired
from herd.deploys.step import step
from herd.operations import brew


@step("Packages")
def install() -> None:
    """Missing ones are installed; the others stay in the version that they have."""
    want = desired()
    settings = want.settings
    brew.homebrew(
        name="Install Homebrew",
        prefix=settings.homebrew_prefix,
        installer=settings.homebrew_installer,
    )
    brew.formulae(
        name="Install llama.cpp, llama-swap, hf, uv and Python",
        names=want.formulae,
        prefix=settings.homebrew_prefix,
    )
    if settings.homebrew_upgrade:
        brew.current(
            name="Upgrade what is outdated", names=want.formulae, prefix=settings.homebrew_prefix
        )
