"""What the models take of memory, by a Mac's own llama.cpp, before anything large is fetched."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from pyinfra import host, logger

from herd.core.files import written_files
from herd.core.mac import fit_questions
from herd.core.mac.archives import Bundle
from herd.core.mac.job_definitions import LLAMA_SWAP, programs
from herd.core.mac.layout import Layout
from herd.core.mac.mac import Identity
from herd.core.mac.preflight import WARNING, Needs, limits, memory_problems
from herd.core.models import fit_request
from herd.core.models.fit_request import Ask
from herd.core.models.memory_estimate import differences
from herd.core.models.memory_sum import Sum
from herd.core.models.missing_files import Resolved
from herd.core.settings.problems import count, report
from herd.facts.fit_params import FitFlags, FitParams, Fits
from herd.facts.gathered import Question
from herd.facts.llama_server import KnownFlags
from herd.facts.mac import Mac
from herd.facts.programs import Linked
from herd.operations.commands import Commands, Shown, operation, refuse
from herd.operations.files import write
from herd.operations.models import fetch_command
from herd.workstation.hugging_face import token


def asks(layout: Layout) -> Iterator[Question]:
    """What `questions_of` asks of the Mac: of the llama.cpp that will run, which is not the one
    that does where another release was pinned."""
    server = layout.pinned_program("llama-server")
    yield Question(FitParams, programs=server.rpartition("/")[0], directory=layout.fit)
    yield Question(KnownFlags, program=server)
    yield Question(Linked, links=layout.version_links(programs(layout)[LLAMA_SWAP]))


def questions_of(layout: Layout, models: Sequence[Resolved]) -> tuple[Fits, list[Ask]]:
    """What this Mac's llama.cpp said before, and all that it is to be asked; nothing where it
    cannot be."""
    first, *others = asks(layout)
    fits = first.ask(host)
    if not fits.program:
        return Fits(), []
    flags, build = (question.ask(host) for question in others)
    if flags is None:
        return Fits(), []
    version = {name: number for name, number in build.items() if name != LLAMA_SWAP}
    if pin := layout.settings.releases.get("llama.cpp"):
        version = {"llama.cpp": pin.directory}
    return fits, fit_questions.asks(layout, models, flags, version)


def as_told(
    needs: Needs, models: Sequence[Resolved], fits: Fits, questions: Sequence[Ask]
) -> Needs:
    """The same with what it said; who is still to be asked is no matter of our own sum."""
    together = fit_questions.answered(needs.together, models, questions, fits.notes)
    unasked = frozenset(ask.model for ask in questions if ask.mark not in fits.notes)
    return replace(needs, together=together, unasked=unasked)


def _fits_asks(
    layout: Layout, needs: Needs, *, models: Sequence[Resolved], bundle: Bundle
) -> Iterator[Question]:
    settings = layout.settings
    yield from asks(layout)
    yield Question(Mac, root=settings.stack_root, homebrew_prefix=settings.homebrew_prefix)


@operation(asks=_fits_asks, changes=[FitParams])
def fits(layout: Layout, needs: Needs, *, models: Sequence[Resolved], bundle: Bundle) -> Commands:
    """
    Fail this host, and only this one, where llama.cpp says that the models do not fit.

    + layout: where the stack lives, and its settings
    + needs: what the stack asks of a Mac
    + models: what their repositories hold
    + bundle: the proxy, whose environment runs the fetcher
    """
    told, questions = questions_of(layout, models)
    new = [ask for ask in questions if ask.mark not in told.notes]
    if not new:  # what it said before, preflight has looked at
        host.noop("llama.cpp has said it" if questions else "there is no llama-fit-params to ask")
        return
    takes = host.get_fact(FitFlags, program=list(told.program))
    program = written_files.fetcher(layout)
    yield from write(program.path, program.content, program.mode)
    job = fit_request.job(
        [fit_questions.taken(ask, takes) for ask in new],
        models,
        program=told.program,
        directory=layout.models,
        notes=layout.fit,
        keep=[ask.mark for ask in questions],
        token=token(),
    )
    # What it cannot ask is no failure: our own sum stands in.
    yield Shown(fetch_command(layout, bundle), "fit || true", _stdin=job)
    if not host.state.is_executing:
        return
    told, questions = questions_of(layout, models)
    known = replace(as_told(needs, models, told, questions), unasked=frozenset())
    mac = host.get_fact(
        Mac, root=layout.settings.stack_root, homebrew_prefix=layout.settings.homebrew_prefix
    )
    for ask in questions:
        if ask.mark not in told.notes:
            host.log(f"{ask.model}: llama.cpp was not asked: our own sum stands in", logger.warning)
    for line in _figures(mac, known):
        host.log(line)
    found = memory_problems(mac, known)
    if warnings := [problem for problem in found if problem.kind == WARNING]:
        for line in report(f"{host.name} may be too small.", warnings).splitlines():
            logger.warning(line)
    if refused := [problem for problem in found if problem not in warnings]:
        title = f"{host.name} cannot serve these models: {count(refused)}."
        refuse(report(title, refused))


def _figures(mac: Identity, needs: Needs) -> Iterator[str]:
    """Of each set that fits, how well, and what of it is not as we would have summed it up."""
    said = set[str]()
    for models in needs.together:
        found = Sum(tuple(models), limits(mac, needs))
        with suppress(ValueError):  # a header that says too little is a problem
            if found.fits:
                yield f"{found.name} {found.verdict}"
                notes = {f"{m.name}: {note}" for m in models for note in differences(m)}
                yield from sorted(notes - said)
                said |= notes
