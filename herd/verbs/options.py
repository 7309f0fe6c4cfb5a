"""The command line of the verbs: each with its options, as `python -m herd --help` shows them."""

import argparse
from pathlib import Path
from typing import Any

from herd.core.mac.job_definitions import ALL_JOBS
from herd.verbs import deploy
from herd.verbs.option_types import days_or_date, minutes, positive, seconds
from herd.workstation import github_releases, key_entry

_ONE_OF = f"{', '.join(ALL_JOBS[:-1])} or {ALL_JOBS[-1]}"


def parser(program: str = "python -m herd") -> argparse.ArgumentParser:
    """Every verb with its options; `make help` shows the same verbs as make targets."""
    root = argparse.ArgumentParser(
        prog=program, description="What a person does with a herd between deploys."
    )
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

    for name, text in deploy.VERBS.items():
        added = add(name, text)
        if name in deploy.ROLLS:
            _add_roll(added)

    def for_programs(added: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added.add_argument("--json", action="store_true", help="for programs, by host")
        return added

    gone = for_programs(
        add("uninstall", "take off the Macs what the toolkit put there; asks before it does")
    )
    gone.add_argument("-y", "--yes", action="store_true", help="do not ask")
    gone.add_argument("--dry", action="store_true", help="only show what would be done")
    gone.add_argument("--models", action="store_true", help="the models that it fetched, too")
    gone.add_argument(
        "--packages", action="store_true", help="the Homebrew packages that it installed, too"
    )
    for_programs(
        add("status", "services, models, versions, health, drift, and whether all is served")
    )
    live = add(
        "top", "the whole herd, live: models, slots, requests, tokens, memory; Ctrl+C ends it"
    )
    live.add_argument(
        "--interval",
        type=seconds,
        default=2.0,
        metavar="SECONDS",
        help="between rounds; default: 2",
    )
    rounds = live.add_mutually_exclusive_group()
    rounds.add_argument("--count", type=positive, metavar="N", help="so many rounds, then end")
    rounds.add_argument(
        "--once", action="store_const", const=1, dest="count", help="one round, then end"
    )
    live.add_argument("--json", action="store_true", help="for programs, a line for each round")
    examined = add("doctor", "what is wrong with the Macs, or soon will be: evidence and fix")
    for_programs(examined).add_argument(
        "--fix", action="store_true", help="do what is safe about it"
    )
    for name, text in (
        ("start", "start the services now, in the background, without a new login"),
        ("stop", "stop them until the next start, login or deploy"),
        ("restart", "stop and start them"),
    ):
        for_programs(add(name, text)).add_argument(
            "service",
            nargs="?",
            choices=ALL_JOBS,
            metavar="SERVICE",
            help=f"{_ONE_OF}; default: all that it has",
        )
    add("sudoers", "the rule by which a deploy may do as root what only root may")
    add("run", "run the stack of one Mac in this terminal; Ctrl+C stops it")
    add("dashboard", "llama-swap's own pages of one Mac, behind the proxy's login")

    asked = add("chat", "a chat completion from here, through the whole chain")
    asked.add_argument("prompt", nargs="?", default="Say hello.", metavar="PROMPT")
    asked.add_argument("--model", metavar="NAME", help="default: the host's first")
    asked.add_argument("--no-stream", action="store_true", help="wait for the whole answer")

    measured = add("bench", "how fast a model reads and writes, kept and compared with the last")
    measured.add_argument("--model", metavar="NAME", help="default: the host's first that chats")
    measured.add_argument("--runs", type=positive, default=3, metavar="N", help="default: 3")
    for_programs(measured)
    loaded = for_programs(add("load", "load a model into memory"))
    loaded.add_argument("model", metavar="MODEL")
    unloaded = for_programs(add("unload", "unload models from memory"))
    unloaded.add_argument("model", nargs="?", metavar="MODEL", help="default: every model")

    shown = add("logs", "the last lines of the logs, of several Macs in the order of time")
    shown.add_argument("job", nargs="?", choices=ALL_JOBS, help="default: all that it has")
    shown.add_argument("-n", "--lines", type=positive, default=20, metavar="N", help="default: 20")
    shown.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl+C")
    shown.add_argument(
        "--json", action="store_true", help="for programs, by host and log; with -f a line for each"
    )

    fetched = add("fetch", "fetch a model's files without declaring it")
    fetched.add_argument("repo", metavar="OWNER/REPO")
    fetched.add_argument(
        "--include", action="append", metavar="PATTERN", help="may be repeated; default: *.gguf"
    )
    fetched.add_argument("--revision", default="main", metavar="REV", help="default: main")

    fits = add("fit", "what the models take of each Mac's memory, and whether they fit")
    fits.add_argument(
        "--memory", type=positive, metavar="GB", help="ask for a Mac with so much instead"
    )
    for_programs(fits).add_argument(
        "--macos", type=positive, default=26, metavar="N", help="its macOS; default: 26"
    )
    add("verify-models", "hash the files of every declared model, and mend what is wrong")

    used = add("usage", "requests and tokens for each day (UTC), key and model")
    used.add_argument(
        "--since",
        type=days_or_date,
        default="30d",
        metavar="7d",
        help="days, or a date; default: 30d",
    )
    used.add_argument("--key", metavar="NAME", help="of this key only")
    for_programs(used)

    pulled = add(
        "pull", "on a Mac of the inventory: bring the repository up to date, and deploy here"
    )
    pulled.add_argument("--host", metavar="NAME", help="which of the hosts this Mac is")
    pulled.add_argument(
        "--every", type=minutes, metavar="MINUTES", help="have launchd do so; 0 is no more"
    )

    add("facts", "keep in facts.lock what each Mac says of itself, for what follows")
    _add_offline(verb, everywhere)
    text = "write a repository for a herd of one's own"
    begin = verb.add_parser("init", help=text, description=f"{text}.")
    begin.add_argument("directory", metavar="DIR", help="made, in a directory that is there")
    for each in verb.choices.values():
        each.set_defaults(parser=each)  # whose usage fits what is wrong
    return root


def _add_roll(rolled: argparse.ArgumentParser) -> None:
    rolled.add_argument(
        "--parallel", type=positive, default=1, metavar="N",
        help="so many Macs at a time, as far as the herd can spare them; default: 1",
    )  # fmt: skip
    rolled.add_argument(
        "--accept-outage", action="store_true",
        help="go on where a model is served by nobody meanwhile",
    )  # fmt: skip
    rolled.add_argument("--json", action="store_true", help="for programs, by host")


def _add_offline(verb: Any, everywhere: argparse.ArgumentParser) -> None:
    """The verbs that connect to no Mac, and take no --limit."""

    def add(name: str, text: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = verb.add_parser(
            name, help=text, description=f"{text}.", parents=[everywhere]
        )
        return added

    def out(verb: argparse.ArgumentParser) -> None:
        words = "default: build/rendered, beside the inventory"
        verb.add_argument("--out", type=Path, metavar="DIR", help=words)

    locked = add(
        "lock", "write models.lock: what each declared model is on the Hub now, to the byte"
    )
    locked.add_argument("model", nargs="*", metavar="MODEL", help="default: every model")
    pinned = add("pin", "an exact release of llama.cpp or llama-swap, as a setting to declare")
    pinned.add_argument("software", choices=list(github_releases.REPOSITORIES))
    pinned.add_argument("tag", nargs="?", metavar="TAG", help="b10686, v250; default: the newest")
    out(add("render", "every file that a deploy would write on every host, in build/rendered"))
    differs = add("render-diff", "what a deploy would write otherwise than at another commit")
    differs.add_argument("base", nargs="?", default="main", metavar="BASE", help="default: main")
    checked = add("check-configs", "check settings, what follows from them, and what git tracks")
    out(checked)
    checked.add_argument("--sarif", metavar="FILE", help="findings as SARIF 2.1.0, too")
    checked.add_argument("--junit", metavar="FILE", help="findings as JUnit's XML, too")
    key_entry.add_options(
        add("key", "make an API key; its entry goes to api_keys of group_data, or to config.json")
    )
