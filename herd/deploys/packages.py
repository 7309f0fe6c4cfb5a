"""Homebrew, and what it brings; pinned releases; on Linux apt's."""

from herd.core.mac.layout import Layout
from herd.deploys.desired import desired
from herd.deploys.step import step
from herd.operations import brew, linux, releases

SERVING = ("llama.cpp", "mostlygeek/llama-swap/llama-swap", "hf")


def formulae_of(layout: Layout) -> list[str]:
    """Everything that Homebrew shall bring: what is pinned comes from elsewhere."""
    settings = layout.settings
    serving = SERVING if settings.serves else ()
    ours = (name for name in serving if name.rpartition("/")[2] not in settings.releases)
    gateway = ["haproxy"] if layout.gateway else []
    return [*ours, "uv", settings.proxy_python, *gateway]


@step("Packages")
def install() -> None:
    """Missing ones are installed; the others stay in the version that they have."""
    want = desired()
    settings = want.settings
    if want.layout.is_linux:
        linux.packages(
            name="Install HAProxy and Python's environments", noted=want.layout.installed_packages
        )
        linux.lingering(name="Have its services outlive logins")
        return
    formulae = formulae_of(want.layout)
    brew.homebrew(
        name="Install Homebrew",
        prefix=settings.homebrew_prefix,
        installer=settings.homebrew_installer,
    )
    if settings.serves:
        brew.formulae(
            name="Install llama.cpp, llama-swap, hf, uv and Python",
            names=formulae,
            prefix=settings.homebrew_prefix,
            noted=want.layout.installed_packages,
        )
    else:
        brew.formulae(
            name="Install HAProxy, uv and Python",
            names=formulae,
            prefix=settings.homebrew_prefix,
            noted=want.layout.installed_packages,
        )
    if settings.serves and settings.releases:
        releases.installed(name="Have the pinned releases", layout=desired().layout)
    if settings.homebrew_upgrade:
        brew.current(
            name="Upgrade what is outdated", names=formulae, prefix=settings.homebrew_prefix
        )
