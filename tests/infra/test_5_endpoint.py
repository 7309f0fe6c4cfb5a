"""What clients meet: nobody is let in without a key, a key opens exactly its models, and answers
come as they are made. A key comes from HERD_API_KEY."""

import http.client
import time
from collections.abc import Callable

import pytest

from herd.core.gateway.known import unheard
from herd.core.mac.questions import question
from herd.core.models.tasks import CHAT
from herd.core.settings.problems import Problem
from herd.facts.answers import Answers, Served
from herd.facts.gateway import GatewayNumbers
from herd.workstation import certificate_files
from herd.workstation.chat_completion import ChatError
from herd.workstation.typed_commands import command
from tests.infra import asking
from tests.infra.asking import Stream
from tests.infra.mac import Mac
from tests.infra.report import refuse

# What a request may fail with when nobody answers as they should.
SILENCE = (ChatError, OSError, http.client.HTTPException, ValueError)
TRIES, PAUSE = 8, 0.25


def asks(mac: Mac) -> None:
    _answers(mac)


@pytest.fixture
def key(running: Mac) -> str:
    """A key that may ask for models."""
    if running.held.secret is None:
        pytest.skip(running.held.lacking)
    return running.held.secret


def test_without_a_key_nobody_is_let_in(running: Mac) -> None:
    body = {"model": running.served[0], "messages": []}
    problems = []
    for whose, shown in (("without a key", None), ("with a wrong key", "sk-nobodys")):
        for method, path, sent in (
            ("GET", "/v1/models", None),
            ("POST", "/v1/chat/completions", body),
        ):
            where = f"{running.name}: {method} {running.url}{path}"
            try:
                code = asking.status(running, method, path, shown, sent)
            except SILENCE as error:
                problems.append(_silent(running, where, error))
                continue
            if code != 401:
                what = f"{whose[0].upper()}{whose[1:]} it answers HTTP {code}, not 401."
                how = command("status")
                fix = f"find out who listens there (`{how}`), stop it, and deploy again."
                problems.append(Problem(where, what, fix))
    refuse(problems)


def test_with_a_key_one_is_let_in(running: Mac, key: str) -> None:
    where = f"{running.name}: GET {running.url}/v1/models"
    try:
        code = asking.status(running, "GET", "/v1/models", key)
    except SILENCE as error:
        refuse([_silent(running, where, error)])
    if code != 200:
        what = f"With the key of {_owner(running)} it answers HTTP {code}, not 200."
        how = command("logs", LIMIT=running.name, ARGS="proxy")
        fix = f"deploy again; `{how}` tells of keys refused."
        refuse([Problem(where, what, fix)])


def test_exactly_the_declared_models_are_listed(running: Mac, found: Callable[[str], None]) -> None:
    """By llama-swap itself."""
    if not running.settings.serves:
        pytest.skip("it is a gateway, and has no llama-swap")
    declared = set(running.settings.models)
    served = _answers(running)
    if served.listed != declared:
        what = _other_models(served.listed, declared)
        fix = f"deploy again; if that changes nothing, `{command('restart', LIMIT=running.name)}`."
        where = f"{running.name}: llama-swap on port {running.settings.llama_swap_port}"
        refuse([Problem(where, what, fix)])
    found(", ".join(sorted(declared)))


def test_the_key_sees_exactly_its_models(running: Mac, key: str) -> None:
    """Of those that llama-swap lists, and of their aliases, which the proxy lists beside them."""
    models = running.settings.models
    listed = {*_answers(running).listed, *(a for model in models.values() for a in model.aliases)}
    if gateway := None if running.settings.serves else running.layout.gateway:
        listed = {name for pool in gateway.pools for name in pool.names}
    where = f"{running.name}: {running.url}/v1/models"
    try:
        seen = asking.models(running, key)
    except SILENCE as error:
        refuse([_silent(running, where, error)])
    if seen != (own := {model for model in listed if running.held.may_use(model)}):
        refuse([Problem(where, _other_models(seen, own), "deploy again: it mends the proxy.")])


def test_gateways_hear_each_other(running: Mac, found: Callable[[str], None]) -> None:
    """Else a key's limits hold at each; one that was just started is given a moment."""
    gateway, socket = running.layout.gateway, running.layout.gateway_control
    if gateway is None or not gateway.others:
        pytest.skip("it is no gateway beside others")
    for _ in range(TRIES):
        numbers = running.ask(GatewayNumbers, socket=socket)
        if not (dark := unheard(gateway.others, numbers.heard if numbers else {})):
            found(", ".join(each.name for each in gateway.others))
            return
        time.sleep(4 * PAUSE)
    what = f"It does not hear {', '.join(dark)}, so a key has its limits at each."
    how = command("logs", LIMIT=running.name, ARGS="gateway-proxy")
    fix = f"start those, or deploy all gateways in one run; `{how}` says why."
    refuse([Problem(f"{running.name}: port {running.settings.gateway_port}", what, fix)])


