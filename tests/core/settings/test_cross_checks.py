"""Every kind of bad setting is reported, all at once, with its place and a fix; nothing raises."""

from typing import Any

import pytest

from herd.core.settings import cross_checks
from herd.core.settings.cross_checks import Declared
from herd.core.settings.precedence import Layer
from herd.core.settings.problems import report
from tests.core.samples import ALL, assert_told, declare, defaults, groups, model, problems

HOST = "from host mac1 of the inventory"
LISTS = "the toolkit's docs/settings.md lists them all"
OTHER = "give it another name"


# What a host says; where the problem is, what is wrong, and how to mend it.
BAD: dict[str, tuple[dict[str, Any], str, str, str]] = {
    # -- Keys
    "slip of the pen": ({"proxy_prt": 1}, "proxy_prt", "no setting proxy_prt", "mean proxy_port?"),
    "slip in the first word": ({"prxy_port": 1}, "prxy_port", "no setting", "mean proxy_port?"),
    "slip in models": ({"modles": {}}, "modles", "no setting modles", "mean models?"),
    "one of a list": (
        *({"mac_networks": ["fd00::/8", "foo"]}, "mac_networks.1", "'foo' is no network"),
        "value; the toolkit's docs/settings.md says what mac_networks means.",
    ),
    "nothing like it": ({"verify_x": 1}, "verify_x", "no setting verify_x", LISTS),
    "model key": (model(ctx_sise=1), "models.tiny.ctx_sise", "ctx_sise", "mean ctx_size?"),
    "model key like none": (model(zzz=1), "models.tiny.zzz", "zzz", "known are aliases, cache"),
    "model named twice": (model(name="x"), "models.tiny.name", "name", "known are"),
    "group key": (
        {"llama_swap_groups": {"g": {"members": ["gpt-oss-120b"], "exclusiv": True}}},
        "llama_swap_groups.g.exclusiv",
        "exclusiv",
        "mean exclusive?",
    ),
    "default key": ({"model_defaults": {"tll": 1}}, "model_defaults.tll", "tll", "mean ttl?"),
    "model without repo": ({"models": {"t": {}}}, "models.t.repo", "has no repo", "give the model"),
    "group without members": (
        {"llama_swap_groups": {"g": {}}},
        "llama_swap_groups.g.members",
        "has no members",
        "give the group",
    ),
    # -- Types and ranges
    "text for a port": ({"proxy_port": "3000"}, "proxy_port", "'3000': ", "proxy_port means"),
    "switch for a number": ({"verify_timeout": True}, "verify_timeout", "True: ", "means"),
    "number for a switch": (model(mlock=1), "models.tiny.mlock", "1: ", "mlock means"),
    "none": ({"proxy_port": None}, "proxy_port", "None: ", "proxy_port means"),
    "low port": ({"proxy_port": 80}, "proxy_port", "80: ", "proxy_port means"),
    "high port": ({"llama_swap_port": 65536}, "llama_swap_port", "65536: ", "means"),
    "hasty": ({"llama_swap_health_timeout": 5}, "llama_swap_health_timeout", "5: ", "means"),
    "autostart": ({"launchd_autostart": "on"}, "launchd_autostart", "'background'", "means"),
    "models as a list": ({"models": ["x/y"]}, "models", "dictionary", "models means"),
    "model as text": ({"models": {"t": "x/y"}}, "models.t", "dictionary", "what models means"),
    "defaults as a list": ({"model_defaults": ["x"]}, "model_defaults", "dictionary", "means"),
    "defaults as text": ({"model_defaults": "ttl"}, "model_defaults", "dictionary", "means"),
    "groups as a list": ({"llama_swap_groups": []}, "llama_swap_groups", "dictionary", "means"),
    "number for a model's name": ({"models": {5: {"repo": "x/y"}}}, "models.5", "string", OTHER),
    "macro for a model's name": (
        *({"models": {"${PORT}": {"repo": "x/y"}}}, "models.${PORT}", "reads as a macro", OTHER),
    ),
    "no name": ({"models": {"": {"repo": "x/y"}}}, "models.", "at least 1 character", OTHER),
    "field not named by text": ({"models": {"t": {"repo": "x/y", 7: 1}}}, "models.t.7", "", ""),
    # -- Models
    "repo without owner": (
        model(repo="tiny"),
        "models.tiny.repo",
        "look like a repo",
        "OWNER/NAME",
    ),
    "repo as URL": (model(repo="https://h.co/a/b"), "models.tiny.repo", "look like a repo", ""),
    "no pattern": (model(include=[]), "models.tiny.include", "at least 1", "include means"),
    "pattern not in a list": (model(include="*.gguf"), "models.tiny.include", "list", "means"),
    "negative context": (model(ctx_size=-1), "models.tiny.ctx_size", "-1: ", "means"),
    "no slots": (model(parallel=0), "models.tiny.parallel", "0: ", "parallel means"),
    "cache type": (model(cache_type_k="q3"), "models.tiny.cache_type_k", "'q8_0'", "means"),
    "flash attention": (model(flash_attention=True), "models.tiny.flash_attention", "True", ""),
    "ttl": (model(ttl=-1), "models.tiny.ttl", "-1: ", "ttl means"),
    "quantised V cache without flash attention": (
        model(cache_type_v="q8_0", flash_attention="off"),
        "models.tiny",
        "cache_type_v='q8_0' needs flash attention",
        "",
    ),
    "a flag of ours": (
        model(extra_args=["--jinja", "--port", "1"]),
        "models.tiny.extra_args",
        "holds --port, which llama_server_start_port sets",
        "",
    ),
    "a flag of ours with its value": (
        model(extra_args=["--ctx-size=4096"]),
        "models.tiny.extra_args",
        "holds --ctx-size, which ctx_size sets",
        "",
    ),
    "a short flag of ours": (model(extra_args=["-fa"]), "models.tiny.extra_args", "-fa", ""),
    # -- Names
    "empty alias": (model(aliases=[""]), "models.tiny.aliases.0", "at least 1", ""),
    "empty name": ({"models": {"": {"repo": "x/y"}}}, "models.", "at least 1", ""),
    # -- Groups
    "empty group": (groups(g=[]), "llama_swap_groups.g.members", "at least 1", ""),
    # -- Text that cannot be carried
    "macro in a name": ({"models": {"a${x}": {"repo": "x/y"}}}, "models.a${x}", "macro", ""),
    "macro in an alias": (model(aliases=["${x}"]), "models.tiny.aliases.0", "macro", ""),
    "macro in an argument": (model(extra_args=["${x}"]), "models.tiny.extra_args.0", "macro", ""),
    "macro in a path": ({"stack_root": "/a/${x}"}, "stack_root", "macro", ""),
    "macro in a pattern": (model(include=["${x}"]), "models.tiny.include.0", "macro", ""),
    "line break in a name": ({"models": {"a\nb": {"repo": "x/y"}}}, "models.", "U+000A", ""),
    "tab in an alias": (model(aliases=["a\tb"]), "models.tiny.aliases.0", "U+0009", ""),
    "null in an argument": (model(extra_args=["a\0"]), "models.tiny.extra_args.0", "U+0000", ""),
    "escape in a path": ({"stack_root": "/a/\x1b"}, "stack_root", "U+001B", ""),
    "line separator in a group": (
        {"llama_swap_groups": {"\u2028": {"members": ["gpt-oss-120b"]}}},
        "llama_swap_groups.",
        "U+2028",
        "",
    ),
    # -- Paths
    "relative path": ({"stack_root": "llama"}, "stack_root", "not an absolute path", ""),
    "home itself": ({"stack_root": "~/"}, "stack_root", "not an absolute path", ""),
    "root itself": ({"stack_root": "//"}, "stack_root", "not an absolute path", ""),
    "another's home": ({"stack_root": "~you/x"}, "stack_root", "not an absolute path", ""),
    "path with steps up": ({"stack_root": "~/a/../b"}, "stack_root", "has . or .. in it", ""),
    "protected": ({"stack_root": "~/Documents/x"}, "stack_root", "lies in Documents", ""),
    "protected itself": ({"stack_root": "~/Desktop"}, "stack_root", "lies in Desktop", ""),
    "protected by full path": (
        {"stack_root": "/Users/me/Downloads/x"},
        "stack_root",
        "lies in Downloads",
        "",
    ),
    "a path that PATH would split": ({"stack_root": "/a:b"}, "stack_root", "`:`", ""),
    "prefix": ({"homebrew_prefix": "brew"}, "homebrew_prefix", "not an absolute path", ""),
    # -- The rest
    "address": ({"proxy_host": "localhost"}, "proxy_host", "'localhost'", ""),
    "half an address": ({"proxy_host": "10.0.0"}, "proxy_host", "'10.0.0'", ""),
    "python": ({"proxy_python": "python3.13"}, "proxy_python", "look like a proxy_python", ""),
    "label": ({"launchd_label_prefix": "moon"}, "launchd_label_prefix", "'moon'", ""),
    "installer": ({"homebrew_installer": "x.sh"}, "homebrew_installer", "'x.sh'", ""),
}


