"""Prints hostile text from stdin by one way of herd's; test_harmless.py looks at what comes out."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

import click
from pyinfra.api import output
from pyinfra_cli.log import setup_logging

from herd.__main__ import main
from herd.connections import hooks, remote
from herd.verbs import chat, lock
from herd.workstation import chat_completion


def by_say(text: str) -> None:
    """What a Mac answered."""
    host: Any = SimpleNamespace(name="mac1")
    nobody: Any = None
    told = remote.Remote(host, nobody, nobody, "inventory.py")
    told.say(True, [text])
    told.say(False, [text])


def by_follow(text: str) -> None:
    """Logs, and what else comes as it is made."""
    remote.read("inventory.py")
    output.echo(f"[mac1] {text}", err=True)


def by_echo(text: str) -> None:
    """What a Mac says in a deploy."""
    output.set_echo(click.echo)
    hooks.install(SimpleNamespace(init=None), check=False, inventory="")
    output.echo(f"[mac1] {text}", err=True)


def by_log(text: str) -> None:
    """A failed operation's output, and what our own operations tell."""
    hooks.install(SimpleNamespace(init=None), check=False, inventory="")
    setup_logging(logging.INFO)
    logger = logging.getLogger("pyinfra")
    logger.error(f"[mac1] {text}")
    logger.info("[mac1] %s", text)


def by_chat(text: str) -> None:
    """What a model says, and what an endpoint answers instead."""

    def complete(*_: Any, **__: Any) -> Any:
        yield text
        raise chat_completion.ChatError(text)

    anything: Any = chat
    anything.chat_completion.complete = complete
    anything.tls.shown = lambda *_: None
    held = SimpleNamespace(secret="s", may_use=lambda _: True, lacking="")
    anything.api_keys.shipped = lambda *_: SimpleNamespace(held=lambda: held)
    settings: Any = SimpleNamespace(models={}, named=str)
    host = SimpleNamespace(name="mac1")
    asked = chat._Asked("http://mac1:3000", ["m"], {})
    chat._talk(host, settings, asked, "inventory.py", "hi", model="m", stream=True)


def by_error(text: str) -> None:
    """What ends a verb."""
    main(["status", "--inventory", text])


def by_lock(text: str) -> None:
    """What the Hub named."""
    lock._say(text)


if __name__ == "__main__":
    for hostile in sys.stdin.buffer.read().decode("utf-8", "surrogatepass").split("\1"):
        globals()[f"by_{sys.argv[1]}"](f"<{hostile}>")
