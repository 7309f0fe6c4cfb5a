"""What serves is kept before it is changed, what is open finishes, and what fails is put back."""

import json
import shlex
from typing import Any

import pytest

from herd.core.mac import sudo_rules
from herd.operations import llama_swap
from herd.operations.serving import _digest
from tests.core.mac.test_llama_server_flags import CURRENT_HELP
from tests.core.samples import layout, served
from tests.facts.test_answers import answer
from tests.operations.harness import Run, run, short
from tests.operations.test_llama_swap import PLACE, TEXT, state
from tests.operations.test_serving import GOOD, SILENT, serving
from tests.operations.test_serving import PLACE as SERVING

# Of whatever model is the easiest to ask.
MARK = f"build-{_digest({})}"
PROVEN = answer(
    running=json.dumps({"running": []}),
    models=json.dumps({"data": [{"id": "gpt-oss-120b"}]}),
    answered=[MARK],
)


def config(answer: str, place: Any = PLACE, **options: Any) -> Run:
    answers = {"state": answer, "! [ -x": options.pop("help", CURRENT_HELP)}
    files = served(place.settings)
    return run(llama_swap.config, layout=place, files=files, answers=answers, **options)


def names(found: Run) -> list[str]:
    return [words.split()[0] for words in found.safety]


def test_what_is_as_wanted_is_not_even_kept() -> None:
    assert config(state(TEXT)).safety == []
    assert serving(GOOD).safety == []


def test_what_serves_is_kept_and_drained_while_it_is_changed() -> None:
    found = config("absent")
    keep, drain = found.safety  # and it stays so until the stack has answered

    root = PLACE.root
    assert keep.startswith(f"keep-good {root} ")
    assert keep.endswith(
        " /Users/me/Library/LaunchAgents/com.moonspirit.llama-swap.plist "
        "/Users/me/Library/LaunchAgents/com.moonspirit.proxy.plist"
    )
    assert drain.startswith(f"drain {root}/availability.json 120 'Llama Herd changes what serves")
    assert not found.failed


@pytest.mark.parametrize("failing", ["accept-config", "chmod 600", "await-reload"])
def test_what_fails_is_put_back_and_takes_requests_again(failing: str) -> None:
    found = config("absent", fails=[failing])

    assert names(found) == ["keep-good", "drain", "put-back", "undrain"]
    assert found.failed


def test_a_stack_that_does_not_come_up_is_put_back() -> None:
    waited = serving(SILENT, fails=["verify"])
    told = serving(SILENT, fails=["printf"])

    assert names(waited) == names(told) == ["keep-good", "put-back", "undrain"]
    assert waited.failed
    assert told.failed


def test_nobody_is_waited_for_where_that_is_not_wanted() -> None:
    """Nor is anybody where a configuration is only read at a start."""
    assert names(config("absent", layout(drain_timeout=0))) == ["keep-good"]
    assert names(config("absent", layout(llama_swap_watch_config=False))) == ["keep-good"]


def test_what_is_drained_takes_requests_again_once_a_model_has_answered() -> None:
    """Though it looks as it should, and nothing is to be loaded: by this run, or one that was
    killed."""
    found = serving(PROVEN, answers_more={"! grep": "yes"})

    assert names(found) == ["keep-good", "undrain"]
    (asked,) = found.sent
    assert f" gpt-oss-120b {MARK} " in asked
    order = [short(words).split()[0] for words in found.everything]
    assert order.index("undrain") > order.index("verify")
    assert found.changed
    assert SERVING.availability in found.safety[-1]


@pytest.mark.parametrize("kind", ["agent", "daemon"])
def test_whatever_served_can_be_put_back(kind: str) -> None:
    """So how root writes a daemon is told, too, in the words of its rule."""
    place = layout(launchd_domain=kind)
    found = config("absent", place, fails=["accept-config"])

    (put_back,) = [words for words in found.safety if words.startswith("put-back ")]
    of_daemons = layout(launchd_domain="daemon")
    _, root, domain, keeps, *jobs = shlex.split(put_back)
    assert (root, domain, keeps) == (place.root, {"agent": "session"}.get(kind, "system"), "yes")
    assert jobs[::3] == ["llama-swap", "proxy"]
    assert jobs[1::3] == [layout().plist(name) for name in jobs[::3]]
    granted = sudo_rules.commands(of_daemons)
    assert all(("/bin/sh", "-c", writes) in granted for writes in jobs[2::3])


def test_jobs_that_nothing_keeps_running_are_put_back_as_files_only() -> None:
    place = layout(launchd_autostart="terminal")
    found = config("absent", place, fails=["accept-config"])

    (put_back,) = [words for words in found.safety if words.startswith("put-back ")]
    assert put_back.startswith(f"put-back {place.root} session '' llama-swap ")


def order(found: Run, *wanted: str) -> list[str]:
    ran = [short(words).split()[0] for words in found.everything]
    return list(dict.fromkeys(name for name in ran if name in wanted))


def test_what_models_have_read_of_prompts_is_saved_once_drained_and_read_behind_it() -> None:
    """Before anybody is let in, and by what is put back, too; where a model may."""
    place = layout(models={"gpt-oss-120b": {"slot_save_path": "~/slots"}})
    knows = CURRENT_HELP + "\n--slot-save-path PATH    path to save slot kv cache\n"
    failed = config("absent", place, fails=["await-reload"], help=knows)
    steps = ("drain", "slots-save", "await-reload", "put-back", "slots-restore", "undrain")

    assert order(failed, *steps) == list(steps)
    save = next(words for words in failed.everything if short(words).startswith("slots-save "))
    assert short(save).endswith("gpt-oss-120b gpt-oss-120b '  \"gpt-oss-120b\":' /Users/me/slots")

    well = serving(PROVEN, place, answers_more={"! grep": "yes"})
    assert order(well, "verify", *steps) == ["verify", "slots-restore", "undrain"]
    assert order(config("absent", fails=["await-reload"]), "slots-save", "slots-restore") == []