def test_group_data_alone_is_valid() -> None:
    found, wrong = cross_checks.check([declare()])

    assert wrong == []
    assert found["mac1"].proxy_port == 3000


@pytest.mark.parametrize("case", BAD)
def test_a_bad_setting_is_reported_with_place_layer_and_fix(case: str) -> None:
    assert_told(*BAD[case])


def test_what_stands_where_the_api_keys_belong_is_not_quoted() -> None:
    (problem,) = problems(declare(api_keys="sk-anna-EXAMPLE"))

    assert problem.where == f"mac1: api_keys, {HOST}"
    assert "a valid list" in problem.what
    assert "sk-anna" not in report("T", [problem])


@pytest.mark.parametrize("key", [*defaults()])
def test_a_missing_key_is_reported_with_a_fix(key: str) -> None:
    (problem,) = problems(declare(everywhere={k: v for k, v in defaults().items() if k != key}))

    assert problem.where == f"mac1: {key}, from {ALL}"
    assert problem.what == "The setting is gone."
    assert "put it back into group_data/all.py" in problem.fix


def test_a_host_without_any_model_is_refused() -> None:
    (problem,) = problems(declare(models={"gpt-oss-120b": None}))

    assert problem.what == "No model is declared."


def test_bad_defaults_as_a_whole_are_reported_once_and_not_as_missing_in_each_model() -> None:
    (problem,) = problems(declare(model_defaults=["ttl"]))

    assert problem.where == f"mac1: model_defaults, {HOST}"


