"""GGUF files come whole or in splits; llama-server is given the first, and finds its siblings.

The case of `.gguf` means nothing in a whole file; of splits llama.cpp makes the names itself.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

# llama.cpp names them so, and refuses others ("invalid split file name", llama-model-loader.cpp).
_SPLIT = re.compile(r"^(?P<prefix>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)
# Cut by other programs, to be joined before anything can read them.
_PIECE = re.compile(r"\.gguf([._-]?(part|split|chunk)|\.\d|\.a[a-z]$)", re.IGNORECASE)


def is_gguf(path: str) -> bool:
    """Whether a file says by its name that it is one."""
    return path.lower().endswith(".gguf")


def is_piece(path: str) -> bool:
    """Whether it is cut out of a GGUF file, as `m.gguf.part1of2`."""
    return not is_gguf(path) and _PIECE.search(path.rpartition("/")[2]) is not None


def sets(paths: Iterable[str]) -> dict[str, list[str]]:
    """Each whole GGUF file, and each set of splits that are there, by its first file's name."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(filter(is_gguf, paths)):
        match = _SPLIT.match(path)
        found[_named(path, match, 1) if match else path].append(path)
    return dict(sorted(found.items(), key=lambda item: (bool(_SPLIT.match(item[0])), item[0])))


def first_file(paths: Iterable[str]) -> str:
    """The file to serve among those of one model (paths relative to its repository).

    Raises ValueError when there is no model, more than one, or an incomplete set of splits.
    """
    found = sets(paths)
    if not found:
        raise ValueError("matches no GGUF file")
    if len(found) > 1:
        raise ValueError(f"matches {len(found)} models: {some(list(found))}")
    ((first, files),) = found.items()
    if wrong := fault(first, files):
        raise ValueError(wrong)
    return first


def fault(first: str, files: Sequence[str]) -> str | None:
    """Why llama.cpp could not load a set of splits by its first file; None for a whole file."""
    match = _SPLIT.match(first)
    if match is None:
        return None
    count = int(match["count"])
    numbers = {int(found["number"]) for file in files if (found := _SPLIT.match(file))}
    if missing := sorted(set(range(1, count + 1)) - numbers):
        lacking = [_named(first, match, number) for number in missing]
        return f"lacks {len(missing)} of {count} splits: {some(lacking)}"
    if beyond := sorted(numbers - set(range(1, count + 1))):
        return f"has splits beyond {count}: {some([_named(first, match, n) for n in beyond])}"
    if not first.endswith(".gguf"):
        return f"has splits whose names end in {first[-5:]}, which llama.cpp does not find"
    return None


def siblings(first: str, files: Mapping[str, int]) -> dict[str, int]:
    """Of these files with their sizes, those that are loaded with the first."""
    return {path: files[path] for path in sets(files).get(first, []) if path in files}


def split_count(first: str) -> int:
    """How many files its name says that it has; 1 of a whole one."""
    match = _SPLIT.match(first)
    return int(match["count"]) if match else 1


def pattern(first: str) -> str:
    """What includes this model and nothing else: its name, or that of all its splits."""
    match = _SPLIT.match(first)
    plain = re.sub(r"[\[?*]", r"[\g<0>]", match["prefix"] if match else first)
    return f"{plain}-*-of-{match['count']}{first[-5:]}" if match else plain


def _named(path: str, match: re.Match[str], number: int) -> str:
    return f"{match['prefix']}-{number:05d}-of-{match['count']}{path[-5:]}"


def models_in(paths: Iterable[str]) -> list[str]:
    """What a repository has, in short: its models, a set of splits by its first; else all files."""
    paths = list(paths)
    found = []
    for path in sorted(filter(is_gguf, paths)):
        match = _SPLIT.match(path)
        if match is None:
            found.append(path)
        elif match["number"] == "00001":
            found.append(f"{path} ({int(match['count'])} splits)")
    return found or sorted(paths)


def some(names: Sequence[str], most: int = 6) -> str:
    """The first few of these, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
