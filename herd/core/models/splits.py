"""GGUF files come whole or in splits; llama-server is given the first, and finds its siblings."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

# llama.cpp names them so, and refuses others ("invalid split file name", llama-model-loader.cpp).
_SPLIT = re.compile(r"^(?P<prefix>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")


def first_file(paths: Iterable[str]) -> str:
    """The file to serve among the GGUF files of a model (paths relative to its repository).

    A projector (`mmproj-*.gguf`) goes along with a model, so it does not count as another one.
    Raises ValueError when there is no model, more than one, or an incomplete set of splits.
    """
    splits: dict[tuple[str, int], set[int]] = defaultdict(set)
    wholes: list[str] = []
    for path in sorted(paths):
        if not path.endswith(".gguf") or path.rpartition("/")[2].startswith("mmproj"):
            continue
        if match := _SPLIT.match(path):
            splits[match["prefix"], int(match["count"])].add(int(match["number"]))
        else:
            wholes.append(path)
    found = wholes + [f"{prefix}-00001-of-{count:05d}.gguf" for prefix, count in sorted(splits)]
    if not found:
        raise ValueError("matches no GGUF file")
    if len(found) > 1:
        raise ValueError(f"matches {len(found)} models: {some(found)}")
    for (prefix, count), numbers in splits.items():
        if missing := sorted(set(range(1, count + 1)) - numbers):
            names = [f"{prefix}-{number:05d}-of-{count:05d}.gguf" for number in missing]
            raise ValueError(f"lacks {len(missing)} of {count} splits: {some(names)}")
        if beyond := sorted(numbers - set(range(1, count + 1))):
            names = [f"{prefix}-{number:05d}-of-{count:05d}.gguf" for number in beyond]
            raise ValueError(f"has splits beyond {count}: {some(names)}")
    return found[0]


def models_in(paths: Iterable[str]) -> list[str]:
    """What a repository has, in short: its models, a set of splits by its first; else all files."""
    found = []
    for path in sorted(path for path in paths if path.endswith(".gguf")):
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
