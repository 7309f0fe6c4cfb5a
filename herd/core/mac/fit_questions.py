"""What a Mac's llama.cpp is asked of each model's memory, and what its notes answer."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from herd.core.mac import command_line
from herd.core.mac.layout import Layout
from herd.core.mac.llama_server_flags import Flags
from herd.core.models.fit_request import Ask
from herd.core.models.llama_fit_params import Measured, parse
from herd.core.models.memory_estimate import Served, Told
from herd.core.models.memory_use import Use, draft_use
from herd.core.models.missing_files import Resolved
from herd.core.models.model_facts import Facts
from herd.core.settings.extra_args import canonical

# What of llama-server's arguments decides on memory (common/arg.cpp). Paths are not among them:
# adapters and the like are not there yet, and their bytes are counted anyway.
_RELEVANT = {
    *("-c", "--ctx-size", "-np", "--parallel", "-b", "--batch-size", "-ub", "--ubatch-size"),
    *("-ctk", "--cache-type-k", "-ctv", "--cache-type-v", "-fa", "--flash-attn", "--swa-full"),
    *("-kvu", "--kv-unified", "-no-kvu", "--no-kv-unified", "-nkvo", "--no-kv-offload"),
    *("-ngl", "--gpu-layers", "--n-gpu-layers", "-cmoe", "--cpu-moe", "-ncmoe", "--n-cpu-moe"),
    *("-ncffn", "--n-cpu-ffn", "-ot", "--override-tensor", "-dev", "--device"),
    *("-sm", "--split-mode", "-ts", "--tensor-split", "-mg", "--main-gpu", "--override-kv"),
    *("--no-op-offload", "--no-host", "--embedding", "--embeddings", "--pooling"),
}


def asks(
    layout: Layout, models: Iterable[Resolved], flags: Flags, build: Mapping[str, str]
) -> list[Ask]:
    """A question for each model and each that drafts.

    Its mark names all that the answer depends on: the files' checksums, the command line, and
    which llama.cpp answers (`build`, versions by formula).
    """
    found = []
    for files in models:
        model = layout.settings.models[files.name]
        lines = command_line.arguments(layout, model, files, flags)
        words = list(_relevant([word for line in lines for word in line], flags))
        own = {f"{files.directory}/{path}": size for path, size in files.weights.items()}

        def ask(
            first: str,
            words: list[str],
            sizes: Mapping[str, int],
            drafts: bool = False,
            of: Resolved = files,
        ) -> Ask:
            said = [of.version, first, words, dict(build)]
            mark = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
            return Ask(of.name, mark, first, words, sizes, drafts)

        found.append(ask(f"{files.directory}/{files.first}", words, own))
        if draft := files.draft:
            use = draft_use(Use.of(model))
            counts = {"--ctx-size": use.ctx_size, "--parallel": use.parallel}
            counts |= {"--batch-size": use.batch, "--ubatch-size": use.ubatch}
            said = [word for name, count in counts.items() for word in (name, str(count))]
            found.append(ask(draft.first, said, draft.files, drafts=True))
    return found


def _relevant(words: Sequence[str], flags: Flags) -> Iterator[str]:
    at = 0
    while at < len(words):
        flag = canonical(words[at])
        end = at + 1 + flags.values(flag)
        if flag in _RELEVANT:
            yield from (flag, *words[at + 1 : end])
        at = end


def taken(ask: Ask, takes: Flags) -> Ask:
    """The question in words that this llama-fit-params takes: less than llama-server does. What
    it does not take only lessens what a model needs, or says where it is."""
    words, at = list(ask.words), 0
    kept: list[str] = []
    while at < len(words):
        end = at + 1
        while end < len(words) and canonical(words[end]) not in _RELEVANT:
            end += 1
        if words[at] in takes.known:
            kept += words[at:end]
        at = end
    return replace(ask, words=kept)


def answered(
    sets: Iterable[Sequence[Served]],
    models: Iterable[Resolved],
    questions: Iterable[Ask],
    notes: Mapping[str, str],
) -> list[tuple[Served, ...]]:
    """The same sets, with what the notes say of each model."""
    of = {files.name: files for files in models}
    said: dict[str, list[tuple[Ask, Measured | str]]] = {}
    for ask in questions:
        if ask.mark in notes:
            said.setdefault(ask.model, []).append((ask, parse(notes[ask.mark])))
    return [
        tuple(_answered(served, of[served.name], said.get(served.name, [])) for served in each)
        for each in sets
    ]


def _answered(
    served: Served, files: Resolved, said: Sequence[tuple[Ask, Measured | str]]
) -> Served:
    if silent := next((answer for _, answer in said if isinstance(answer, str)), None):
        return replace(served, silent=silent)
    if len(said) < 1 + (files.draft is not None):
        return served
    told = []
    for ask, answer in said:
        facts: Facts | None = served.draft if ask.drafts else served.facts
        use = draft_use(served.use) if ask.drafts else served.use
        if facts and isinstance(answer, Measured):
            told.append(Told(answer, use, facts, sum(ask.files.values()), ask.drafts))
    return replace(served, told=tuple(told))
