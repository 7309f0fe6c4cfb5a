"""Model files on the Mac: whole ones are kept whoever fetched them, others are fetched."""

from collections.abc import Sequence

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand

from herd.core.secrets import token_options
from herd.core.transfers import Resolved
from herd.facts.files import Sizes
from herd.hub import token
from herd.operations.commands import Commands, operation, shown


@operation()
def fetched(models: Sequence[Resolved], *, directory: str) -> Commands:
    """
    Have every file of every model, with its size.

    + models: what their repositories hold
    + directory: absolute path of the directory of all models
    """
    sizes = host.get_fact(Sizes, directory=directory)
    work = False
    for model in models:
        if files := model.missing(sizes):
            work = True
            words = [w for f in files for w in (f.path, model.part(f), f.size, model.url(f))]
            yield shown(
                "fetch",
                *(model.name, f"{directory}/{model.directory}", *words),
                _stdin=token_options(token()),
            )
    # Models may share a directory, so nothing is a leftover before all are fetched.
    leftovers = sorted({path for model in models for path in model.leftovers(sizes)})
    if leftovers:
        work = True
        yield StringCommand("rm -f", *(QuoteString(f"{directory}/{path}") for path in leftovers))
    if not work:
        host.noop("all files are there")
