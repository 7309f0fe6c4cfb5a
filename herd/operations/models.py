"""Model files on the Mac: verified ones are kept whoever put them there, others are fetched."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from pyinfra import host
from pyinfra.api import Host, QuoteString, StringCommand

from herd.core import written
from herd.core.bundle import Bundle
from herd.core.fetching import Wanted, distinct, job
from herd.core.layout import Layout
from herd.core.transfers import Holdings, Resolved, undeclared, vouchers
from herd.facts.models import Models
from herd.hub import token
from herd.operations.commands import Commands, Shown, operation
from herd.operations.files import write

_seen: "WeakKeyDictionary[Host, Holdings]" = WeakKeyDictionary()


def look(models: Sequence[Resolved], directory: str, *, fresh: bool = False) -> Holdings:
    """What is there: as this run saw it, if all was in place then, else as it is now.

    So a run that changes nothing asks once. What stays in place is nobody's work, and the fetcher
    looks for itself.
    """
    current = host.inventory.get_host(host.name)
    there = _seen.get(current)
    if fresh or there is None or any(m.pending(there) or m.leftovers(there) for m in models):
        there = _seen[current] = host.get_fact(Models, directory=directory)
    return there


def lacking(models: Sequence[Resolved], there: Holdings) -> list[Wanted]:
    """Which files are to be fetched or hashed."""
    return distinct(Wanted(model, tuple(model.pending(there))) for model in models)


def seen_lacking(models: Mapping[str, Sequence[Resolved]]) -> bool:
    """Whether one of these hosts, by name, lacked files of its models when this run last looked."""
    seen = {other.name: there for other, there in _seen.items()}
    return any(lacking(wanted, seen[name]) for name, wanted in models.items() if name in seen)


@operation()
def fetched(
    models: Sequence[Resolved],
    *,
    layout: Layout,
    bundle: Bundle,
    peers: Any,
) -> Commands:
    """
    Have every file of every model, verified.

    + models: what their repositories hold
    + layout: where the stack lives, and its settings
    + bundle: the proxy, whose environment runs the fetcher
    + peers: a `Peers` or None, in a HiddenValue: the Macs that may have what this one lacks
    """
    directory = layout.models
    there = look(models, directory)
    wanted = lacking(models, there)
    if wanted:
        program = written.fetcher(layout)
        yield from write(program.path, program.content, program.mode)
        said = job(
            wanted,
            directory=directory,
            connections=layout.settings.models_connections,
            token=token(),
            peers=peers.unmask(),
        )
        yield Shown(fetch_command(layout, bundle), _stdin=said)
    # Models may share a directory, so nothing is a leftover before all are fetched.
    leftovers = sorted({path for model in models for path in model.leftovers(there)})
    if leftovers:
        yield _remove(directory, leftovers)
    if not wanted and not leftovers:
        host.noop("all files are there, and verified")


def fetch_command(layout: Layout, bundle: Bundle) -> StringCommand:
    """Runs the fetcher, which is told the rest on its standard input."""
    # -I: neither the directory nor the environment of whoever logs in has a say.
    return StringCommand(
        QuoteString(layout.proxy_python(bundle)), "-I", QuoteString(layout.fetcher)
    )


def _remove(directory: str, paths: Iterable[str]) -> StringCommand:
    found = [f"{directory}/{each}" for path in paths for each in (path, *vouchers(path))]
    return StringCommand("rm -f", *map(QuoteString, found))


@operation()
def only(models: Sequence[Resolved], *, directory: str, prune: bool) -> Commands:
    """
    Have no files of models that are not declared, of those that a deploy put there.

    + models: what their repositories hold
    + directory: absolute path of the directory of all models
    + prune: whether to remove them; if not, the summary lists them
    """
    if not prune:
        host.noop("models that are not declared stay")
        return
    ours = [path for each in undeclared(models, look(models, directory)) for path in each.ours]
    if not ours:
        host.noop("every model that a deploy fetched is declared")
        return
    tops = sorted({f"{directory}/{path.partition('/')[0]}" for path in ours})
    yield StringCommand(
        *(_remove(directory, ours), "&& find", *map(QuoteString, tops)),
        # The fetcher's lock is all that it leaves.
        "\\( -path '*/.herd/lock' -o -type d -empty \\) -delete",
    )
    _seen.pop(host.inventory.get_host(host.name), None)
