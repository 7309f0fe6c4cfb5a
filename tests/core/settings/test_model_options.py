"""Settings of a model that each are a flag of llama-server, or a key of its entry in llama-swap."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from herd.core.files import templates
from herd.core.mac.arguments_by_help import refused, setting_of
from herd.core.mac.layout import Layout
from herd.core.mac.llama_server_flags import CURRENT, Flags, arguments
from herd.core.settings.llama_server_options import FLAGS
from lab.llama_server import NAMED, installed, write_wrapper
from tests.core.samples import declare, one_model, problems, resolved

SERVER: dict[str, Any] = {
    "temperature": 1,
    "top_k": 0,
    "top_p": 0.95,
    "min_p": 0.05,
    "repeat_penalty": 1.1,
    "presence_penalty": -0.5,
    "frequency_penalty": 0.0,
    "reasoning_format": "deepseek",
    "reasoning_budget": -1,
    "jinja": False,
    "chat_template": "it's {{ x }}",
    "chat_template_kwargs": {"enable_thinking": False, "say": 'it\'s "so"'},
    "context_shift": True,
    "cache_reuse": 256,
    "slot_save_path": "~/slots",
    "spec_type": "ngram-mod",
    "spec_draft_n_max": 16,
    "spec_draft_n_min": 2,
    "spec_draft_p_min": 0.75,
    "pooling": "last",
    "metrics": True,
}
LINES = [
    ["--temp", "1.0"],
    ["--top-k", "0"],
    ["--top-p", "0.95"],
    ["--min-p", "0.05"],
    ["--repeat-penalty", "1.1"],
    ["--presence-penalty", "-0.5"],
    ["--frequency-penalty", "0.0"],
    ["--reasoning-format", "deepseek"],
    ["--reasoning-budget", "-1"],
    ["--no-jinja"],
    ["--chat-template", "it's {{ x }}"],
    ["--chat-template-kwargs", '{"enable_thinking": false, "say": "it\'s \\"so\\""}'],
    ["--context-shift"],
    ["--cache-reuse", "256"],
    ["--slot-save-path", "/Users/me/slots"],
    ["--spec-type", "ngram-mod"],
    ["--spec-draft-n-max", "16"],
    ["--spec-draft-n-min", "2"],
    ["--spec-draft-p-min", "0.75"],
    ["--pooling", "last"],
    ["--metrics"],
]


def config(**fields: Any) -> dict[str, Any]:
    """The model's entry in config.yaml."""
    layout = Layout(one_model(**fields), "/Users/me")
    text = templates.config(layout, [resolved()], CURRENT, preload=[])
    entry: dict[str, Any] = yaml.safe_load(text)["models"]["tiny"]
    return entry


def test_each_setting_is_its_flag() -> None:
    assert SERVER.keys() == FLAGS.keys()

    layout = Layout(one_model(**SERVER, extra_args=["--keep", "8"]), "/Users/me")
    model = layout.at_home(layout.settings.models["tiny"])
    assert arguments(model, "/m.gguf", CURRENT)[-len(LINES) - 1 :] == [*LINES, ["--keep", "8"]]
    assert layout.slot_directories == ["/Users/me/slots"]


def test_what_is_not_set_is_not_said() -> None:
    layout = Layout(one_model(), "/Users/me")
    words = {
        word for line in arguments(layout.settings.models["tiny"], "/m", CURRENT) for word in line
    }

    assert not words & {name for flag in FLAGS.values() for name in (*flag.names, flag.off)}
    assert layout.slot_directories == []


def test_a_real_llama_server_knows_every_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed():
        pytest.skip("there is no llama-server on this workstation")
    monkeypatch.setenv(NAMED, str(installed()[0]))
    program = tmp_path / "llama-server"
    write_wrapper(program, "current")
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    flags = Flags.parse(text)

    words = [word for line in LINES for word in line]
    assert list(refused(flags, words)) == []


def test_an_older_build_gets_the_name_that_it_knows() -> None:
    old = Flags(frozenset({"--draft-max", "--temp"}), True)
    lines = arguments(one_model(spec_draft_n_max=8).models["tiny"], "/m.gguf", old)

    assert ["--draft-max", "8"] in lines


def test_a_build_without_the_flag_is_told_by_the_setting() -> None:
    model = one_model(reasoning_budget=0, extra_args=["--jinja"]).models["tiny"]

    assert setting_of(model, "--reasoning-budget") == "reasoning_budget"
    assert setting_of(model, "--jinja") == "extra_args"
    assert setting_of(model, "--parallel") == "parallel"


SWAP: dict[str, Any] = {
    "display_name": "Tiny, it's # small",
    "description": "a: b",
    "unlisted": True,
    "use_model_name": "upstream's",
    "concurrency_limit": 3,
    "env": ["GGML_METAL_NDEBUG=1", "A=b=c d"],
    "aliases": ["deep"],
    "filters": {
        "strip_params": ["temperature", "top_k"],
        "set_params": {"chat_template_kwargs": {"enable_thinking": False}, "seed": 7},
        "set_params_by_id": {"deep": {"reasoning_effort": "high"}, "tiny": {"top_p": 0.5}},
    },
}


