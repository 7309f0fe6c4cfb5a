"""Which arguments of llama-server `extra_args` may have, whatever build is on the Mac.

What that build takes is another matter: herd/core/mac/arguments_by_help.py.
"""

import itertools
import json
import re
from collections.abc import Iterator, Sequence

FLAG = re.compile(r"--?[A-Za-z][\w.-]*")

# Flags of llama-server that a setting of ours always writes.
OWNED_FLAGS = {
    **dict.fromkeys(("-m", "--model"), "include"),
    **dict.fromkeys(("-c", "--ctx-size"), "ctx_size"),
    **dict.fromkeys(("-np", "--parallel"), "parallel"),
    **dict.fromkeys(("-ctk", "--cache-type-k"), "cache_type_k"),
    **dict.fromkeys(("-ctv", "--cache-type-v"), "cache_type_v"),
    **dict.fromkeys(("-fa", "--flash-attn"), "flash_attention"),
    **dict.fromkeys(("--host", "--port"), "llama_server_start_port"),
    **dict.fromkeys(("-a", "--alias"), "the model's name"),
}

# Ways to load weights: `mlock` is one of them, and what it does not say may be said instead.
LOAD_MODES = {
    *("-lm", "--load-mode", "--mlock", "--mmap", "--no-mmap"),
    *("-dio", "--direct-io", "-ndio", "--no-direct-io"),
}

# Patterns of flags that no model may have, with the reason: read off the --help of builds 10068 to
# 11434, by their kinds, so that the next one of a kind is refused, too.
REFUSED_FLAGS = {
    "-hft|--hf-token": "shows a token to everybody on the Mac; HF_TOKEN on the workstation is for "
    "`make lock` and the deploy",
    r"-hf\w*|--hf-[\w-]+|--[\w-]+-hf|-mu|-mmu|-dr|--docker-repo|--[\w-]+-url"
    r"|--(?!spec-default)[\w.-]+-(default|spec)": "has llama-server fetch what models.lock does "
    "not know; declare it as a model of its own",
    r"--api-key[\w-]*": "shows a key to everybody on the Mac, and llama-swap would not know it; "
    "llama-server has one already, and clients have those of api_keys",
    r"--ssl-[\w-]+": "makes it speak TLS, and llama-swap reaches it by plain HTTP, on loopback; "
    "proxy_tls_certificate is for clients",
    "--api-prefix": "moves it to where llama-swap does not find it",
    r"--(no-)?models-[\w-]+": "makes it a router of models, which llama-swap is here",
    "--reuse-port": "lets other programs take its requests",
    "--path|--media-path": "lets requests read files of the Mac",
    r"--tools|--tools-[\w-]+|-ag|--agent|--mcp-[\w-]+|--(web)?ui-mcp-proxy": "lets who may chat "
    "run tools on the Mac, or reach what it reaches",
    r"--cors-[\w-]+": "lets other pages read its answers; proxy_allow_origins is for those",
    "--log-file|--log-prompts-dir": "keeps what people ask in a file that nobody empties; its "
    "words are in llama-swap.log",
    "-h|--help|--usage|--version|-cl|--cache-list|--completion-bash|--list-devices": "has it say "
    "something and end: no model is served",
}


# Whose value llama-server reads as JSON, and ends where it is none.
_OF_JSON = {"--chat-template-kwargs", "-j", "--json-schema"}


def canonical(word: str) -> str:
    """A flag as llama-server reads it, to whom `_` is `-` behind two dashes (common/arg.cpp)."""
    return word.replace("_", "-") if word.startswith("--") else word


def not_one_word(word: str) -> str | None:
    """What is wrong with a word that begins with a flag and goes on; None where it does not."""
    start, _, rest = word.partition("=")
    if rest and FLAG.fullmatch(start):
        return f'llama-server takes no {start}=…: write two strings, "{start}", "{rest}"'
    start, *values = word.split(maxsplit=1)[:2] or [""]
    if start != word and FLAG.fullmatch(start):
        strings = '", "'.join([start, *values]).rstrip()
        number = "two strings" if values else "without the blanks"
        return f'{word!r} is one string: write {number}, "{strings}"'
    if word[:1] in "‐‑‒–—―−" and FLAG.fullmatch(f"--{word.lstrip('‐‑‒–—―−-')}"):
        return f'{word!r} begins with a dash of prose: write "--{word.lstrip("‐‑‒–—―−-")}"'
    return None


def complaints(words: Sequence[str]) -> Iterator[str]:
    """Everything that is wrong with extra arguments, each in words that follow their list."""
    if words and not words[0].startswith(("-", *"‐‑‒–—―−")) and not not_one_word(words[0]):
        yield f"begins with {words[0]!r}, which is no flag"
    for word in words:
        flag = canonical(
            word.strip().partition("=")[0].split(maxsplit=1)[0] if word.strip() else ""
        )
        if reason := next(
            (why for which, why in REFUSED_FLAGS.items() if re.fullmatch(which, flag)), ""
        ):
            yield f"holds {flag}, which {reason}"  # and not its value, which may be a key
        elif split := not_one_word(word):
            yield f"holds what llama-server does not take: {split}"
        if flag in OWNED_FLAGS:
            yield f"holds {flag}, which {OWNED_FLAGS[flag]} sets"
        if word.startswith("~/"):
            yield f"holds {word!r}, where llama-server expands no ~: write the whole path"
    yield from _said_again([canonical(word) for word in words if FLAG.fullmatch(word)])
    for word, value in itertools.pairwise([*words, ""]):
        if canonical(word) in _OF_JSON and not _is_json(value):
            yield f"holds {word} with what is no JSON: keys and texts are in double quotes there"


def _said_again(flags: Sequence[str]) -> Iterator[str]:
    for flag in dict.fromkeys(flags):
        if flags.count(flag) > 1 and flag != "--spec-type":
            yield (
                f"holds {flag} twice, of which llama-server may take the last alone: write it "
                "once, with commas between its values"
            )
        if flag.startswith("--no-") and (on := f"--{flag[5:]}") in flags:
            yield f"holds both {on} and {flag}: write one of them"


def _is_json(value: str) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True
