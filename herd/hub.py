"""Asks Hugging Face, from the workstation, what a model's repository holds.

The endpoint and the token are the workstation's own: HF_ENDPOINT, and HF_TOKEN or `hf auth login`.
"""

import os
from functools import cache

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import filter_repo_objects

from herd.core.settings import Model
from herd.core.splits import first_file
from herd.core.transfers import File, Resolved


def endpoint() -> str:
    """The Hub to ask and to fetch from."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def token() -> str | None:
    """The workstation's token; it goes to a Mac on a command's stdin only."""
    return get_token()


def resolve(model: Model) -> Resolved:
    """The files that the model includes, with sizes and commit.

    Raises ValueError with what is wrong, in words: nothing there, no access, no match.
    """
    answer = _repository(model.repo, model.revision)
    if isinstance(answer, str):
        raise ValueError(answer)
    commit, files = answer
    paths = sorted(filter_repo_objects(files, allow_patterns=list(model.include)))
    if not paths:
        there = ", ".join(sorted(files)[:20])
        raise ValueError(f"include={list(model.include)} matches nothing; {model.repo} has {there}")
    try:
        first = first_file(paths)
    except ValueError as error:
        raise ValueError(f"include={list(model.include)} {error}") from None
    return Resolved(
        name=model.name,
        repo=model.repo,
        commit=commit,
        directory=model.directory,
        first=first,
        files=tuple(File(path, files[path]) for path in paths),
        endpoint=endpoint(),
    )


@cache
def _repository(repo: str, revision: str) -> tuple[str, dict[str, int]] | str:
    """The commit of a revision, and its files with their sizes; or, in words, why there is none.

    Asked once in a run, also when it fails: a Hub that is ill may take its time each time.
    """
    try:
        info = HfApi(endpoint=endpoint(), token=token()).model_info(
            repo, revision=revision, files_metadata=True, timeout=30
        )
    except GatedRepoError:
        return f"{repo} is gated: HF_TOKEN on this workstation has no access"
    except RepositoryNotFoundError:
        return f"{repo} is not on {endpoint()}, or wants a token (HF_TOKEN)"
    except RevisionNotFoundError:
        return f"{repo} has no revision {revision!r}"
    except Exception as error:  # of whichever HTTP client huggingface_hub uses
        return f"{endpoint()} does not answer for {repo}: {error}"
    return info.sha or revision, {file.rfilename: file.size or 0 for file in info.siblings or []}