def test_llama_swap_gets_its_own_keys() -> None:
    entry = config(**SWAP)

    assert {key: entry[key] for key in entry.keys() - {"cmd", "proxy", "ttl", "aliases"}} == {
        "name": "Tiny, it's # small",
        "description": "a: b",
        "unlisted": True,
        "useModelName": "upstream's",
        "concurrencyLimit": 3,
        "env": ["GGML_METAL_NDEBUG=1", "A=b=c d"],
        "filters": {
            "stripParams": "temperature, top_k",
            "setParams": SWAP["filters"]["set_params"],
            "setParamsByID": SWAP["filters"]["set_params_by_id"],
        },
    }


def test_a_plain_model_has_none_of_them() -> None:
    assert config().keys() == {"cmd", "proxy", "ttl"}


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"parallel": 10}, None),
        ({"parallel": 16}, 16),
        ({"parallel": 16, "concurrency_limit": 2}, 2),
    ],
    ids=str,
)
def test_every_slot_may_be_used(fields: dict[str, Any], limit: int | None) -> None:
    """llama-swap lets ten requests through, if nobody says otherwise."""
    assert config(**fields).get("concurrencyLimit") == limit


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a text for a number": ({"temperature": "0.7"}, "valid number"),
    "no number": ({"temperature": float("nan")}, "finite number"),
    "more than all": ({"top_p": 1.5}, "less than or equal to 1"),
    "half a token": ({"top_k": 1.5}, "valid integer"),
    "less than no thought": ({"reasoning_budget": -2}, "greater than or equal to -1"),
    "no format": ({"reasoning_format": "openai"}, "'deepseek-legacy'"),
    "a path that is none": ({"slot_save_path": "slots"}, "is not an absolute path"),
    "a macro in JSON": ({"chat_template_kwargs": {"a": "${x}"}}, "macro"),
    "what is no JSON": ({"chat_template_kwargs": {"a": {1, 2}}}, "is no JSON"),
    "a flag and its setting": (
        {"temperature": 0.5, "extra_args": ["--temperature", "1"]},
        "temperature is 0.5, and extra_args has --temperature: say it once",
    ),
    "a way to load beside mlock": (
        {"extra_args": ["--load-mode", "none"]},
        "mlock is True, and extra_args has --load-mode: set mlock to False",
    ),
    "a switch and its other side": (
        {"jinja": True, "extra_args": ["--no-jinja"]},
        "jinja is True, and extra_args has --no-jinja",
    ),
    "no pair": ({"env": ["A"]}, 'is no "NAME=value"'),
    "a small name": ({"env": ["a=1"]}, 'is no "NAME=value"'),
    "an argument in disguise": ({"env": ["LLAMA_ARG_HOST=0.0.0.0"]}, "arguments that no check"),
    "a key in disguise": ({"env": ["LLAMA_API_KEY=x"]}, "arguments that no check sees"),
    "a token": ({"env": ["HF_TOKEN=hf_secret"]}, "arguments that no check sees"),
    "another's key": ({"env": ["BRAVE_API_KEY=sk-secret"]}, "a secret in settings"),
    "a variable twice": ({"env": ["A=1", "A=2"]}, "sets A twice"),
    "the model's name stripped": ({"filters": {"strip_params": ["model"]}}, "routes by"),
    "the model's name set": ({"filters": {"set_params": {"model": "x"}}}, "routes by"),
    "two parameters in one": ({"filters": {"strip_params": ["a, b"]}}, "no name of a parameter"),
    "another model's name": (
        {"filters": {"set_params_by_id": {"big": {"a": 1}}}},
        "'big', which is no name of this model",
    ),
    "a name too long": ({"display_name": "x" * 129}, "at most 128"),
    "llama-swap's own spelling": ({"useModelName": "x"}, "no such setting: useModelName"),
}


@pytest.mark.parametrize(("fields", "told"), BAD.values(), ids=BAD)
def test_a_wrong_value_is_told_before_anything_is_connected_to(
    fields: dict[str, Any], told: str
) -> None:
    models = {"gpt-oss-120b": None, "tiny": {"repo": "me/tiny-GGUF", **fields}}
    said = "\n".join(f"{p.where} {p.what} {p.fix}" for p in problems(declare(models=models)))

    assert told in said
    assert "secret" not in said.replace("a secret in settings", "")


def test_without_mlock_weights_may_be_loaded_in_any_way() -> None:
    model = one_model(mlock=False, extra_args=["--load-mode", "none"]).models["tiny"]

    assert ["--load-mode", "none"] in arguments(model, "/m.gguf", CURRENT)


def test_a_refused_key_is_not_shown() -> None:
    models = {"tiny": {"repo": "me/tiny-GGUF", "extra_args": ["--api-key", "sk-0123"]}}
    (problem,) = problems(declare(models=models))

    assert "--api-key, which" in problem.what
    assert "sk-0123" not in f"{problem.what} {problem.fix}"
