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
        port, key = remote.settings.llama_swap_port, remote.layout.swap_key
        path = f"/{quote(model)}" if model else ""
        ok, lines = remote.run(script("unload", port, key, path))
        what = model or "every model"
        if not ok:
            lines = [f"{what} is not unloaded: {' '.join(lines)}"]
        return remote.say(ok, lines, success=f"{what} is unloaded")

    return each(remotes, unload_one)


def load(remotes: Sequence[Remote], model: str) -> bool:
    """Load a model into memory, which may unload others; whether it is healthy then."""

    def load_one(remote: Remote) -> bool:
        settings = remote.settings
        if not settings.serves:
            return True
        port, key = settings.llama_swap_port, remote.layout.swap_key
        patience = settings.llama_swap_health_timeout + 30
        ok, lines = remote.run(script("load", port, key, quote(model), patience))
        if not ok:
            lines = [f"{model} is not loaded: {' '.join(lines)}"]
        return remote.say(ok, lines, success=f"{model} is loaded")

    return each(remotes, load_one)
