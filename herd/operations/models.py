"""Model files on the Mac: verified ones are kept whoever put them there, others are fetched."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand

from herd.core.files import written_files
from herd.core.mac.archives import Bundle
from herd.core.mac.layout import Layout
from herd.core.models.fetch_request import Wanted, distinct, job
from herd.core.models.missing_files import Holdings, Resolved, repositories, undeclared, vouchers
from herd.facts import gathered
from herd.facts.gathered import Question
from herd.facts.models import Models
from herd.operations.commands import Commands, Shown, operation
from herd.operations.files import write
from herd.workstation.hugging_face import token


def lacking(models: Sequence[Resolved], there: Holdings) -> list[Wanted]:
    """Which files are to be fetched or hashed."""
    return distinct(Wanted(each, tuple(each.pending(there))) for each in repositories(models))


def any_lacking(
    models: Mapping[str, Sequence[Resolved]], directory_of: Callable[[str], str]
) -> bool:
    """Whether one of these hosts, by name, lacks files of its models.

    A plan knows those that have answered by then.
    """
    for name, wanted in models.items():
        other, directory = host.inventory.get_host(name), directory_of(name)
        known = gathered.of(other)
        if (known.executing or known.has(Question(Models, directory=directory))) and lacking(
            wanted, other.get_fact(Models, directory=directory)
        ):
            return True
    return False


def _fetched_asks(
    models: Sequence[Resolved], *, layout: Layout, bundle: Bundle, peers: Any
) -> Iterator[Question]:
    yield Question(Models, directory=layout.models)


@operation(asks=_fetched_asks, changes=[Models])
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
    there = host.get_fact(Models, directory=directory)
    wanted = lacking(models, there)
    if wanted:
        program = written_files.fetcher(layout)
        yield from write(program.path, program.content, program.mode)
        said = job(
            wanted,
            directory=directory,
            connections=layout.settings.models_connections,
            token=token(),
            client=layout.brew("hf"),
            peers=peers.unmask(),
        )
        yield Shown(fetch_command(layout, bundle), _stdin=said)
    # Models may share a directory, so nothing is a leftover before all are fetched.
    leftovers = sorted({path for each in repositories(models) for path in each.leftovers(there)})
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


def _only_asks(models: Sequence[Resolved], *, directory: str, prune: bool) -> Iterator[Question]:
    if prune:
        yield Question(Models, directory=directory)


@operation(asks=_only_asks, changes=[Models])
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
    there = host.get_fact(Models, directory=directory)
    ours = [path for each in undeclared(models, there) for path in each.ours]
    if not ours:
        host.noop("every model that a deploy fetched is declared")
        return
    tops = sorted({f"{directory}/{path.partition('/')[0]}" for path in ours})
    yield StringCommand(
        *(_remove(directory, ours), "&& find", *map(QuoteString, tops)),
        # The fetcher's lock is all that it leaves.
        "\\( -path '*/.herd/lock' -o -type d -empty \\) -delete",
    )
