"""llama.cpp is asked what the models take before they are fetched, and its word is final."""

import json
from dataclasses import replace
from typing import Any

import pytest

from herd.core.mac.layout import Layout
from herd.core.mac.preflight import Needs
from herd.core.models.memory_estimate import Served
from herd.core.models.memory_use import Use
from herd.core.text.units import GIB
from herd.operations import memory, preflight
from tests.core.mac.test_releases import release
from tests.core.models.test_gguf import GPT_OSS_120B
from tests.core.samples import BUNDLE, layout, resolved
from tests.facts.test_mac import GOOD
from tests.operations.harness import Run, leaks, run

TOKEN = "hf_0123456789"
NONE: dict[str, Any] = {"gpt-oss-120b": None}
MODELS = {**NONE, "tiny": {"repo": "me/tiny-GGUF"}}
PLACE = layout("/Users/my self", models=MODELS)
MODEL = resolved([("tiny.gguf", GIB)])
SERVED = Served("tiny", Use(8192, 1), {"tiny-GGUF/tiny.gguf": GIB}, GPT_OSS_120B)
NEEDS = Needs(models=[], memory_reserve=8 * GIB, disk_reserve=0, console=False, together=[[SERVED]])
HELP = "-c,    --ctx-size N    size\n-np,   --parallel N    slots\n"
PROGRAM = "program /opt/homebrew/bin/llama-fit-params"


class Told:
    """A Mac whose llama.cpp says so once it is asked: `note` is its line."""

    def __init__(self, note: str, *, program: str = PROGRAM, asked: bool = False) -> None:
        self.note, self.program, self.asked = note, program, asked
        self.mark = self.words = ""

    def fit_params(self, words: str) -> list[str]:
        self.words = words
        lines = [self.program] if self.program else []
        return [*lines, f"note {self.mark} {self.note}"] if self.asked and self.note else lines

    def fetcher(self, words: str) -> str:
        self.asked = True
        return ""

    def run(self, operation: Any = memory.fits, *, place: Layout = PLACE, **options: Any) -> Run:
        pin = place.settings.releases.get("llama.cpp")
        build = {"llama.cpp": pin.directory if pin else "0.9.0"}
        (ask,) = memory.fit_questions.asks(place, [MODEL], FLAGS, build)
        self.mark = ask.mark
        options = {"layout": place, "needs": NEEDS, "models": [MODEL], **options}
        answers = {
            "mac": GOOD,
            "fit-params": self.fit_params,
            "! [ -x": HELP,
            "/opt/homebrew/bin/llama-fit-params --help": HELP,
            f"'{place.releases}/llama.cpp/{build['llama.cpp']}/llama-fit-params' --help": HELP,
            "for link in": "../Cellar/llama.cpp/0.9.0/bin/llama-server",
            f"'{place.proxy_python(BUNDLE)}'": self.fetcher,
        }
        return run(operation, answers=answers, **options)


FLAGS = memory.KnownFlags().process(HELP.splitlines())
assert FLAGS


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def test_what_fits_is_told_with_its_figure() -> None:
    found = Told("MTL0 1024 500 64").run(bundle=BUNDLE)

    assert found.changed
    (said,) = found.stdin
    document = json.loads(said)
    assert document["token"] == TOKEN
    assert document["notes"] == f"{PLACE.root}/fit"
    (ask,) = document["asks"]
    # No more than it takes.
    assert ask["words"] == ["--ctx-size", "8192", "--parallel", "1"]
    assert [(file["path"], file["size"]) for file in ask["files"]] == [("tiny-GGUF/tiny.gguf", GIB)]
    assert document["keep"] == [ask["mark"]]
    told = "\n".join(found.everything)
    assert "tiny fits, " in told
    assert "tiny: KV cache and states: 0.5 GiB by llama-fit-params, " in told
    assert not leaks(found, TOKEN)


def test_what_does_not_fit_fails_this_host_with_the_sum() -> None:
    found = Told("MTL0 1024 90000 64").run(bundle=BUNDLE)

    assert found.failed
    told = "\n".join(found.everything)
    assert "@fake/mac cannot serve these models: 1 problem." in told
    assert "87.9 GiB  llama-fit-params on this Mac" in told


def test_with_preflight_fit_warn_it_goes_on() -> None:
    found = Told("MTL0 1024 90000 64").run(bundle=BUNDLE, needs=replace(NEEDS, fit="warn"))

    assert not found.failed
    assert "@fake/mac may be too small." in "\n".join(found.everything)


def test_what_it_said_before_is_not_asked_again() -> None:
    assert Told("MTL0 1024 500 64", asked=True).run(bundle=BUNDLE).untouched
    assert Told("", program="").run(bundle=BUNDLE).untouched


def test_where_it_could_not_be_asked_our_own_sum_stands_in() -> None:
    found = Told("").run(bundle=BUNDLE)

    assert not found.failed
    told = "\n".join(found.everything)
    assert "tiny: llama.cpp was not asked: our own sum stands in" in told
    assert "tiny fits, " in told


def test_what_it_cannot_tell_is_said() -> None:
    found = Told("error unknown model architecture: 'new'").run(bundle=BUNDLE)

    told = "\n".join(found.everything)
    assert "tiny: llama-fit-params cannot tell (unknown model architecture: 'new')" in told
    assert not found.failed


def test_of_a_pinned_llama_cpp_its_own_program_is_asked_before_it_runs() -> None:
    pin = release()
    place = layout("/Users/my self", models=MODELS, llama_cpp_release=pin)
    there = f"{place.releases}/llama.cpp/{place.settings.releases['llama.cpp'].directory}"
    mac = Told("MTL0 1024 500 64", program=f"program {there}/llama-fit-params")

    found = mac.run(place=place, bundle=BUNDLE)

    assert mac.words.count(there) == 1
    (ask,) = json.loads(found.stdin[0])["asks"]
    assert json.loads(found.stdin[0])["program"] == [f"{there}/llama-fit-params"]
    assert ask["words"] == ["--ctx-size", "8192", "--parallel", "1"]
    assert "tiny fits, " in "\n".join(found.everything)


TOO_LARGE = replace(NEEDS, together=[[replace(SERVED, use=Use(1 << 22, 1))]])


@pytest.mark.parametrize(
    ("mac", "needs", "failed"),
    [
        # Our own sum says no: it is the last word where there is no other.
        (Told("", program=""), TOO_LARGE, True),
        (Told("", asked=False), TOO_LARGE, False),
        (Told("error no", asked=True), TOO_LARGE, True),
        (Told("MTL0 1024 500 64", asked=True), TOO_LARGE, False),
        # Ours says yes.
        (Told("MTL0 1024 90000 64", asked=True), NEEDS, True),
        # Whatever it says, the weights are too much.
        (
            Told("", asked=False),
            replace(NEEDS, together=[[replace(SERVED, files={"m": 200 * GIB})]]),
            True,
        ),
    ],
)
def test_preflight_refuses_only_what_no_answer_can_change(
    mac: Told, needs: Needs, failed: bool
) -> None:
    found = mac.run(preflight.check, needs=needs, ports={3000: "proxy_port"}, uid=501)

    assert found.failed is failed, found.everything
    assert not found.sent
