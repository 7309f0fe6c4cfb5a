"""How fast a model read and wrote, as llama-server itself tells in `timings`, and whether that is
otherwise than the last time."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

SCHEMA = 1
"""Of the file where they are kept."""


@dataclass(frozen=True)
class Speed:
    """Tokens per second of a prompt that was not cached, and of the answer, with tokens of each.

    `build` is llama-server's own word ("b11434-003a32eb"), "" where it tells none; `when` is UTC.
    """

    host: str
    model: str
    build: str
    prompt: float
    generation: float
    prompt_tokens: int
    generated_tokens: int
    when: str


def measured(host: str, model: str, answers: Sequence[Any], when: str) -> Speed:
    """The median of several answers. Raises ValueError when one has no timings."""
    try:
        times = [answer["timings"] for answer in answers]
        return Speed(
            host=host,
            model=model,
            build=str(answers[-1].get("system_fingerprint") or ""),
            prompt=median(1000 * each["prompt_n"] / each["prompt_ms"] for each in times),
            generation=median(1000 * each["predicted_n"] / each["predicted_ms"] for each in times),
            prompt_tokens=int(median(int(each["prompt_n"]) for each in times)),
            generated_tokens=int(median(int(each["predicted_n"]) for each in times)),
            when=when,
        )
    except (ArithmeticError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"the answer has no timings of llama-server: {error!r}") from None


def last(speeds: Iterable[Speed], host: str, model: str) -> Speed | None:
    """Of this model on this host."""
    found = [each for each in speeds if (each.host, each.model) == (host, model)]
    return max(found, key=lambda each: each.when, default=None)


def kept(speeds: Iterable[Speed], new: Speed) -> list[Speed]:
    """With a new one in place of that of the same host, model and build."""
    same = (new.host, new.model, new.build)
    return [*(each for each in speeds if (each.host, each.model, each.build) != same), new]


def words(now: Speed, before: Speed | None) -> str:
    """For a person, beside the last."""
    old = (before.prompt, before.generation) if before else (0.0, 0.0)
    prompt = f"prompt {now.prompt:.1f} tok/s{_change(now.prompt, old[0])}"
    text = f"answer {now.generation:.1f} tok/s{_change(now.generation, old[1])}"
    of = f"{now.prompt_tokens} and {now.generated_tokens} tokens, build {now.build or 'unknown'}"
    if before is None:
        return f"{prompt}, {text} ({of})"
    build = f" with build {before.build or 'unknown'}" if before.build != now.build else ""
    return f"{prompt}, {text} ({of}; before: {before.when[:10]}{build})"


def _change(now: float, before: float) -> str:
    return f" ({(now / before - 1) * 100:+.0f} %)" if before else ""


def dump(speeds: Iterable[Speed]) -> str:
    """A line for each, so that git shows which are new."""
    lines = ",\n".join(f"  {json.dumps(asdict(each), ensure_ascii=False)}" for each in speeds)
    return f'{{"schema": {SCHEMA}, "speeds": [\n{lines}\n]}}\n'


def parse(text: str) -> list[Speed]:
    """Raises ValueError when it is no such file."""
    try:
        said = json.loads(text)
        if said["schema"] != SCHEMA:
            raise ValueError(f"has schema {said['schema']}, and this knows {SCHEMA}")
        return [Speed(**each) for each in said["speeds"]]
    except (LookupError, TypeError) as error:
        raise ValueError(f"is no list of speeds: {error!r}") from None
