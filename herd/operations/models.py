"""Model files on the Mac: verified ones are kept whoever put them there, others are fetched."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from pyinfra import host
from pyinfra.api import Host, QuoteString, StringCommand

from herd.core.secrets import token_options
from herd.core.transfers import Holdings, Resolved, undeclared
from herd.facts.models import Models
from herd.hub import token
from herd.operations.commands import Commands, operation, shown

_seen: "WeakKeyDictionary[Host, Holdings]" = WeakKeyDictionary()


def look(models: Sequence[Resolved], directory: str, *, fresh: bool = False) -> Holdings:
    """What is there: as this run saw it, if all was in place then, else as it is now.

    So a run that changes nothing asks once. What stays in place is nobody's work, and fetch.sh
    looks for itself.
    """
    current = host.inventory.get_host(host.name)
    there = _seen.get(current)
    if fresh or there is None or any(m.pending(there) or m.leftovers(there) for m in models):
        there = _seen[current] = host.get_fact(Models, directory=directory)
    return there


@operation()
def fetched(
    models: Sequence[Resolved], *, directory: str, homebrew: str, connections: int
) -> Commands:
    """
    Have every file of every model, verified.

    + models: what their repositories hold
    + directory: absolute path of the directory of all models
    + homebrew: prefix of Homebrew, whose OpenSSL hashes fastest
    + connections: how many pieces are fetched at a time
    """
    there = look(models, directory)
    work = False
    for model in models:
        if files := model.pending(there):
            work = True
            words = model.words(files, models=directory, homebrew=homebrew, connections=connections)
            yield shown("fetch", *words, _stdin=token_options(token()))
    # Models may share a directory, so nothing is a leftover before all are fetched.
    leftovers = sorted({path for model in models for path in model.leftovers(there)})
    if leftovers:
        work = True
        yield StringCommand("rm -f", *(QuoteString(f"{directory}/{path}") for path in leftovers))
    if not work:
        host.noop("all files are there, and verified")


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
    paths = []
    for path in ours:
        top, _, below = path.partition("/")
        paths += [f"{directory}/{path}", f"{directory}/{top}/.herd/{below}.receipt"]
    tops = sorted({f"{directory}/{path.partition('/')[0]}" for path in ours})
    yield StringCommand(
        *("rm -f", *map(QuoteString, paths), "&& find", *map(QuoteString, tops)),
        *("-type d -empty -delete",),
    )
    _seen.pop(host.inventory.get_host(host.name), None)
