"""What the stack answers on its Mac: whether it serves, and what."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyinfra.api import StringCommand

from herd.core.mac.endpoints import local_proxy
from herd.core.mac.job_definitions import PROXY
from herd.core.mac.layout import Layout
from herd.core.mac.running_models import Running
from herd.core.text.quoting import elided
from herd.facts.fact import Fact
from herd.facts.script import script


@dataclass(frozen=True)
class Served:
    """HTTP codes, 0 where nothing answers; `with_key` None when no key was given.

    `keyless` is llama-swap's to a request without its key. `states` maps the running models to
    llama-swap's word ("starting", "ready", "stopping"); `answered` has the marks of those that a
    deploy asked, and that answered as they should; `refused` is the proxy's line about a key
    file that it did not take; `failed` says of models how their last request ended, where
    llama-swap could not serve it. To a `stranger` on the proxy's port, or one with
    `other_certificate` than ours, no key was shown. `running` has how the models of `states` run.
    """

    llama_swap: int = 0
    keyless: int = 0
    anonymous: int = 0
    with_key: int | None = None
    listed: frozenset[str] = frozenset()
    states: Mapping[str, str] = field(default_factory=dict)
    answered: frozenset[str] = frozenset()
    refused: str = ""
    failed: Mapping[str, str] = field(default_factory=dict)
    stranger: bool = False
    other_certificate: bool = False
    running: Mapping[str, Running] = field(default_factory=dict)

    def complaint(
        self,
        models: Collection[str],
        asked: Mapping[str, str],
        *,
        stay_loaded: Collection[str] | None = None,
    ) -> str | None:
        """What is not as it should be: health, closed to strangers, open to a key, the models.

        `asked` has a mark for each model that is to answer; without it among those that did, nobody
        knows that the model does. Of these, those that `stay_loaded` are loaded; None is all.
        """
        if self.llama_swap != 200:
            return f"llama-swap {_answers(self.llama_swap)} on /health"
        if self.keyless != 401:
            return f"llama-swap {_answers(self.keyless)} without its key, not 401"
        if self.other_certificate:
            return "the proxy shows another certificate than proxy_tls_certificate; deploy it"
        if self.anonymous != 401:
            return f"the proxy {_answers(self.anonymous)} without a key, not 401"
        if self.stranger:
            return "somebody else listens on the proxy's port, who was shown no key"
        if self.refused:
            return f"the proxy does not take its keys: {self.refused}"
        if self.with_key not in (200, None):
            return f"the proxy {_answers(self.with_key)} with a key, not 200"
        if missing := set(models) - self.listed:
            return f"llama-swap does not list {', '.join(sorted(missing))}"
        if more := self.listed - set(models):
            return f"llama-swap lists what is not declared: {', '.join(sorted(more))}"
        if waiting := [n for n in _of(asked, stay_loaded) if self.states.get(n) != "ready"]:
            return f"not loaded: {', '.join(waiting)}"
        if silent := [name for name, mark in asked.items() if mark not in self.answered]:
            return f"loaded, but not known to answer: {', '.join(silent)}"
        return None


def _of(asked: Collection[str], chosen: Collection[str] | None) -> list[str]:
    return [name for name in asked if chosen is None or name in chosen]


def _answers(code: int) -> str:
    return f"answers HTTP {code}" if code else "does not answer"


def parse(lines: Iterable[str]) -> Served:
    """The answer of scripts/look/answers.sh: sections of a body and, last, its HTTP code."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith("--- "):
            current = sections.setdefault(line.removeprefix("--- "), [])
        elif line:
            current.append(line)
    listed = _entries(sections.get("models"), "data")
    running = _entries(sections.get("running"), "running")
    noted = " ".join(sections.get("keys", []))
    return Served(
        llama_swap=_code(sections.get("health")),
        keyless=_code(sections.get("open")),
        anonymous=_code(sections.get("anonymous")),
        with_key=_code(sections["key"]) if "key" in sections else None,
        listed=frozenset(str(model.get("id")) for model in listed),
        states={str(model.get("model")): str(model.get("state")) for model in running},
        answered=frozenset(sections.get("answered", ())),
        refused=noted if "keys stay in force" in noted else "",
        failed=_failed(sections.get("last", [])),
        stranger="stranger" in sections,
        other_certificate="other certificate" in sections,
        running={
            str(model.get("model")): Running(str(model.get("cmd", "")), str(model.get("proxy", "")))
            for model in running
        },
    )


def _failed(section: Iterable[str]) -> dict[str, str]:
    """Of lines "MODEL STATUS TIME"."""
    words = (line.split() for line in section)
    return {
        found[0]: f"HTTP {found[1]} at {elided(found[2], 30)}"
        for found in words
        if len(found) == 3 and found[1].isdigit()
    }


def _code(section: list[str] | None) -> int:
    return int(section[-1]) if section and section[-1].isdigit() else 0


def _entries(section: list[str] | None, key: str) -> list[dict[str, Any]]:
    """A list of objects in a body; whoever else answers on that port has none for us."""
    try:
        value = json.loads("\n".join((section or [])[:-1]))
    except ValueError:
        return []
    entries = value.get(key) if isinstance(value, dict) else None
    return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []


class Answers(Fact[Served]):
    """Asked on the Mac itself; a key goes along as `_stdin`, `pin` is the certificate's."""

    def command(self, layout: Layout, pin: str) -> StringCommand:
        return script(
            *("answers", local_proxy(layout.settings), pin, layout.root),
            *(layout.settings.llama_swap_port, layout.swap_key, layout.log(PROXY)),
        )

    def process(self, output: Iterable[str]) -> Served:
        return parse(output)