def test_all_problems_of_a_host_come_in_one_report() -> None:
    """Bad values hide neither unknown keys nor settings that do not go together."""
    found = problems(
        declare(
            proxy_prt=1,
            proxy_port=8080,
            verify_timeout="soon",
            stack_root="relative",
            models={
                "a": {"repo": "x/a", "aliases": ["b"], "ttl": -1},
                "b": {"repo": "x/b", "aliases": ["c"]},
                "c": {"repo": "x/c"},
            },
            llama_swap_groups={"g": {"members": ["nobody", "a"]}, "h": {"members": 5}},
        )
    )

    text = report("T", found)
    for words in (
        "no setting proxy_prt",
        "Port 8080 is wanted by proxy_port and llama_swap_port",
        "'soon'",
        "'relative' is not an absolute path",
        "models.a.ttl",
        "'c' names more than one model",
        "There is no model 'nobody'",
        "llama_swap_groups.h.members",
    ):
        assert words in text
    assert "There is no model 'a'" not in text
    assert len(found) == 8


def test_every_bad_setting_at_once_is_reported_and_nothing_raises() -> None:
    hosts = [
        Declared(
            name,
            [Layer(ALL, defaults()), Layer("host mac1 of the inventory", data)],
            (name, 22),
        )
        for name, (data, *_) in BAD.items()
    ]
    found = problems(*hosts)

    for name in BAD:
        assert any(problem.where.startswith(f"{name}: ") for problem in found), name


