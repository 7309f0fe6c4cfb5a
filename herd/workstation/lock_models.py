"""models.lock beside an inventory: where it is, what it says, and how it is made."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from herd.core.models import models_lock, one_disk
from herd.core.models.models_lock import Lock, Locked, Terms
from herd.core.models.tasks import task_of
from herd.core.settings.problems import Problem, SettingsError, count, report
from herd.core.settings.schema import Model, Settings
from herd.workstation import hugging_face, resolve_model, typed_commands
from herd.workstation.herd_directory import directory


def beside(inventory: str) -> Path:
    """The lock of an inventory."""
    return directory(inventory) / models_lock.FILE


def read(path: Path) -> Lock:
    """A lock, empty when there is none. Raises ValueError with what is wrong with it, in words."""
    try:
        return models_lock.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Lock()
    except UnicodeDecodeError:
        raise ValueError("is no text") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def write(path: Path, models: Iterable[Locked]) -> bool:
    """Have a lock of these models; whether that was a change. A kill leaves one or the other.

    Raises ValueError, in words, when it cannot be written.
    """
    text = models_lock.dump(Lock(models=list(models)))
    try:
        if path.exists() and path.read_bytes() == text.encode():
            return False
        new = path.with_name(f".{path.name}.new")
        new.write_text(text, encoding="utf-8")
        os.replace(new, path)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from None
    return True


def look(held: Lock, model: Model) -> tuple[Locked, bool]:
    """A declared model as it is locked, else as it is on the Hub now; and whether it is locked.

    Raises ValueError, in words, when the Hub has no such model.
    """
    if found := held.find(model.name, Terms.of(model)):
        return found, True
    return resolve_model.resolve(model), False


def tasks(inventory: str, settings: Settings) -> dict[str, str]:
    """What each model does, as far as the lock beside the inventory tells."""
    try:
        held = read(beside(inventory))
    except ValueError:
        held = Lock()
    found = {}
    for name, model in settings.models.items():
        locked = held.find(name, Terms.of(model))
        found[name] = task_of(model, locked.resolved("") if locked else None)
    return found


def command(inventory: str, model: str | None = None) -> str:
    """What a person types to lock a model, or all."""
    chosen = {} if model is None else {"MODEL": model}
    where = {} if inventory == "inventory.py" else {"INVENTORY": inventory}
    return typed_commands.command("lock", **chosen, **where)


def make(
    path: Path,
    declared: Mapping[str, Iterable[Model]],
    chosen: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """Lock the declared models of hosts by name, or the chosen names among them, as they are now.

    Raises SettingsError with every model that cannot be locked; then nothing is written.
    """
    wanted = _wanted(declared)
    names = Counter(name for name, _ in wanted)
    if unknown := [name for name in chosen if name not in names]:
        raise ValueError(
            f"no host declares {', '.join(map(repr, unknown))}; "
            f"declared are {', '.join(names) or 'none'}"
        )
    before = _before(path, chosen, say)
    stay = [model for model in before.models if chosen and model.name not in chosen]
    gone = [model for model in before.models if model not in stay]
    made: list[Locked] = []
    problems: list[Problem] = []
    for (name, terms), (model, hosts) in wanted.items():
        if chosen and name not in chosen:
            continue
        try:
            made.append(look(Lock(), model)[0])
        except ValueError as error:
            fix = "mend its repo, revision or include; HF_ENDPOINT and HF_TOKEN are this shell's."
            problems += [Problem(f"{host}: models.{name}", f"{error}.", fix) for host in hosts]
            say(f"{name}: cannot be locked")
            continue
        was = before.find(name, terms)
        if was is None and names[name] == len(before.named(name)) == 1:
            (was,) = before.named(name)  # declared otherwise
        gone = [model for model in gone if model is not was]
        say(f"{name}: {models_lock.change(was, made[-1])}")
    problems += _on_one_disk(declared, [*stay, *made])
    if problems:
        title = f"{count(problems)} with the models; {path} is as it was."
        raise SettingsError(report(title, problems))
    for old in gone:
        say(f"{old.name}: removed, no host declares it: {models_lock.described(old)}")
    changed = write(path, [*stay, *made])
    say(f"{path} is written; it belongs in git" if changed else f"{path} is as it was")


def _on_one_disk(
    declared: Mapping[str, Iterable[Model]], locked: Sequence[Locked]
) -> Iterator[Problem]:
    """What each host's models cannot have beside each other."""
    lock = {(model.name, model.terms): model for model in locked}
    for host, models in declared.items():
        found = [lock.get((model.name, Terms.of(model))) for model in models]
        files = [model.resolved(hugging_face.endpoint()) for model in found if model]
        for model, what, fix in one_disk.clashes(files, typed_commands.command("lock")):
            yield Problem(f"{host}: models.{model}", what, fix)


def _wanted(
    declared: Mapping[str, Iterable[Model]],
) -> dict[tuple[str, Terms], tuple[Model, list[str]]]:
    """Each model once, by name and terms and in that order, with the hosts that declare it."""
    found: dict[tuple[str, Terms], tuple[Model, list[str]]] = {}
    for host, models in declared.items():
        for model in models:
            found.setdefault((model.name, Terms.of(model)), (model, []))[1].append(host)
    return dict(sorted(found.items()))


def _before(path: Path, chosen: Sequence[str], say: Callable[[str], None]) -> Lock:
    """The lock to compare with; one that cannot be read is no loss when all is locked anew."""
    try:
        return read(path)
    except ValueError as error:
        if chosen:
            how = typed_commands.command("lock")
            raise ValueError(f"{path} {error}; lock all models anew with `{how}`") from None
        say(f"{path} {error}; it is to be made anew")
        return Lock()


def faults(
    held: Lock, path: Path, inventory: str, models: Iterable[Model]
) -> Iterator[tuple[Model, str, str, str]]:
    """Of the models that are not locked as declared: the setting that differs, what is wrong, and
    the mend."""
    for model in models:
        terms = Terms.of(model)
        if held.find(model.name, terms):
            continue
        mend = f"run `{command(inventory, model.name)}`, and commit {path.name}."
        others = held.named(model.name)
        if not path.exists():
            mend = f"run `{command(inventory)}`, and commit {path.name}."
            yield model, "", f"There is no {path}, which says what to fetch.", mend
        elif len(others) == 1:
            differs = terms.instead_of(others[0].terms)
            what = f"{path} has it under other terms: here {' and '.join(differs.values())}."
            yield model, next(iter(differs)), what, mend
        else:
            under = " under these terms" if others else ""
            yield model, "", f"It is not in {path}{under}.", mend
