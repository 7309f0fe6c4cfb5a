"""Arguments with which the llama-server of a Mac would not start, by its own --help."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from herd.core.mac.llama_server_flags import Flags
from herd.core.settings.extra_args import FLAG, OWNED_FLAGS, canonical, not_one_word
from herd.core.settings.schema import Model


@dataclass(frozen=True)
class Refused:
    """A word of a command line, what is wrong with it, and how to mend it; both are sentences."""

    word: str
    what: str
    fix: str


# What flags that are gone without a word in --help are called now (llama.cpp #20834, #28334).
_GONE = {
    "--no-mmap": "--load-mode none",
    "--mmap": "--load-mode mmap",
    "--mlock": "--load-mode mmap+mlock",
    **dict.fromkeys(("-dio", "--direct-io"), "--load-mode dio"),
    **dict.fromkeys(("-ndio", "--no-direct-io"), "--load-mode auto"),
}


def refused(flags: Flags, words: Sequence[str]) -> Iterator[Refused]:
    """The words of a command line that this llama-server does not take, without its program."""
    at = 0
    while at < len(words):
        word = words[at]
        flag = canonical(word)
        at += 1
        if flag in flags.known:
            for _ in range(flags.values(flag)):
                if at == len(words) or canonical(words[at]) in flags.known | flags.removed.keys():
                    yield Refused(word, f"{word} has no value.", "write one behind it.")
                    break
                at += 1
        elif flag in flags.removed:
            told = flags.removed[flag]
            what = f"this Mac's llama-server has removed {word}."
            yield Refused(word, what, f"{told}." if told else "leave it out.")
            at += at < len(words) and not FLAG.fullmatch(words[at])
        elif split := not_one_word(word):
            yield Refused(word, f"{split}.", "mend extra_args.")
        elif FLAG.fullmatch(word):
            yield Refused(word, f"this Mac's llama-server knows no {word}.", _instead(flags, flag))
            # What follows may be its value, or not.
            at += at < len(words) and not FLAG.fullmatch(words[at])
        else:
            yield Refused(word, f"{word!r} belongs to no flag.", "write its flag before it.")


def setting_of(model: Model, word: str) -> str:
    """The setting of a model that a word of its command line is from."""
    flag = canonical(word)
    given = (name for name, each, _ in model.given if flag in (*each.names, each.off))
    return next(given, OWNED_FLAGS.get(flag, "extra_args"))


def _instead(flags: Flags, flag: str) -> str:
    if (now := _GONE.get(flag)) and now.split()[0] in flags.known:
        strings = '", "'.join(now.split())
        return f'write "{strings}", with mlock = False.'
    near = difflib.get_close_matches(flag, flags.known, 1)
    hint = f"did you mean {near[0]}? Else" if near else "mend extra_args, or"
    return f"{hint} upgrade llama.cpp there."