def test_one_bad_default_is_shown_once_however_many_models_have_it() -> None:
    found = problems(
        declare(
            model_defaults={"ctx_size": "big"},
            models={
                "a": {"repo": "x/a"},
                "b": {"repo": "x/b"},
                "c": {"repo": "x/c", "ctx_size": 1},
            },
        )
    )

    text = report("T", found)
    assert text.count("'big'") == 1
    assert f"mac1: model_defaults.ctx_size, {HOST}" in text
    assert "models." not in text


def test_the_same_problem_on_many_hosts_is_shown_once_with_each_place() -> None:
    everywhere = {**defaults(), "proxy_port": "3000"}
    found = problems(*(declare(f"mac{n}", everywhere=everywhere) for n in range(1, 4)))

    text = report("T", found)
    assert text.count("'3000'") == 1
    for n in range(1, 4):
        assert f"mac{n}: proxy_port, from {ALL}" in text


def test_a_good_host_has_settings_beside_a_bad_one() -> None:
    found, wrong = cross_checks.check([declare("bad", proxy_port=1), declare("good")])

    assert list(found) == ["good"]
    assert len(wrong) == 1


def test_the_place_names_the_layer_that_won() -> None:
    layers = [
        Layer(ALL, defaults()),
        Layer("group studios", {"proxy_port": 1}),
        Layer("--data", {"models": {"gpt-oss-120b": {"ttl": "never"}}}),
    ]
    found = problems(Declared("mac1", layers, ("mac1", 22)))

    assert {p.where for p in found} == {
        "mac1: proxy_port, from group studios",
        "mac1: models.gpt-oss-120b.ttl, from --data",
    }


def test_data_that_is_not_ours_is_left_alone() -> None:
    assert problems(declare(ssh_user="me", rack=4, my_proxy={"port": 1}, _sudo=False)) == []


@pytest.mark.parametrize(
    "good",
    [
        model(ctx_size=0),
        model(ctx_size=0, parallel=4),
        model(cache_type_v="q8_0", flash_attention="auto"),
        model(cache_type_v="q8_0", flash_attention="on"),
        model(cache_type_k="q8_0", flash_attention="off"),
        model(cache_type_v="bf16", flash_attention="off"),
        model(extra_args=["--metrics", "--threads", "8", "--port-like"]),
        groups(g=["a", "a"], h=["b"]),
        {"stack_root": "/Volumes/Data/llm"},
        {"stack_root": "~/Documentation"},
        {"stack_root": "/Users/me/My Documents"},
        {"stack_root": "~/a..b/.c"},
        {"proxy_host": "::"},
        {"proxy_host": "192.168.1.10"},
        {"llama_server_start_port": 65535},
        {"launchd_autostart": "off"},
    ],
    ids=str,
)
def test_what_only_looks_bad_is_accepted(good: dict[str, Any]) -> None:
    assert problems(declare(**good)) == []


def test_a_path_loses_its_slash_at_the_end() -> None:
    found, _ = cross_checks.check([declare(stack_root="~/herd//")])

    assert found["mac1"].stack_root == "~/herd"


@pytest.mark.parametrize("value", [[], None, "x"])
def test_a_lower_layer_that_cannot_be_merged_is_not_lost_in_silence(value: Any) -> None:
    """A group's list under a host's dictionary would leave no trace."""
    everywhere = defaults() | {"models": value}

    found = problems(declare(everywhere=everywhere, models={"t": {"repo": "me/t"}}))

    assert any(f"{value!r} is no dictionary" in problem.what for problem in found)
    assert any("models, from group_data/all.py" in problem.where for problem in found)


@pytest.mark.parametrize(
    ("repo", "fix"),
    [
        ("me/x-GGUF:Q4_K_M", 'write "repo": \'me/x-GGUF\', "include": ["*Q4_K_M*"].'),
        ("https://huggingface.co/me/x", "write OWNER/NAME, as the Hub has it"),
    ],
)
def test_a_repository_as_others_write_it_has_the_line_to_write(repo: str, fix: str) -> None:
    (found,) = problems(declare(models={"gpt-oss-120b": None, "m": {"repo": repo}}))

    assert found.where.startswith("mac1: models.m.repo")
    assert found.fix.startswith(fix)
