"""What the fetcher on a Mac is told to ask of llama.cpp: of which files, with which arguments."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from herd.core.models.missing_files import File, Resolved, repositories
from herd.core.text.secret import SecretInput


@dataclass(frozen=True)
class Ask:
    """A question about one model, or the one that drafts for it. `files` has bytes by path below
    the directory of all models; the answer is kept on the Mac as the note `mark`."""

    model: str
    mark: str
    first: str
    words: Sequence[str]
    files: Mapping[str, int]
    drafts: bool = False


def job(
    asks: Iterable[Ask],
    models: Iterable[Resolved],
    *,
    program: Sequence[str],
    directory: str,
    notes: str,
    keep: Iterable[str],
    token: str | None,
) -> SecretInput:
    """The fetcher's standard input (fetcher/fit_spec.py): secrets must not be in a command line.

    `directory` is that of all models, `notes` that of the answers, of which those of `keep` stay.
    """
    known: dict[str, tuple[Resolved, File]] = {
        each.path(file): (each, file) for each in repositories(models) for file in each.files
    }
    return SecretInput(
        json.dumps(
            {
                **{"token": token, "program": list(program), "notes": notes},
                **{"keep": sorted(set(keep)), "models": directory},
                "asks": [
                    {
                        **{"name": ask.model, "mark": ask.mark, "first": ask.first},
                        "words": list(ask.words),
                        "files": [_file(path, *known[path]) for path in ask.files],
                    }
                    for ask in asks
                ],
            }
        )
    )


def _file(path: str, of: Resolved, file: File) -> dict[str, object]:
    return {"path": path, "size": file.size, "sha256": file.sha256, "url": of.url(file)}
