"""llama-swap's configuration."""

from herd.deploys.desired import desired
from herd.deploys.step import step
from herd.operations import files, llama_swap, releases


@step("llama-swap")
def configure() -> None:
    """After the packages and the models, as it names their programs and files."""
    want = desired()
    if not want.settings.serves:
        return
    if saved := want.layout.slot_directories:
        files.directories(name="Have the directories of saved slots", paths=saved)
    if want.settings.releases:
        releases.switched(
            name="Switch to the pinned releases",
            layout=want.layout,
            files=want.models,
            forward=want.settings.homebrew_upgrade,
        )
    llama_swap.config(
        name="Write config.yaml",
        layout=want.layout,
        files=want.models,
    )
