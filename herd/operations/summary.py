"""Says at the end what a person wants to know of a host; it changes nothing."""

from collections.abc import Iterator, Sequence

from pyinfra import host, logger

from herd.core.mac.boot import after_restart
from herd.core.mac.endpoints import public_gateway, public_proxy
from herd.core.mac.layout import Layout
from herd.core.mac.mac import Identity, sleeps
from herd.core.mac.questions import question
from herd.core.models.missing_files import Resolved, Undeclared, repositories, undeclared
from herd.core.models.tasks import CHAT, COMPLETION, SPEECH, task_of
from herd.core.settings.release import version_of
from herd.core.settings.schema import Settings
from herd.core.text.quoting import shell_quote
from herd.core.text.units import gib
from herd.facts.boot import AtStart
from herd.facts.gathered import Question
from herd.facts.mac import Mac
from herd.facts.models import Models
from herd.facts.programs import Linked
from herd.facts.proxy import Availability
from herd.operations.commands import Commands, changed_so_far, operation


def programs(layout: Layout) -> list[str]:
    """Those whose versions a person wants to know."""
    serving = ["llama-server", "llama-swap"] if layout.settings.serves else []
    return [*serving, "haproxy"] if layout.gateway else serving


def _show_asks(
    layout: Layout, *, address: str, models: Sequence[Resolved], keys: Sequence[str]
) -> Iterator[Question]:
    yield Question(Linked, links=layout.version_links(programs(layout)))
    yield Question(Models, directory=layout.models)
    yield Question(Availability, path=layout.availability)
    settings = layout.settings
    yield Question(Mac, root=settings.stack_root, homebrew_prefix=settings.homebrew_prefix)
    if layout.is_daemon:
        yield Question(AtStart)


@operation(asks=_show_asks)
def show(
    layout: Layout, *, address: str, models: Sequence[Resolved], keys: Sequence[str]
) -> Commands:
    """
    Print endpoint, models, versions and changes, once the run is over.

    + layout: where the stack lives, and its settings
    + address: how clients reach the Mac
    + models: what their repositories hold
    + keys: what the keys are called
    """
    if host.state.is_executing:
        settings = layout.settings
        url = public_proxy(settings, address)
        versions = host.get_fact(Linked, links=layout.version_links(programs(layout)))
        told = ", ".join(f"{name} {version_of(each)}" for name, each in versions.items())
        rows = [
            *_endpoint(layout, url),
            *_gateway(layout, address),
            *_drained(layout),
            *(("model", _model(layout, model)) for model in models),
            *(_disk(layout, models) if settings.serves else ()),
            ("keys", ", ".join(keys)),
            ("versions", told),
            *(("sleeps", when) for when in [sleeps(_mac(layout).sleep)] if when),
            *(("restart", when) for when in _restart(layout)),
            ("changed", "; ".join(changed_so_far()) or "nothing"),
            *([("try", _curl(settings, url, models))] if settings.serves else []),
        ]
        logger.info("")
        for name, value in rows:
            host.log(f"{name + ':':<10}{value}")
        logger.info("")
    host.noop("nothing to do")
    yield from ()


def _endpoint(layout: Layout, url: str) -> Iterator[tuple[str, str]]:
    if layout.settings.serves:
        yield "endpoint", f"{url}/v1 for OpenAI's clients, {url} for Anthropic's"


def _gateway(layout: Layout, address: str) -> Iterator[tuple[str, str]]:
    if layout.gateway:
        count, url = len(layout.gateway.macs), public_gateway(layout.settings, address)
        yield "the herd", f"{url}/v1 for OpenAI's clients, of {count} Macs"


def _drained(layout: Layout) -> Iterator[tuple[str, str]]:
    """By its owner, whose word a deploy leaves as it is."""
    if closed := host.get_fact(Availability, path=layout.availability):
        yield "drained", f"it takes no new requests ({closed}), until it is told to be ready"


def _restart(layout: Layout) -> Iterator[str]:
    if layout.is_daemon:
        mac = _mac(layout)
        yield after_restart(host.get_fact(AtStart), daemon=True, user=mac.user, macos=mac.macos)


def _curl(settings: Settings, url: str, models: Sequence[Resolved]) -> str:
    """A request to the first model, in its own way, that can be pasted."""
    model = next(iter(settings.models.values()))
    files = next((each for each in models if each.name == model.name), None)
    task = task_of(model, files)
    key = '-H "Authorization: Bearer $HERD_API_KEY"'
    if task == SPEECH:
        name = shell_quote(f"model={model.name}")
        return f"curl {url}/v1/audio/transcriptions {key} -F {name} -F file=@speech.wav"
    asked = question(task, model.name, "Hello!", stream=True)
    stream = " -N" if task in (CHAT, COMPLETION) else ""
    return (
        f"curl{stream} {url}{asked.path} {key} "
        f"-H 'Content-Type: application/json' -d {shell_quote(asked.body)}"
    )


def _mac(layout: Layout) -> Identity:
    settings = layout.settings
    mac: Identity = host.get_fact(
        Mac, root=settings.stack_root, homebrew_prefix=settings.homebrew_prefix
    )
    return mac


def _disk(layout: Layout, models: Sequence[Resolved]) -> Iterator[tuple[str, str]]:
    there = host.get_fact(Models, directory=layout.models)
    wanted = frozenset[str]().union(*(each.paths for each in repositories(models)))
    used = sum(there.size(path) for path in wanted)
    free = "" if there.free is None else f", {gib(there.free)} free"
    yield "disk", f"{gib(used)} of models{free}"
    served = {each.directory for each in repositories(models)}
    for each in undeclared(models, there):
        yield "disk", _undeclared(each, served=each.directory in served)


def _undeclared(each: Undeclared, *, served: bool) -> str:
    """One directory, and who may remove what in it."""
    parts = []
    if each.ours:
        parts.append(f"{gib(each.our_bytes)} that models_prune = True removes")
    if each.other_bytes:
        parts.append(f"{gib(each.other_bytes)} that no deploy fetched, so they are yours")
    where = f"beside the declared files in {each.directory}" if served else each.directory
    return f"not declared: {where}: {', '.join(parts)}"


def _model(layout: Layout, model: Resolved) -> str:
    settings = layout.settings.models[model.name]
    parts = "".join(f", {part.role} {part.first.rpartition('/')[2]}" for part in model.parts)
    context = f"context {settings.ctx_size or 'as trained'}"
    names = f" (also {', '.join(settings.aliases)})" if settings.aliases else ""
    source = f"{model.repo} at {model.commit[:12]}"
    return f"{model.name}{names}: {gib(model.size)}, {context}{parts}, {source}"
