"""Which of a repository's files are the model, and which go along with it.

Headers say what each file is; where they leave a choice, names may help, as they help
`llama-server -hf`; where that is not enough, a person is told what there is, and the line to write.
"""

import fnmatch
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from herd.core.models import part_fits, splits
from herd.core.models.file_kinds import Kind, in_words, kind_of
from herd.core.models.gguf import Header
from herd.core.settings import part_sources
from herd.core.text.units import gib

# What loses nothing of weights that were trained in 16 bits, the best first: BF16 is what nearly
# all are published in; F16 has as many bits, and rounds otherwise; F32 is twice as large.
_WHOLE = ("BF16", "F16", "F32")
_HEAD = re.compile(r"(^|[/_.-])(mtp|eagle3?|draft(er)?|assistant|nextn)([/_.-]|$)", re.IGNORECASE)

# By role, the kinds of file that may play it.
KINDS = {
    "mmproj": (Kind.PROJECTOR,),
    "draft": (Kind.MODEL, Kind.DRAFT),
    "lora": (Kind.LORA,),
    "control_vector": (Kind.CONTROL_VECTOR,),
}


@dataclass(frozen=True)
class Found:
    """A GGUF file, or a set of splits: its first, bytes of each, its header or why it has none.

    `is_head` of what its tensors show to be one, whatever its keys say.
    """

    first: str
    files: Mapping[str, int]
    header: Header | str
    is_head: bool = False

    @property
    def kind(self) -> Kind | None:
        """What it is; None of what cannot be read."""
        if isinstance(self.header, str):
            return None
        kind = Kind.DRAFT if self.is_head else kind_of(self.header)
        # Those of llama.cpp's own tests have the keys of a model, and nothing more.
        bare = not self.header.tensors and self.first.rpartition("/")[2].startswith("ggml-vocab")
        return Kind.VOCABULARY if bare and kind is Kind.MODEL else kind

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(self.files.values())

    @property
    def quantisation(self) -> str:
        """Of most weights, "" where nothing says so."""
        return "" if isinstance(self.header, str) else self.header.quantisation or ""

    def __str__(self) -> str:
        count = splits.split_count(self.first)
        facts = [
            *([self.quantisation] if self.quantisation else []),
            *([f"{count} splits"] if count > 1 else []),
            gib(self.size),
        ]
        return f"{self.first} ({', '.join(facts)})"

    @property
    def described(self) -> str:
        """With what it is."""
        if isinstance(self.header, str) or self.kind is None:
            return f"{self.first}, which {self.header}"
        return f"{self.first}, {in_words(self.kind, self.header)}"


def included(paths: Iterable[str], pattern: str) -> set[str]:
    """What a pattern of `hf download --include` takes; the case of `.gguf` means nothing.

    A folder stands for all that is in it.
    """
    wanted = _lowered(f"{pattern}*" if pattern.endswith("/") else pattern)
    return {path for path in paths if fnmatch.fnmatchcase(_lowered(path), wanted)}


def _lowered(path: str) -> str:
    return f"{path[:-5]}.gguf" if splits.is_gguf(path) else path


def model_of(found: Sequence[Found]) -> Found:
    """The model among the files that were included. Raises ValueError, in words."""
    models = [each for each in found if each.kind is Kind.MODEL]
    if len(models) > 1:
        # `llama-server -hf` tells heads from models by such names, too.
        models = [each for each in models if not _HEAD.search(each.first)] or models
    if not models:
        others = "; ".join(each.described for each in found[:6])
        raise ValueError(f"matches no model: {others}" if found else "matches no GGUF file")
    if len(models) > 1:
        line = _line("include", [splits.pattern(_usual(models).first)])
        raise ValueError(
            f"matches {len(models)} models: {splits.some([str(each) for each in models], 20)}; "
            f"write which one, as {line}"
        )
    (model,) = models
    refuse_splits(model)
    return model


def refuse_splits(found: Found) -> None:
    """Raises ValueError, in words, for what llama.cpp would not find all files of."""
    if wrong := splits.fault(found.first, list(found.files)):
        raise ValueError(wrong)
    if isinstance(found.header, str) or not found.header.complete:
        return  # what splits a file stands behind its tokenizer
    named, said = splits.split_count(found.first), found.header.keys.get("split.count") or 1
    if named != said:
        raise ValueError(
            f"is {said} file{'s' * (said > 1)} by its header, and {named} by its name: llama.cpp "
            "would not find the others"
        )


def projector_of(model: Found, found: Sequence[Found]) -> tuple[Found, str] | None:
    """The projector of a model among these files, and why this one; None if there is none.

    Raises ValueError, in words, when some do different things.
    """
    projectors = [each for each in found if each.kind is Kind.PROJECTOR]
    # Of the model's own width, if any say so: a repository may hold models of several sizes.
    fitting = [each for each in projectors if _fits(model, each)] or projectors
    if not fitting:
        return None
    if len({_abilities(each) for each in fitting}) > 1:
        line = _line("mmproj", splits.pattern(fitting[0].first))
        there = splits.some([each.described for each in fitting])
        raise ValueError(
            f"has projectors that do different things: {there}; write which one, as {line}"
        )
    best = min(fitting, key=_loss)
    refuse_splits(best)
    if len(fitting) == 1:
        return best, ""
    loses = _precision(best) not in _WHOLE
    why = "the one that loses least" if loses else "the smallest that loses nothing"
    return best, f"{why} of {len(fitting)}"


