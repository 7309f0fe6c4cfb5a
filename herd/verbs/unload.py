"""`make load` and `make unload`: models into memory, and out of it."""

from collections.abc import Sequence
from urllib.parse import quote

from herd.connections.remote import Remote, each
from herd.facts.script import script


def unload(remotes: Sequence[Remote], model: str | None) -> bool:
    """Unload one model, or all, from memory."""

    def unload_one(remote: Remote) -> bool:
        if not remote.settings.serves:
            return True
        if model is not None and not _knows(remote, model):
            return False
        port, key = remote.settings.llama_swap_port, remote.layout.swap_key
        path = f"/{quote(model)}" if model else ""
        ok, lines = remote.run(script("unload", port, key, path))
        what = model or "every model"
        if not ok:
            lines = [f"{what} is not unloaded: {_why(lines)}"]
        return remote.say(ok, lines, success=f"{what} is unloaded")

    return each(remotes, unload_one)


def load(remotes: Sequence[Remote], model: str) -> bool:
    """Load a model into memory, which may unload others; whether it is healthy then."""

    def load_one(remote: Remote) -> bool:
        settings = remote.settings
        if not settings.serves:
            return True
        if not _knows(remote, model):
            return False
        port, key = settings.llama_swap_port, remote.layout.swap_key
        patience = settings.llama_swap_health_timeout + 30
        ok, lines = remote.run(script("load", port, key, quote(model), patience))
        if not ok:
            lines = [f"{model} is not loaded: {_why(lines)}"]
        return remote.say(ok, lines, success=f"{model} is loaded")

    return each(remotes, load_one)


def _knows(remote: Remote, model: str) -> bool:
    """Whether the host serves it, by this name or another one; else that is said."""
    known = remote.settings.models
    return remote.settings.named(model) in known or remote.say(
        False, [f"{model} is none of its models: {', '.join(known)}"]
    )


def _why(lines: Sequence[str]) -> str:
    """What came, in words where nobody listens: curl's have no advice."""
    said = " ".join(lines)
    return "llama-swap does not run; `make start` starts it" if "curl: (7)" in said else said
