"""What models of one Mac cannot have beside each other on its disk."""

from collections.abc import Iterable, Iterator

from fetcher import names
from herd.core.models.missing_files import Resolved


def clashes(models: Iterable[Resolved], command: str) -> Iterator[tuple[str, str, str]]:
    """One path for files of two repositories, or of two commits of one; paths that are one to the
    disk. Each with the model's name and how to mend it; `command` locks all models."""
    owners: dict[str, Resolved] = {}
    for model in models:
        for each in (model, *model.elsewhere):
            for path in map(each.path, each.files):
                owner = owners.setdefault(path, each)
                if (owner.repo, owner.commit) != (each.repo, each.commit):
                    yield (
                        model.name,
                        f"{path} is wanted of {owner.repo} at {owner.commit[:12]}, too.",
                        "declare models of one directory from one repository and revision, "
                        f"and run `{command}`, which locks them together.",
                    )
                    break
    for one, other in names.clashes(owners):
        yield (
            owners.get(other, owners[one] if one in owners else next(iter(owners.values()))).name,
            f"{other!r} cannot be beside {one!r}: a Mac's disk does not tell their names apart.",
            "declare one of the two, or serve the other from another host.",
        )
