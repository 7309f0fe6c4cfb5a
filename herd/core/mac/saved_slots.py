"""What of the models' prompt caches outlives a restart: those with `slot_save_path`, by
llama-server's own `POST /slots/N?action=save` and `restore` (tools/server/README.md)."""

from collections.abc import Iterator
from urllib.parse import quote

from herd.core.mac.layout import Layout
from herd.core.text.quoting import yaml_quote

MOST = 16 << 20
"""KiB of all saved caches of a Mac together: that of a long conversation has some GiB."""


def models(layout: Layout) -> Iterator[str]:
    """Of each model, as scripts/change/slots-save.sh and slots-restore.sh take them, its name, that
    in a path, the line of config.yaml with which it begins, and its directory."""
    for name, model in layout.settings.models.items():
        if model.slot_save_path:
            directory = str(layout.at_home(model).slot_save_path)
            # templates/config.yaml.j2
            heading = f"  {yaml_quote(name)}:"
            yield from (name, quote(name), heading, directory)