def test_a_completion_streams(running: Mac, key: str, found: Callable[[str], None]) -> None:
    """By a model that is loaded already, if there is one: to load another may unload it."""
    may_use = [model for model in _usable(running) if running.does[model] == CHAT]
    if not may_use:
        pytest.skip(f"the key of {_owner(running)} may use no declared model for chats by its name")
    ready = [model for model in may_use if _answers(running).states.get(model) == "ready"]
    model = [*ready, *may_use][0]
    where = f"{running.name}: {model} at {running.url}"
    try:
        code, text = asking.warm(running, key, model)
        if code != 200:
            raise ValueError(f"HTTP {code}: {text[:500]}")
        stream = _best_stream(running, key, model)
    except SILENCE as error:
        fix = f"`{command('logs', LIMIT=running.name)}` says why."
        refuse([Problem(where, f"It does not complete: {error}.", fix)])
    refuse(_not_streamed(where, stream))
    found(
        f"{model}: first token after {stream.first * 1000:.0f} ms, then {stream.rate:.0f} tokens/s"
    )


def test_what_makes_no_chat_answers_in_its_own_way(
    running: Mac, key: str, found: Callable[[str], None]
) -> None:
    """Of those that are loaded: embeddings, an order of documents, a completion, what is heard."""
    ready = {name for name, state in _answers(running).states.items() if state == "ready"}
    others = [m for m in _usable(running) if running.does[m] != CHAT and m in ready]
    if not others:
        pytest.skip("no model is loaded that does something else")
    problems = []
    for model in others:
        asked = question(running.does[model], model, "Hi", max_tokens=1)
        where = f"{running.name}: {model} at {running.url}{asked.path}"
        try:
            code, text = asking.answer(running, key, asked)
        except SILENCE as error:
            problems.append(_silent(running, where, error))
            continue
        if code != 200 or not asked.right.search(text):
            fix = f"`{command('logs', LIMIT=running.name)}` says why; its `task` may be another."
            what = f"As a model for {running.does[model]} it answers HTTP {code}: {text[:500]}."
            problems.append(Problem(where, what, fix))
    refuse(problems)
    found(", ".join(f"{model}: {running.does[model]}" for model in others))


def _usable(mac: Mac) -> list[str]:
    return [model for model in mac.served if mac.held.may_use(model)]


def _best_stream(mac: Mac, key: str, model: str) -> Stream:
    """A workstation that is busy reads late, as if a stream had been held back: so a few tries."""
    for _ in range(TRIES):
        stream = asking.stream(mac, key, model)
        if stream.came_as_made:
            break
        time.sleep(PAUSE)
    return stream


def _not_streamed(where: str, stream: Stream) -> list[Problem]:
    if stream.generation is None:
        what = "The answer does not have llama-server's timings."
        return [Problem(where, what, f"find out who answers there: `{command('status')}`.")]
    if stream.came_as_made:
        return []
    what = (
        f"The answer came in one piece: {stream.tokens} tokens within "
        f"{(stream.last - stream.first) * 1000:.1f} ms, though llama-server took "
        f"{stream.generation * 1000:.1f} ms to make them."
    )
    return [Problem(where, what, "find what holds it back, as a proxy before this one.")]


def _answers(mac: Mac) -> Served:
    return mac.ask(Answers, layout=mac.layout, pin=certificate_files.pin(mac.shown_certificate))


def _other_models(listed: set[str] | frozenset[str], declared: set[str]) -> str:
    parts = []
    if missing := ", ".join(sorted(declared - listed)):
        parts.append(f"It does not list {missing}.")
    if extra := ", ".join(sorted(listed - declared)):
        parts.append(f"It lists {extra}, which is not declared.")
    return " ".join(parts)


def _silent(mac: Mac, where: str, error: Exception) -> Problem:
    how = command("status", LIMIT=mac.name)
    fix = f"`{how}`; else a firewall keeps clients out (docs/operations.md)."
    return Problem(where, f"It does not answer as the proxy does: {error}.", fix)


def _owner(mac: Mac) -> str:
    return mac.held.key.name if mac.held.key else "nobody"
