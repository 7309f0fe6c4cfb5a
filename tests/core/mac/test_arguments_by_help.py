"""Command lines are read as the installed llama-server reads them."""

import pytest

from herd.core.mac.arguments_by_help import refused
from herd.core.mac.facts_lock import LlamaServer
from herd.core.mac.llama_server_flags import Flags
from tests.core.mac.test_llama_server_flags import CURRENT_HELP, TRANSITION

# Entries of `llama-server --help`, captured from builds 10068 and 10434.
HELP = (
    CURRENT_HELP
    + """
--temp, --temperature N                 temperature (default: 0.80)
--jinja, --no-jinja                     whether to use jinja template engine for chat (default:
                                        enabled)
--control-vector-layer-range START END
                                        layer range to apply the control vector(s) to, start and end
                                        inclusive
--fim-qwen-1.5b-default                 use default Qwen 2.5 Coder 1.5B (note: can download weights
--spec-draft-n-max N                    number of tokens to draft for speculative decoding
                                        (env: LLAMA_ARG_SPEC_DRAFT_N_MAX)


----- speculative params -----

--draft, --draft-n, --draft-max N       the argument has been removed. use --spec-draft-n-max or
                                        --spec-ngram-mod-n-max
                                        (env: LLAMA_ARG_DRAFT_MAX)
--spec-ngram-min-hits N                 the argument has been removed. use the respective
                                        --spec-ngram-*-min-hits


----- example-specific params -----
"""
)
FLAGS = Flags.parse(HELP)


def test_what_help_calls_removed_is_not_known_and_has_its_replacement() -> None:
    assert FLAGS.removed == {
        **dict.fromkeys(
            ("--draft", "--draft-n", "--draft-max"),
            "use --spec-draft-n-max or --spec-ngram-mod-n-max",
        ),
        "--spec-ngram-min-hits": "use the respective --spec-ngram-*-min-hits",
    }
    assert not FLAGS.known & FLAGS.removed.keys()
    assert "--spec-draft-n-max" in FLAGS.known


def test_how_many_values_a_flag_has_is_what_help_shows() -> None:
    wanted = {"--jinja": 0, "--no-jinja": 0, "--temp": 1, "--temperature": 1, "-ctkd": 1}

    assert {flag: FLAGS.values(flag) for flag in wanted} == wanted
    assert FLAGS.values("--control-vector-layer-range") == 2
    assert FLAGS.values("--fim-qwen-1.5b-default") == 0


def test_facts_lock_keeps_all_of_it() -> None:
    assert LlamaServer.of(FLAGS).flags == FLAGS
    assert LlamaServer.of(FLAGS).name != LlamaServer.of(Flags.parse(CURRENT_HELP)).name


@pytest.mark.parametrize(
    "words",
    [
        ["--temp", "-1", "--jinja", "-c", "8192", "--load_mode", "none"],
        ["--control-vector-layer-range", "1", "9", "--no-jinja"],
        ["--temperature", "hot and cold", "--ctx_size", "0"],
    ],
    ids=str,
)
def test_what_it_takes_is_not_refused(words: list[str]) -> None:
    assert list(refused(FLAGS, words)) == []


REFUSED = {
    "removed": (["--draft-max", "16", "--jinja"], "has removed --draft-max.", "use --spec-draft-n"),
    "removed, with an underscore": (["--draft_max", "16"], "removed --draft_max.", "use --spec-d"),
    "gone without a word": (["--no-mmap"], "knows no --no-mmap.", 'write "--load-mode", "none"'),
    "a slip": (["--temprature", "-1"], "knows no --temprature.", "did you mean --temperature?"),
    "one dash for two": (["-temp", "1"], "knows no -temp.", "did you mean --temp?"),
    "of no build": (["--frobnicate"], "knows no --frobnicate.", "upgrade llama.cpp"),
    "no value": (["--temp"], "--temp has no value.", "write one"),
    "a flag for a value": (["--temp", "--jinja"], "--temp has no value.", "write one"),
    "one of two values": (["--control-vector-layer-range", "1"], "no value.", "write one"),
    "a value too many": (["--jinja", "8"], "'8' belongs to no flag.", "write its flag"),
    "a value of nothing": (["8"], "'8' belongs to no flag.", "write its flag"),
    "two in one": (["--temp 0.7"], "is one string: write two", "mend extra_args"),
    "with =": (["--temp=0.7"], 'write two strings, "--temp", "0.7"', "mend extra_args"),
}


@pytest.mark.parametrize(("words", "what", "fix"), REFUSED.values(), ids=REFUSED)
def test_what_it_does_not_take_is_told_once_with_the_mend(
    words: list[str], what: str, fix: str
) -> None:
    (told,) = refused(FLAGS, words)

    assert what in told.what
    assert fix in told.fix
    assert told.word == words[0 if words[0] != "--jinja" else 1]


def test_what_is_deprecated_is_still_taken() -> None:
    assert list(refused(Flags.parse(TRANSITION), ["--mlock"])) == []
