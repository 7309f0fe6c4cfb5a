"""The whole command line of a model's llama-server: its settings, its files, what it does."""

from herd.core.mac import llama_server_flags, part_flags
from herd.core.mac.layout import Layout
from herd.core.mac.llama_server_flags import Flags
from herd.core.models.missing_files import Resolved
from herd.core.models.tasks import task_of
from herd.core.settings.schema import Model


def arguments(layout: Layout, model: Model, files: Resolved, flags: Flags) -> list[list[str]]:
    """Groups that belong on a line each, with absolute paths, in flags that this build knows."""
    extra = part_flags.with_paths(model.extra_args, files.parts, layout.models)
    further = [
        *part_flags.part_arguments(model, files.parts, layout.models, flags),
        part_flags.task_arguments(task_of(model, files), flags, extra),
    ]
    path = f"{layout.model_directory(model)}/{files.first}"
    placed = layout.at_home(model).model_copy(update={"extra_args": extra})
    return llama_server_flags.arguments(placed, path, flags, further)
