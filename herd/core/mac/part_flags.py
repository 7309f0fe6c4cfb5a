"""The flags of llama-server for what goes along with a model's weights, and for what it does."""

from collections.abc import Iterable, Sequence

from herd.core.mac.llama_server_flags import Flags
from herd.core.models import tasks
from herd.core.models.file_kinds import Kind
from herd.core.models.missing_files import Part
from herd.core.settings import part_sources
from herd.core.settings.schema import Model

# Newest name first; an older build's `--help` has another.
_NAMES = {
    "mmproj": ("--mmproj",),
    "draft": ("--spec-draft-model", "--model-draft"),
    "lora": ("--lora",),
    "control_vector": ("--control-vector",),
    "chat_template_file": ("--chat-template-file",),
}
_TASKS = {
    tasks.EMBEDDING: ("--embeddings", "--embedding"),
    tasks.RERANKING: ("--reranking", "--rerank"),
}
# By the architecture of a head that drafts (llama-server --help, --spec-type).
_SPECULATION = {"eagle3": "draft-eagle3", "dflash": "draft-dflash"}


def part_arguments(
    model: Model, parts: Iterable[Part], directory: str, flags: Flags
) -> list[list[str]]:
    """A line for each part, with its path below the directory of all models; one for all of which
    there may be several, since of a flag that comes again llama-server may take the last alone."""
    lines: list[list[str]] = []
    for part in parts:
        if part.role not in _NAMES:
            continue
        name, path = _known(_NAMES[part.role], flags), f"{directory}/{part.first}"
        scaled = part.role in part_sources.SCALED
        if scaled and (scale := part_sources.parse(part.source, scaled=True).scale):
            name, path = f"{name}-scaled", f"{path}:{scale}"
        if scaled and (same := next((line for line in lines if line[0] == name), None)):
            same[1] += f",{path}"
            continue
        lines.append([name, path])
        said = model.spec_type or "--spec-type" in model.extra_args
        if part.role == "draft" and "--spec-type" in flags.known and not said:
            lines.append(["--spec-type", _speculation(part)])
    return lines


def task_arguments(task: str, flags: Flags, extra: Sequence[str]) -> list[str]:
    """What lets llama-server answer that, where it would not by itself."""
    names = _TASKS.get(task, ())
    return [_known(names, flags)] if names and not set(names) & set(extra) else []


def with_paths(extra: Iterable[str], parts: Iterable[Part], directory: str) -> list[str]:
    """Arguments of which those that name a file of the Hub are its path here."""
    paths = {p.source: f"{directory}/{p.first}" for p in parts if p.role == part_sources.FILE}
    return [paths.get(argument, argument) for argument in extra]


def _known(names: Sequence[str], flags: Flags) -> str:
    return next((name for name in names if name in flags.known), names[0])


def _speculation(draft: Part) -> str:
    """A head predicts several tokens (MTP); a model of its own drafts as it would answer."""
    architecture = str(draft.gguf.get("architecture", ""))
    if architecture in _SPECULATION:
        return _SPECULATION[architecture]
    return "draft-mtp" if draft.kind == Kind.DRAFT else "draft-simple"
