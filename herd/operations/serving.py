"""The stack serves: what is to be loaded has answered, each in its own way, to those with a key."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand

from herd.core.mac.endpoints import llama_swap, local_proxy
from herd.core.mac.job_definitions import LLAMA_SWAP, PROXY
from herd.core.mac.layout import Layout
from herd.core.mac.questions import question
from herd.core.models.missing_files import Resolved
from herd.core.models.tasks import task_of
from herd.core.settings.schema import Model, Settings
from herd.core.text.secret import key_options
from herd.facts.answers import Answers
from herd.facts.files import Says
from herd.facts.gathered import Question
from herd.facts.listeners import Listeners
from herd.facts.proxy import Availability
from herd.operations import slots
from herd.operations.commands import Commands, operation, shown
from herd.operations.last_good import guarded, is_drained, undrain
from herd.operations.stack import linked
from herd.workstation.api_keys import Held


def _asks(
    layout: Layout, held: Any, *, pin: str, models: Sequence[Resolved], prove: bool = False
) -> Iterator[Question]:
    stdin = key_options(held.unmask().secret)
    yield linked(layout, LLAMA_SWAP)
    yield Question(Answers, layout=layout, pin=pin, _stdin=stdin)
    yield is_drained(layout.availability)
    yield slots.are_saved(layout)


@operation(asks=_asks, changes=[Answers, Availability, Listeners, Says])
def serves(
    layout: Layout, held: Any, *, pin: str, models: Sequence[Resolved], prove: bool = False
) -> Commands:
    """
    Wait, within a limit, until the stack serves its models to those with a key only, and those
    that are to be loaded have answered, each in its own way. A Mac that was drained for a change
    takes requests again once a model has answered, and those that saved what they had read of
    prompts have it again.

    + layout: where the stack lives, and its settings
    + held: a `Held` of `herd.workstation.api_keys` in a HiddenValue; its key goes to stdin, and
      without one no request with a key is tried
    + pin: of the proxy's certificate, by `herd.workstation.certificate_files.pin`
    + models: their files, which tell what they do
    + prove: whether of a build that has not answered yet one model is asked, if none is anyway
    """
    settings = layout.settings
    of = {each.name: each for each in models}
    loaded = [settings.models[name] for name in settings.preload]
    key: Held = held.unmask()
    drained = is_drained(layout.availability).ask(host)
    proof = [] if loaded or not (prove or drained) else [_easiest(settings, key)]
    stdin = key_options(key.secret)
    if host.state.is_executing:
        for line in _skipped(settings.preload, key):
            host.log(line)

    def marks() -> dict[str, str]:
        build = linked(layout, LLAMA_SWAP).ask(host) if loaded or proof else {}
        asked = {model.name: _mark(model, of[model.name], build) for model in loaded}
        return asked | dict.fromkeys(proof, f"build-{_digest(dict(build))}")

    def complaint() -> str | None:
        served = host.get_fact(Answers, layout=layout, pin=pin, _stdin=stdin)
        return served.complaint(settings.models, marks(), stay_loaded=settings.preload)

    saved = slots.are_saved(layout).ask(host)
    if not (drained or saved or complaint()):
        host.noop("the stack serves")
        return
    yield from guarded(
        layout,
        _proven(
            shown(
                "verify",
                *(settings.verify_timeout, settings.llama_swap_health_timeout + 30),
                *(local_proxy(settings), pin, layout.root),
                *(
                    settings.llama_swap_port,
                    layout.swap_key,
                    layout.log(LLAMA_SWAP),
                    layout.log(PROXY),
                ),
                *_questions(settings, of, marks(), key),
                _stdin=stdin,
            ),
            complaint,
        ),
    )
    if saved:
        yield from slots.restore(layout)
    if drained:
        yield undrain(layout, layout.availability)


def _let_in_asks(layout: Layout) -> Iterator[Question]:
    yield is_drained(layout.availability)
    yield slots.are_saved(layout)


@operation(asks=_let_in_asks, changes=[Availability, Says])
def let_in(layout: Layout) -> Commands:
    """
    Take requests again where nothing need serve: who runs the stack by hand may have it drained.

    + layout: where the stack lives
    """
    drained, saved = (
        question.ask(host)
        for question in (is_drained(layout.availability), slots.are_saved(layout))
    )
    if not (drained or saved):
        host.noop("it is not drained")
        return
    if saved:
        yield from slots.restore(layout)
    if drained:
        yield undrain(layout, layout.availability)


def _proven(waiting: StringCommand, complaint: Callable[[], str | None]) -> Commands:
    yield waiting
    # The wait cannot read JSON; what came of it can be seen as before.
    if wrong := complaint():
        yield StringCommand("printf '%s\\n'", QuoteString(wrong), ">&2; exit 1")


def _skipped(models: Sequence[str], key: Held) -> list[str]:
    """What is not tried, and why."""
    if key.secret is None:
        return [f"skipped: requests with a key; {key.lacking}"]
    closed = [model for model in models if not key.may_use(model)]
    return (
        [f"skipped: {', '.join(closed)} with a key, as this one may not use it"] if closed else []
    )


def _easiest(settings: Settings, key: Held) -> str:
    """The first model, of those that the key opens if there are any."""
    return next(filter(key.may_use, settings.models), next(iter(settings.models)))


def _mark(model: Model, files: Resolved, build: Mapping[str, str]) -> str:
    """Names a model as it is now: what may change whether it answers gives it another mark."""
    return _digest(
        [model.model_dump(mode="json"), files.version, task_of(model, files), dict(build)]
    )


def _digest(said: Any) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _questions(
    settings: Settings, files: Mapping[str, Resolved], marks: Mapping[str, str], key: Held
) -> list[str]:
    """For scripts/look/verify.sh. A model that the key does not open must be loaded, too."""
    words = []
    for name, mark in marks.items():
        url = local_proxy(settings) if key.may_use(name) else llama_swap(settings)
        task = task_of(settings.models[name], files[name])
        asked = question(task, name, "Hi", max_tokens=1)
        words += [name, mark, url, asked.path, asked.body, asked.holds]
    return words
