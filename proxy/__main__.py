"""The command line: `python -m proxy serve`, `keys new NAME`, `usage`, `drain` and the like."""

import argparse
import os
import socket
import sys

from proxy import log, log_rotation
from proxy.accounting.usage import Usage
from proxy.app import Settings
from proxy.certificate import Certificate
from proxy.commands import availability
from proxy.commands.keys_new import add_keys_new, keys_new
from proxy.commands.usage import add_usage, show_usage
from proxy.engine.upstream_pool import HAPROXY, LLAMA_SWAP
from proxy.gateways.sharing import Sharing
from proxy.keys.store import KeyStore
from proxy.model_files.verified import VerifiedFiles
from proxy.options import add_serve
from proxy.policy.policy import HerdPolicy, PolicyState
from proxy.readiness.readiness import Readiness
from proxy.server import run, serve


def main(argv: list[str] | None = None) -> int:
    """Runs one command; the exit code is 0, 1 if it could not be done, 2 for a wrong call."""
    root = parser()
    args = root.parse_args(argv)
    if ("tls_cert" in args) != ("tls_key" in args):
        root.error("--tls-cert and --tls-key go together")
    if "other_gateways" in args and not (args.gateway and "upstream_key_file" in args):
        root.error("--other-gateways needs --gateway, and the key in --upstream-key-file")
    match args.command:
        case "keys":
            return keys_new(args)
        case "usage":
            return show_usage(args)
        case "drain" | "maint" | "ready":
            return availability.set_state(args)
        case "check":
            return availability.check(args)
        case _:
            return run_server(args)


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    root = argparse.ArgumentParser(prog="python -m proxy", description="Auth proxy for llama-swap.")
    verbs = root.add_subparsers(dest="command", required=True)
    defaults = argparse.ArgumentDefaultsHelpFormatter
    server = verbs.add_parser(
        "serve",
        formatter_class=defaults,
        help="run the proxy until SIGTERM",
        description="Runs the proxy until SIGTERM. Keys come from the file, else from "
        "API_KEYS=a,b. A changed file counts from the next request on; SIGHUP reads it at once.",
    )
    add_serve(server)
    keys = verbs.add_parser("keys", help="make keys", description="Makes keys.")
    keys_commands = keys.add_subparsers(dest="keys_command", required=True)
    new = keys_commands.add_parser(
        "new",
        help="print a fresh key",
        description="Prints a fresh key, which is stored nowhere, and the entry that lets it in.",
    )
    add_keys_new(new)
    used = verbs.add_parser(
        "usage",
        formatter_class=defaults,
        help="show what was used",
        description="Shows requests and tokens for each day (UTC), key and model.",
    )
    add_usage(used)
    for state, what in availability.STATES.items():
        availability.add_state(verbs.add_parser(state, help=what, description=what), state)
    checking = verbs.add_parser(
        "check",
        help="ask each loaded model for a token",
        description="Asks each loaded model for one token, and wakes none.",
    )
    availability.add_file(checking)
    return root


def run_server(args: argparse.Namespace) -> int:
    """Serves until told to stop."""
    log.set_up()
    try:
        grants = getattr(args, "grants", None)
        gateways = getattr(args, "gateways", None)
        others = getattr(args, "other_gateways", None)
        keys = KeyStore(args.config, os.environ.get("API_KEYS", ""), grants, gateways, others)
        certificate = Certificate(args.tls_cert, args.tls_key) if "tls_cert" in args else None
        beside = args.config.absolute().parent
        usage = Usage(getattr(args, "usage", beside / "usage.db"))
    except ValueError as problem:
        return fail(f"cannot start: {problem}")
    shelf = VerifiedFiles(args.files) if "files" in args else None
    readiness = Readiness(getattr(args, "availability", beside / availability.FILE))
    sharing = None
    if others is not None:
        authorities = getattr(args, "gateway_authorities", None)
        sharing = Sharing(others, args.upstream_key_file, authorities)
    state = PolicyState(
        *(keys, usage), files=shelf, readiness=readiness, gateway=args.gateway, sharing=sharing
    )
    policy = HerdPolicy(state)
    settings = Settings(
        keys=keys,
        upstream=args.upstream,
        upstream_key=getattr(args, "upstream_key_file", None),
        policy=policy,
        certificate=certificate,
        behind=HAPROXY if args.gateway else LLAMA_SWAP,
        readiness=readiness,
        sharing=sharing,
        agent=args.agent,
        token_deadline=args.token_deadline,
    )
    host, port = args.listen
    log_rotation.append()
    keeper = log_rotation.Keeper(args.log_file, args.log_max_mb * 2**20, args.logs_kept)
    try:
        run(serve(settings, host, port, drain_seconds=args.drain))
    except OSError as error:
        unknown_host = isinstance(error, socket.gaierror)  # its numbers are not errno's
        reason = error.strerror if unknown_host else os.strerror(error.errno or 0)
        where = error.filename or f"{host} port {port}"
        return fail(f"cannot listen on {where}: {reason}")
    finally:
        usage.close()
        state.log.close()
        keeper.close()
    return 0


def fail(message: str) -> int:
    """One line on stderr, and the exit code for it."""
    print(f"proxy: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
