"""config.yaml is written when it changes, and only after llama-swap accepted it."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from herd.core.files import templates
from herd.core.mac.llama_server_flags import CURRENT, Flags
from herd.operations import llama_swap
from tests.core.mac.test_llama_server_flags import CURRENT_HELP, OLD
from tests.core.samples import layout, served
from tests.operations.harness import Run, run

PRELOAD: dict[str, Any] = {"models": {"gpt-oss-120b": {"preload": True}}}
PLACE = layout(**PRELOAD)
FILES = served(PLACE.settings)
FLAGS = Flags.parse(CURRENT_HELP)
# A build that can neither way.
NEITHER = "\n".join(line for line in OLD.splitlines() if not line.startswith("--mlock"))
TEXT = templates.config(PLACE, FILES, FLAGS, preload=["gpt-oss-120b"])
CONFIG, TRIAL = PLACE.config, PLACE.under("config.trial.yaml")


def state(text: str) -> str:
    return f"file 600 {hashlib.sha256(text.encode()).hexdigest()}  -"


def config(answer: str, help_text: str = CURRENT_HELP, **options: Any) -> Run:
    return run(
        llama_swap.config,
        layout=options.pop("layout", PLACE),
        files=options.pop("files", FILES),
        answers={"state": answer, "! [ -x": help_text},
        **options,
    )


def test_a_configuration_that_is_as_wanted_is_not_touched() -> None:
    """llama-swap reloads when its time changes, and a reload stops every running model."""
    assert config(state(TEXT)).untouched


def test_a_new_configuration_is_tried_without_preload_before_it_takes_the_place() -> None:
    found = config("absent")

    names = [command.split()[0] for command in found.sent]
    assert names == [
        *("mkdir", "upload", "chmod"),
        "accept-config",
        *("mkdir", "upload", "chmod"),
        "await-reload",
    ]
    assert found.sent[3] == f"accept-config /opt/homebrew/bin/llama-swap {TRIAL}"
    assert found.uploads == {
        f"{TRIAL}.new": templates.config(PLACE, FILES, FLAGS, preload=[]),
        f"{CONFIG}.new": TEXT,
    }


def test_a_configuration_that_llama_swap_rejects_leaves_the_old_one() -> None:
    found = config(state("old"), fails=["accept-config"])

    assert found.failed
    assert f"{CONFIG}.new" not in found.uploads


def test_files_with_other_content_are_a_reason_to_load_them_anew() -> None:
    """Their names are the same: llama-server would serve the old ones until it ends."""
    other = served(PLACE.settings, commit="f" * 40)
    other = [replace(each, files=(replace(each.files[0], sha256="f" * 64),)) for each in other]
    found = config(state(TEXT), files=other)

    assert other[0].version != FILES[0].version
    assert f"# content {other[0].version}" in found.uploads[f"{CONFIG}.new"]


def test_without_watching_there_is_no_reload_to_wait_for() -> None:
    place = layout(llama_swap_watch_config=False)
    found = config("absent", layout=place)

    assert found.sent[-1].startswith("chmod")


@pytest.mark.parametrize(
    ("help_text", "words"),
    [(CURRENT_HELP, "--load-mode mmap+mlock"), (OLD, "--mlock"), ("", "--load-mode")],
)
def test_flags_are_those_of_the_installed_llama_server(help_text: str, words: str) -> None:
    """Before one is installed, a current one is assumed: that is what a dry run shows."""
    assert words in config("absent", help_text).uploads[f"{CONFIG}.new"]


def test_an_upgraded_llama_server_gets_its_flags_though_no_setting_changed() -> None:
    old = templates.config(PLACE, FILES, Flags.parse(OLD), preload=["gpt-oss-120b"])

    assert config(state(old)).changed
    assert config(state(old), OLD).untouched


def test_mlock_that_no_flag_can_ask_for_is_left_out_aloud() -> None:
    found = config("absent", NEITHER)

    assert any("mlock is left out for gpt-oss-120b" in line for line in found.everything)
    assert "lock" not in found.uploads[f"{CONFIG}.new"].replace("${PORT}", "")


def test_before_anything_is_installed_the_rendering_is_for_a_current_build() -> None:
    found = config("absent", "")

    assert found.uploads[f"{CONFIG}.new"] == templates.config(
        PLACE, FILES, CURRENT, preload=["gpt-oss-120b"]
    )


def test_arguments_that_the_llama_server_does_not_take_are_refused_before_anything_is_written() -> (
    None
):
    place = layout(models={"gpt-oss-120b": {"extra_args": ["--draft-max", "8", "--temprature"]}})
    removed = f"{'--draft-max N':40}the argument has been removed. use --spec-draft-n-max"
    found = config("absent", f"{CURRENT_HELP}\n{removed}", layout=place)

    told = "\n".join(found.everything)
    assert found.failed
    assert not found.sent
    assert not found.uploads
    assert "models.gpt-oss-120b.extra_args" in told
    assert "has removed --draft-max." in told
    assert "use --spec-draft-n-max." in told
    assert "knows no --temprature." in told


def test_an_upgrade_that_takes_a_flag_away_is_told_though_nothing_changed() -> None:
    place = layout(models={"gpt-oss-120b": {"extra_args": ["--spm-infill"]}})
    before = f"{CURRENT_HELP}\n--spm-infill                            use another pattern"
    flags = Flags.parse(before)
    there = state(templates.config(place, FILES, flags, preload=[]))

    assert config(there, before, layout=place).untouched
    found = config(there, CURRENT_HELP, layout=place)
    assert found.failed
    assert not found.sent
    assert any("knows no --spm-infill." in line for line in found.everything)
