"""`make unload`: models out of memory."""

from collections.abc import Sequence
from urllib.parse import quote

from herd.connections.remote import Remote, each
from herd.facts.script import script


def unload(remotes: Sequence[Remote], model: str | None) -> bool:
    """Unload one model, or all, from memory."""

    def unload_one(remote: Remote) -> bool:
        port, key = remote.settings.llama_swap_port, remote.layout.swap_key
        path = f"/{quote(model)}" if model else ""
        ok, lines = remote.run(script("unload", port, key, path))
        what = model or "every model"
        if not ok:
            lines = [f"{what} is not unloaded: {' '.join(lines)}"]
        return remote.say(ok, lines, success=f"{what} is unloaded")

    return each(remotes, unload_one)
