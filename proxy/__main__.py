"""The command line: `python -m proxy serve`, `keys new NAME` and `usage`."""

import argparse
import os
import re
import socket
import sys
from pathlib import Path

from yarl import URL

from proxy import log, log_rotation
from proxy.accounting.usage import Usage
from proxy.app import Settings
from proxy.certificate import Certificate
from proxy.commands.keys_new import add_keys_new, keys_new
from proxy.commands.usage import add_usage, show_usage
from proxy.keys.store import KeyStore
from proxy.model_files.verified import VerifiedFiles
from proxy.policy.policy import HerdPolicy, PolicyState
from proxy.server import run, serve

# Below the 5 seconds that launchd leaves between SIGTERM and SIGKILL unless told otherwise.
DRAIN_SECONDS = 3.0


def main(argv: list[str] | None = None) -> int:
    """Runs one command; the exit code is 0, 1 if it could not be done, 2 for a wrong call."""
    root = parser()
    args = root.parse_args(argv)
    if ("tls_cert" in args) != ("tls_key" in args):
        root.error("--tls-cert and --tls-key go together")
    match args.command:
        case "keys":
            return keys_new(args)
        case "usage":
            return show_usage(args)
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
    return root


def add_serve(server: argparse.ArgumentParser) -> None:
    """The options of `serve`."""
    server.add_argument(
        "--config",
        type=Path,
        default=Path("config.json"),
        metavar="PATH",
        help="file with the keys",
    )
    server.add_argument(
        "--listen",
        type=listen_address,
        default="[::]:3000",
        metavar="HOST:PORT",
        help="address; [::] is all of IPv4 and IPv6, 0.0.0.0 all of IPv4",
    )
    server.add_argument(
        "--upstream",
        type=upstream_url,
        default="http://127.0.0.1:8080",
        metavar="URL",
        help="where llama-swap listens",
    )
    server.add_argument(
        "--upstream-key-file",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="file with the key that llama-swap asks for, read again when it changes (without it: "
        "none is sent)",
    )
    server.add_argument(
        "--drain",
        type=seconds,
        default=DRAIN_SECONDS,
        metavar="SECONDS",
        help="how long open streams may go on after SIGTERM; launchd kills after its ExitTimeOut, "
        "5 s if not set",
    )
    server.add_argument(
        "--tls-cert",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="certificate chain (PEM), read again when renewed; without it, plain HTTP",
    )
    server.add_argument(
        "--tls-key",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="its private key (PEM, without a password)",
    )
    server.add_argument(
        "--usage",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="file with what was used (default: usage.db beside the file with the keys)",
    )

    server.add_argument(
        "--files",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="DIRECTORY",
        help="directory of all models; verified files below it are served at /files to keys with "
        "the scope files (without it: none are)",
    )
    server.add_argument(
        "--log-file",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="a log to keep below 16 MiB, its last part beside it as PATH.1: ours, and that of "
        "llama-swap; may be given more than once",
    )
    server.add_argument(
        "--grants",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="file with further keys, for files only; it may come, change and go while the proxy "
        "runs",
    )


def run_server(args: argparse.Namespace) -> int:
    """Serves until told to stop."""
    log.set_up()
    try:
        grants = getattr(args, "grants", None)
        keys = KeyStore(args.config, os.environ.get("API_KEYS", ""), grants)
        certificate = Certificate(args.tls_cert, args.tls_key) if "tls_cert" in args else None
        usage = Usage(getattr(args, "usage", args.config.absolute().parent / "usage.db"))
    except ValueError as problem:
        return fail(f"cannot start: {problem}")
    shelf = VerifiedFiles(args.files) if "files" in args else None
    state = PolicyState(keys, usage, files=shelf)
    policy = HerdPolicy(state)
    settings = Settings(
        keys=keys,
        upstream=args.upstream,
        upstream_key=getattr(args, "upstream_key_file", None),
        policy=policy,
        certificate=certificate,
    )
    host, port = args.listen
    log_rotation.append()
    keeper = log_rotation.Keeper(args.log_file)
    try:
        run(serve(settings, host, port, drain_seconds=args.drain))
    except OSError as error:
        unknown_host = isinstance(error, socket.gaierror)  # its numbers are not errno's
        reason = error.strerror if unknown_host else os.strerror(error.errno or 0)
        return fail(f"cannot listen on {host} port {port}: {reason}")
    finally:
        usage.close()
        state.log.close()
        keeper.close()
    return 0


def listen_address(text: str) -> tuple[str, int]:
    """HOST:PORT, or [HOST]:PORT for IPv6."""
    found = re.fullmatch(r"(?:\[([^][]+)\]|([^][:]+)):([0-9]{1,5})", text)
    if not found or int(found[3]) > 65535:
        raise argparse.ArgumentTypeError(f"not HOST:PORT, or [HOST]:PORT for IPv6: {text!r}")
    return found[1] or found[2], int(found[3])


def upstream_url(text: str) -> str:
    """http://HOST:PORT and nothing behind it, since paths pass unchanged."""
    try:
        url = URL(text)
        good = url.scheme == "http" and url.host and url.user is None and url == url.origin()
    except ValueError:
        good = False
    if not good:
        raise argparse.ArgumentTypeError(f"not http://HOST:PORT: {text!r}")
    return str(url.origin())


def seconds(text: str) -> float:
    """A number of seconds, 0 or more."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}")
    return value


def fail(message: str) -> int:
    """One line on stderr, and the exit code for it."""
    print(f"proxy: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
