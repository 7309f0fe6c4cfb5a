"""`python -m herd VERB`: what a person does with a herd between deploys."""

import pyinfra_cli  # noqa: F401, I001 (gevent's patches must come before anything else)

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from pyinfra.api.exceptions import PyinfraError

from herd import newkey, review
from herd.core.harmless import harmless
from herd.core.problems import SettingsError
from herd.remote import Remote, RemoteError, connected
from herd.verbs import clients, models, services, terminal


def parser() -> argparse.ArgumentParser:
    """Every verb with its options; `make help` shows the same verbs as make targets."""
    root = argparse.ArgumentParser(prog="python -m herd", description=__doc__)
    verb = root.add_subparsers(dest="verb", required=True, metavar="VERB")
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument(
        "--inventory", default="inventory.py", metavar="FILE", help="default: inventory.py"
    )
    fleet = argparse.ArgumentParser(add_help=False, parents=[everywhere])
    fleet.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="HOST",
        help="a host, a pattern or a group; may be repeated; default: every host",
    )

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return verb.add_parser(name, help=text, description=f"{text}.", parents=[fleet])

    add("status", "services, loaded models, versions, and whether all is served")
    add("start", "start the services now, in the background, without a new login")
    add("stop", "stop them until the next start, login or deploy")
    add("restart", "stop and start them")
    add("run", "run the stack of one Mac in this terminal; Ctrl+C stops it")
    add("dashboard", "llama-swap's own pages of one Mac, behind the proxy's login")

    chat = add("chat", "a chat completion from here, through the whole chain")
    chat.add_argument("prompt", nargs="?", default="Say hello.", metavar="PROMPT")
    chat.add_argument("--model", metavar="NAME", help="default: the host's first")
    chat.add_argument("--no-stream", action="store_true", help="wait for the whole answer")

    unload = add("unload", "unload models from memory")
    unload.add_argument("model", nargs="?", metavar="MODEL", help="default: every model")

    logs = add("logs", "the last lines of the logs")
    logs.add_argument("job", nargs="?", choices=["llama-swap", "proxy"], help="default: both")
    logs.add_argument("-n", "--lines", type=int, default=20, metavar="N", help="default: 20")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl+C")

    fetch = add("fetch", "fetch a model's files without declaring it")
    fetch.add_argument("repo", metavar="OWNER/REPO")
    fetch.add_argument(
        "--include", action="append", metavar="PATTERN", help="may be repeated; default: *.gguf"
    )
    fetch.add_argument("--revision", default="main", metavar="REV", help="default: main")

    text = "write models.lock: what each declared model is on the Hub now, to the byte"
    locking = verb.add_parser("lock", help=text, description=f"{text}.", parents=[everywhere])
    locking.add_argument("model", nargs="*", metavar="MODEL", help="default: every model")

    fit = add("fit", "what the models take of each Mac's memory, and whether they fit")
    fit.add_argument("--memory", type=int, metavar="GB", help="ask for a Mac with so much instead")
    fit.add_argument("--macos", type=int, default=26, metavar="N", help="its macOS; default: 26")
    add("verify-models", "hash the files of every declared model, and mend what is wrong")

    usage = add("usage", "requests and tokens for each day (UTC), key and model")
    usage.add_argument("--since", default="30d", metavar="7d", help="days, or a date; default: 30d")
    usage.add_argument("--key", metavar="NAME", help="of this key only")
    usage.add_argument("--json", action="store_true", help="for programs, by host")

    add("facts", "keep in facts.lock what each Mac says of itself, for what follows")
    review.add_options(verb, everywhere)

    text = "make an API key; its entry goes to api_keys of group_data, or to config.json"
    newkey.add_options(
        verb.add_parser("key", help=text, description=f"{text}.", parents=[everywhere])
    )
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; 0 when it did what it says, 1 when not."""
    options = parser().parse_args(argv)
    try:
        return 0 if _run(options) else 1
    except (RemoteError, SettingsError, ValueError, PyinfraError) as error:
        print(harmless(str(error), keep="\n"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # as `… | head` does; nobody reads what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(options: argparse.Namespace) -> bool:
    inventory, limit = getattr(options, "inventory", ""), getattr(options, "limit", [])
    match options.verb:
        case "key":
            clients.key(inventory, options)
            return True
        case "lock":
            models.lock(inventory, options.model)
            return True
        case "chat":
            return clients.talk(
                *(inventory, limit, options.prompt),
                model=options.model,
                stream=not options.no_stream,
            )
        case "render" | "render-diff" | "check-configs":
            return review.run(options)
        case "fit" if options.memory is not None:
            return models.fit_in(options.memory, options.macos, inventory, limit)
        case "dashboard":
            terminal.dashboard(inventory, limit)
            return True
    with connected(inventory, limit) as remotes:
        return bool(_connected_verb(options)(remotes))


def _connected_verb(options: argparse.Namespace) -> Callable[[list[Remote]], Any]:
    match options.verb:
        case "unload":
            return lambda remotes: services.unload(remotes, options.model)
        case "logs":
            return lambda r: services.logs(r, options.job, options.lines, options.follow)
        case "fetch":
            include = options.include or ["*.gguf"]
            return lambda r: models.fetch(r, options.repo, include, options.revision)
        case "usage":
            chosen = ["--since", options.since, *(["--key", options.key] if options.key else [])]
            return lambda r: clients.usage(r, chosen, json_wanted=options.json)
        case "fit":
            return lambda remotes: models.fit(remotes, options.inventory)
        case "facts":
            return lambda remotes: review.facts(remotes, options.inventory)
        case "verify-models":
            return lambda remotes: models.verify_models(remotes, options.inventory)
        case "run":
            return terminal.foreground
        case name:
            verb: Callable[[list[Remote]], bool] = getattr(services, name)
            return verb


if __name__ == "__main__":
    sys.exit(main())
