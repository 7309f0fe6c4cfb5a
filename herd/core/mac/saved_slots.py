"""What of the models' prompt caches outlives a restart: those with `slot_save_path`, by
llama-server's own `POST /slots/N?action=save` and `restore` (tools/server/README.md)."""

from collections.abc import Iterator
from urllib.parse import quote

from herd.core.mac.launchd import digest_of
from herd.core.mac.layout import Layout

MOST = 16 << 20
"""KiB of all saved caches of a Mac together: that of a long conversation has some GiB."""


def to_save(layout: Layout) -> Iterator[str]:
    """Of each model its name, directory and mark, as scripts/change/slots-save.sh takes them."""
    for name, directory, mark in _kept(layout):
        yield from (name, directory, mark)


def to_restore(layout: Layout) -> Iterator[str]:
    """The same for slots-restore.sh, with the model as it stands in a path."""
    for name, directory, mark in _kept(layout):
        yield from (quote(name), directory, mark)


def _kept(layout: Layout) -> Iterator[tuple[str, str, str]]:
    for name, model in layout.settings.models.items():
        if model.slot_save_path:
            # Of the model as it is declared: with other settings it has another cache.
            mark = digest_of(model.model_dump(mode="json"), {})
            yield name, str(layout.at_home(model).slot_save_path), mark
