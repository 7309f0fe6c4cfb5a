"""What a declared model is on the Hub now: its weights among the files there, and what goes along.

Headers decide which file is what (herd/core/models/selection.py); of a file no more is read.
"""

from pydantic import ValidationError

from herd.core.models import part_fits, selection, vocabularies
from herd.core.models.file_kinds import Kind
from herd.core.models.models_lock import Locked, LockedPart, Terms
from herd.core.models.selection import Found
from herd.core.models.splits import is_gguf, sets, some
from herd.core.settings import part_sources
from herd.core.settings.schema import Model
from herd.workstation import hugging_face
from herd.workstation.hugging_face import Repository


def resolve(model: Model) -> Locked:
    """The model's files and what goes along, with sizes, checksums, commits and facts of headers.

    Raises ValueError with what is wrong, in words: nothing there, no access, no match.
    """
    here = hugging_face.look_into(model.repo, model.revision)
    terms = Terms.of(model)
    matched: set[str] = set()
    for pattern in terms.include:
        if not (found := selection.included(here.files, pattern)):
            words = selection.nothing(model.repo, pattern, list(here.files))
            raise ValueError(f"include={pattern!r} {words}")
        matched |= found
    candidates = here.look(matched)
    try:
        if not candidates:
            files = list(here.files)
            words = selection.nothing(model.repo, terms.include[0], files, what="no GGUF file")
            raise ValueError(words)
        chosen = selection.model_of(candidates)
    except ValueError as error:
        raise ValueError(f"include={list(terms.include)} {error}") from None
    # Of GGUF files the model alone; of others all that was asked for.
    paths = sorted({path for path in matched if not is_gguf(path)} | chosen.files.keys())
    try:
        return Locked(
            name=model.name,
            repo=terms.repo,
            revision=terms.revision,
            include=list(terms.include),
            asked=model.parts,
            commit=here.commit,
            first=chosen.first,
            files=[here.file(path) for path in paths],
            gguf=here.facts(chosen),
            parts=_parts(model, here, chosen, candidates),
        )
    except ValidationError as error:
        raise ValueError(f"{model.repo} {_in_words(error)}") from None


def _in_words(error: ValidationError) -> str:
    wrong = error.errors(include_url=False)[0]
    words = str(wrong["msg"]).removeprefix("Value error, ")
    return f"has {wrong.get('input')!r}: {words}"


def _parts(
    model: Model, here: Repository, chosen: Found, candidates: list[Found]
) -> list[LockedPart]:
    """What goes along with the weights, as settings ask for it."""
    parts: list[LockedPart] = []
    if model.mmproj == "auto" and (best := _projector(here, chosen, candidates)):
        parts.append(here.part("mmproj", "auto", *best))
    for role, sources in model.parts.items():
        for text in sources:
            source = part_sources.parse(text, scaled=role in part_sources.SCALED)
            try:
                there = (
                    hugging_face.look_into(source.repo, source.revision) if source.repo else here
                )
                parts.append(_declared(role, text, source.pattern, there, here, chosen))
            except ValidationError as error:
                raise ValueError(f"{role}={text!r} {_in_words(error)}") from None
            except ValueError as error:
                raise ValueError(f"{role}={text!r} {error}") from None
    return parts


def _projector(
    here: Repository, chosen: Found, candidates: list[Found]
) -> tuple[Found, str] | None:
    """Of the included files; else of the others that `llama-server -hf` would take for one."""
    try:
        if best := selection.projector_of(chosen, candidates):
            return best
        named = [path for path in here.files if "mmproj" in path.lower() and is_gguf(path)]
        return selection.projector_of(chosen, here.look(named))
    except ValueError as error:
        raise ValueError(f"{here.repo} {error}") from None


def _declared(
    role: str, text: str, pattern: str, there: Repository, here: Repository, chosen: Found
) -> LockedPart:
    matched = selection.included(there.files, pattern)
    if not matched:
        raise ValueError(selection.nothing(there.repo, pattern, list(there.files), role))
    if role in selection.KINDS:
        found, why = selection.part_of(role, pattern, chosen, there.look(matched))
        if role != "mmproj":
            header, shapes = there.tensors(found)
            found = selection.as_head(found, header, shapes) if role == "draft" else found
            model = here.header(chosen)
            wrong = part_fits.differs(role, model, header, shapes)
            # A head has the tokens of the model that it is for, and needs not say so.
            if role == "draft" and found.kind is Kind.MODEL:
                wrong = vocabularies.differ(model, header)
            if wrong:
                cannot = "cannot draft" if role == "draft" else "is not"
                raise ValueError(f"{cannot} for {chosen.first}: {found.first} {wrong}")
        return there.part(role, text, found, why)
    firsts = sorted({*sets(matched), *(path for path in matched if not is_gguf(path))})
    if len(firsts) > 1:
        raise ValueError(f"matches {len(firsts)} files: {some(firsts)}; name one")
    return there.part(role, text, Found(firsts[0], dict.fromkeys(sorted(matched), 0), ""), "")
