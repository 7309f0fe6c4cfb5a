"""The command line: `python -m proxy serve`, `keys new NAME`, `usage`, `drain` and the like."""

import argparse
import sys

from proxy.commands import availability
from proxy.commands.keys_new import add_keys_new, keys_new
from proxy.commands.usage import add_usage, show_usage
from proxy.options import add_serve


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
            # Which takes ten times as long to import as all others do to end.
            from proxy.serve_command import run_server

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


if __name__ == "__main__":
    sys.exit(main())
