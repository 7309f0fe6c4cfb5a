"""What models have read of prompts is saved before a restart, and read again behind it."""

from collections.abc import Iterator

from pyinfra.api import StringCommand

from herd.core.mac import saved_slots
from herd.core.mac.layout import Layout
from herd.facts.files import Says
from herd.facts.gathered import Question
from herd.operations.commands import shown


def save(layout: Layout) -> Iterator[StringCommand]:
    """Commands, none where no model may; they never fail."""
    if models := list(saved_slots.models(layout)):
        yield shown("slots-save", *_where(layout), saved_slots.MOST, *models)


def restore(layout: Layout) -> Iterator[StringCommand]:
    """Commands that have the models read it again, or remove it; they never fail."""
    if models := list(saved_slots.models(layout)):
        yield shown("slots-restore", *_where(layout), *models)


def are_saved(layout: Layout) -> Question:
    """Whether something is; a run that was killed may have left it so."""
    return Question(Says, path=layout.saved_slots, text="saved")


def _where(layout: Layout) -> tuple[object, ...]:
    settings = layout.settings
    patience = settings.llama_swap_health_timeout + 30
    return layout.root, settings.llama_swap_port, layout.swap_key, patience
