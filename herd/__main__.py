"""`python -m herd VERB`: what a person does with a herd between deploys."""

import pyinfra_cli  # noqa: F401, I001 (gevent's patches must come before anything else)

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stdout

from pyinfra.api.exceptions import PyinfraError

from herd.connections.remote import NobodyThere, Remote, RemoteError, connected
from herd.core.settings.problems import SettingsError
from herd.core.text.harmless import harmless
from herd.verbs import (
    bench,
    chat,
    check_configs,
    dashboard,
    deploy,
    doctor,
    facts,
    fetch,
    fit,
    key,
    lock,
    logs,
    pin,
    pull,
    render,
    run,
    start_stop,
    status,
    sudoers,
    top,
    uninstall,
    unload,
    usage,
)
from herd.verbs.machine_readable import document, outcomes
from herd.verbs.options import parser
from herd.verbs.roll.roll import roll
from herd.workstation import new_repository, toolkit
from herd.workstation.herd_directory import directory
from herd.workstation.typed_commands import as_typed


def main(argv: Sequence[str] | None = None, program: str = "python -m herd") -> int:
    """Run one verb; 0 when it did what it says, 1 when not."""
    options, more = parser(program).parse_known_args(argv)
    options.more = more
    if more and options.verb not in {*deploy.VERBS, "pull"}:
        options.parser.error(f"unrecognized arguments: {' '.join(more)}")
    try:
        if options.verb == "init":
            return 0 if new_repository.init(options.directory) else 1
        if options.verb in deploy.ROLLS:
            return 0 if _roll(options) else 1
        if options.verb in deploy.VERBS:
            deploy.run(options.verb, options.inventory, options.limit, more)
        if note := toolkit.mismatch(directory(options.inventory)):
            print(f"Note: {note}.", file=sys.stderr)
        return 0 if _run(options) else 1
    except NobodyThere as error:
        if getattr(options, "json", False):
            print(document(options.verb, {}, error.lost))
        print(harmless(as_typed(str(error)), keep="\n"), file=sys.stderr)
        return 1
    except (RemoteError, SettingsError, ValueError, PyinfraError) as error:
        print(harmless(as_typed(str(error)), keep="\n"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # as `… | head` does; nobody reads what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _roll(options: argparse.Namespace) -> bool:
    return roll(
        *(options.verb, options.inventory, options.limit, options.more),
        parallel=options.parallel,
        accept_outage=options.accept_outage,
        json_wanted=options.json,
    )


def _run(options: argparse.Namespace) -> bool:
    inventory, limit = options.inventory, getattr(options, "limit", [])
    match options.verb:
        case "key":
            key.key(inventory, options)
        case "uninstall":
            return uninstall.uninstall(inventory, limit, options)
        case "pin":
            pin.pin(options.software, options.tag)
        case "lock":
            lock.lock(inventory, options.model)
        case "pull":
            return pull.pull(inventory, options.host, options.every, options.more)
        case "dashboard":
            dashboard.dashboard(inventory, limit)
        case "bench":
            chosen, runs = options.model, options.runs
            return bench.bench(inventory, limit, model=chosen, runs=runs, json_wanted=options.json)
        case "chat":
            stream = not options.no_stream
            return chat.chat(inventory, limit, options.prompt, model=options.model, stream=stream)
        case "top":
            rounds = {"interval": options.interval, "count": options.count}
            return top.top(inventory, limit, **rounds, json_wanted=options.json)
        case "render":
            return render.render(inventory, options.out)
        case "render-diff":
            return render.render_diff(inventory, options.base)
        case "check-configs":
            return check_configs.check_configs(
                inventory, options.out, sarif=options.sarif, junit=options.junit
            )
        case "fit" if options.memory is not None:
            size, json_wanted = (options.memory, options.macos), options.json
            return fit.fit_in(*size, inventory, limit, json_wanted=json_wanted)
        case _:
            with connected(inventory, limit) as herd:
                told = options.verb in _TELL_OUTCOMES and options.json
                with redirect_stdout(sys.stderr) if told else nullcontext():
                    done = _connected_verb(options, herd.remotes, herd.lost)
                if told:
                    print(document(options.verb, outcomes(herd.remotes), herd.lost))
                sys.stdout.flush()
                for why in herd.lost.values():
                    print(harmless(as_typed(why), keep="\n"), file=sys.stderr)
                return done and not herd.lost
    return True


_TELL_OUTCOMES = frozenset({"start", "stop", "restart", "load", "unload"})
"""Verbs of which `--json` has what became of each host; then people's words go to stderr."""


def _connected_verb(
    options: argparse.Namespace, remotes: list[Remote], lost: Mapping[str, str]
) -> bool:
    match options.verb:
        case "doctor":
            return doctor.doctor(remotes, lost=lost, fix=options.fix, json_wanted=options.json)
        case "load":
            return unload.load(remotes, options.model)
        case "unload":
            return unload.unload(remotes, options.model)
        case "logs":
            wanted = {"follow": options.follow, "json_wanted": options.json}
            return logs.logs(remotes, options.job, options.lines, lost=lost, **wanted)
        case "fetch":
            include = options.include or ["*.gguf"]
            return fetch.fetch(remotes, options.repo, include, options.revision)
        case "usage":
            chosen = ["--since", options.since, *(["--key", options.key] if options.key else [])]
            return usage.usage(remotes, chosen, lost=lost, json_wanted=options.json)
        case "fit":
            return fit.fit(remotes, options.inventory, lost=lost, json_wanted=options.json)
        case "facts":
            return facts.facts(remotes, options.inventory)
        case "verify-models":
            return fetch.verify_models(remotes, options.inventory)
        case "run":
            run.run(remotes)
            return True
        case "status":
            return status.status(remotes, lost=lost, json_wanted=options.json)
        case "sudoers":
            return sudoers.sudoers(remotes)
        case "start":
            return start_stop.start(remotes, options.service)
        case "stop":
            return start_stop.stop(remotes, options.service)
    return start_stop.restart(remotes, options.service)


if __name__ == "__main__":
    sys.exit(main())