def _fits(model: Found, projector: Found) -> bool:
    if isinstance(model.header, str) or isinstance(projector.header, str):
        return False
    width, keys = model.header.own("embedding_length"), projector.header.keys
    sizes = {keys.get(f"clip.{sense}.projection_dim") for sense in ("vision", "audio")}
    return width is not None and width in sizes


def _abilities(projector: Found) -> tuple[bool, bool]:
    if isinstance(projector.header, str):
        return False, False
    keys = projector.header.keys
    sees = bool(keys.get("clip.has_vision_encoder", "clip.vision.block_count" in keys))
    return sees, bool(keys.get("clip.has_audio_encoder"))


def _loss(projector: Found) -> tuple[int, int, str]:
    kind = _precision(projector)
    if kind in _WHOLE:
        return _WHOLE.index(kind), projector.size, projector.first
    return len(_WHOLE), -projector.size, projector.first


def _precision(projector: Found) -> str:
    """By its header; by its name where that does not say."""
    named = re.search(r"(?<![a-z0-9])(bf16|f16|f32)(?![a-z0-9])", projector.first.lower())
    return projector.quantisation or (named[0].upper() if named else "")


def part_of(role: str, pattern: str, model: Found, found: Sequence[Found]) -> tuple[Found, str]:
    """What a setting asks for among the files that its pattern takes, and why this one.

    Raises ValueError, in words.
    """
    right = [each for each in found if each.kind in KINDS[role]]
    if not right:
        what = "; ".join(each.described for each in found[:6]) or "no GGUF file"
        raise ValueError(f"matches {what}: {role} wants {' or '.join(KINDS[role])}")
    if role == "mmproj" and (chosen := projector_of(model, right)):
        return chosen
    if len(right) > 1:
        raise ValueError(
            f"matches {len(right)} files: {splits.some([str(each) for each in right], 20)}; write "
            f"which one, as {_line(role, splits.pattern(right[0].first))}"
        )
    refuse_splits(right[0])
    if role in part_sources.SCALED and "," in right[0].first:
        raise ValueError(f"is {right[0].first!r}, and a comma parts names in llama-server's list")
    return right[0], ""


def as_head(draft: Found, header: Header, shapes: Mapping[str, tuple[int, ...]]) -> Found:
    """What may draft, with what all of its header says of it."""
    predicts = bool(header.own("nextn_predict_layers"))
    named = not shapes and _HEAD.search(draft.first) is not None
    is_head = predicts and (named or part_fits.is_head(shapes))
    return replace(draft, header=header, is_head=is_head)


def nothing(
    repo: str, pattern: str, paths: Sequence[str], role: str = "include", what: str = "nothing"
) -> str:
    """That a pattern takes none of a repository's files: what is there, and the line to write."""
    whole = list(splits.sets(paths))
    pieces = sorted(filter(splits.is_piece, paths))
    if not _near(pattern, whole) and (cut := _near(pattern, pieces) or (not whole and pieces)):
        return (
            f"matches {what} that can be served; {repo} has {splits.some(cut)}: pieces of a "
            "file that must be joined first; declare a repository, or a revision, with whole files"
        )
    there = splits.some(splits.models_in(paths), most=20) or "no file at all"
    words = f"matches {what}; {repo} has {there}"
    if not whole:
        only = ", and llama-server serves no others: look for one with -GGUF in its name"
        return f"{words}: no GGUF file{only}" if role == "include" and paths else words
    near = _nearest(pattern, whole)
    wanted = splits.pattern(near)
    return f"{words}; write {_line(role, [wanted] if role == 'include' else wanted)}"


def _nearest(pattern: str, firsts: Sequence[str]) -> str:
    return _usual_name(_near(pattern, firsts) or firsts)


def _near(pattern: str, paths: Sequence[str]) -> list[str]:
    """By its letters and digits in a row, whatever their case and what parts them."""
    core = _core(pattern)
    return [path for path in paths if core and core in _core(path)]


def _core(text: str) -> str:
    return re.sub(r"gguf$|[^a-z0-9]", "", text.lower())


def _usual(models: Sequence[Found]) -> Found:
    name = _usual_name([each.first for each in models])
    return next(each for each in models if each.first == name)


def _usual_name(firsts: Sequence[str]) -> str:
    """Q4_K_M is what most people take."""
    return next((first for first in firsts if "q4km" in _core(first)), firsts[0])


def _line(setting: str, value: str | list[str]) -> str:
    return f"{json.dumps(setting)}: {json.dumps(value, ensure_ascii=False)}"
