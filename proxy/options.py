"""The options of `serve`."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from proxy import log_rotation

# Below the 5 seconds that launchd leaves between SIGTERM and SIGKILL unless told otherwise.
DRAIN_SECONDS = 3.0


def add_serve(server: argparse.ArgumentParser) -> None:
    """The options of `serve`, in groups as `--help` shows them."""
    _add_clients(server.add_argument_group("clients"))
    _add_upstream(server.add_argument_group("upstream"))
    _add_readiness(server.add_argument_group("readiness"))
    _add_files(server.add_argument_group("books, files and logs"))


def _add_clients(group: argparse._ArgumentGroup) -> None:
    """Where it listens, for whom, and how it ends."""
    group.add_argument(
        "--config",
        type=Path,
        default=Path("config.json"),
        metavar="PATH",
        help="file with the keys",
    )
    group.add_argument(
        "--listen",
        type=listen_address,
        default="[::]:3000",
        metavar="HOST:PORT",
        help="address; [::] is all of IPv4 and IPv6, 0.0.0.0 all of IPv4",
    )
    group.add_argument(
        "--tls-cert",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="certificate chain (PEM), read again when renewed; without it, plain HTTP",
    )
    group.add_argument(
        "--tls-key",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="its private key (PEM, without a password)",
    )
    group.add_argument(
        "--grants",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="file with further keys, for files only; it may come, change and go while the proxy "
        "runs",
    )
    group.add_argument(
        "--gateways",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="the same, for gateways of the herd only, which speak for clients of their own",
    )
    group.add_argument(
        "--drain",
        type=seconds,
        default=DRAIN_SECONDS,
        metavar="SECONDS",
        help="how long open streams may go on after SIGTERM; launchd kills after its ExitTimeOut, "
        "5 s if not set",
    )


def _add_upstream(group: argparse._ArgumentGroup) -> None:
    """What stands behind it."""
    group.add_argument(
        "--upstream",
        type=upstream_url,
        default="http://127.0.0.1:8080",
        metavar="URL",
        help="where llama-swap listens",
    )
    group.add_argument(
        "--upstream-key-file",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="file with the key that llama-swap asks for, read again when it changes (without it: "
        "none is sent)",
    )
    group.add_argument(
        "--gateway",
        action="store_true",
        help="what listens at --upstream is HAProxy, with the Macs of a herd behind it",
    )
    group.add_argument(
        "--other-gateways",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="file with the herd's other gateways, their keys and URLs, with which a key's limits "
        "are shared; it may come, change and go while the proxy runs",
    )
    group.add_argument(
        "--gateway-authorities",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="file with who may vouch for their certificates (PEM; default: whom the system "
        "trusts)",
    )


def _add_readiness(group: argparse._ArgumentGroup) -> None:
    """Who is told whether it takes requests, and how that is found out."""
    group.add_argument(
        "--availability",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="file with what drain, maint and ready said, beside it a socket for them (default: "
        "availability.json beside the file with the keys)",
    )
    group.add_argument(
        "--agent",
        type=listen_address,
        metavar="HOST:PORT",
        help="where HAProxy's agent check is answered; models that are up and give no token are "
        "looked for then",
    )
    group.add_argument(
        "--token-deadline",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="for one token, of a model that has been silent for half as long",
    )


def _add_files(group: argparse._ArgumentGroup) -> None:
    """What it keeps, gives and looks after."""
    group.add_argument(
        "--usage",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="file with what was used (default: usage.db beside the file with the keys)",
    )
    group.add_argument(
        "--files",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="DIRECTORY",
        help="directory of all models; verified files below it are served at /files to keys with "
        "the scope files (without it: none are)",
    )
    group.add_argument(
        "--log-file",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="a log to keep small, its last part beside it as PATH.1: ours, and that of "
        "llama-swap; may be given more than once",
    )
    group.add_argument(
        "--log-max-mb",
        type=whole_number(1),
        default=log_rotation.MOST // 2**20,
        metavar="N",
        help="MiB that each of them may have, and each part beside it (default: %(default)s)",
    )
    group.add_argument(
        "--logs-kept",
        type=whole_number(0),
        default=log_rotation.KEPT,
        metavar="N",
        help="how many such parts are kept: PATH.1 is the newest (default: %(default)s)",
    )


def listen_address(text: str) -> tuple[str, int]:
    """HOST:PORT, or [HOST]:PORT for IPv6."""
    found = re.fullmatch(r"(?:\[([^][]+)\]|([^][:]+)):([0-9]{1,5})", text)
    if not found or int(found[3]) > 65535:
        raise argparse.ArgumentTypeError(f"not HOST:PORT, or [HOST]:PORT for IPv6: {text!r}")
    return found[1] or found[2], int(found[3])


def upstream_url(text: str) -> str:
    """http://HOST:PORT and nothing behind it, since paths pass unchanged."""
    from yarl import URL  # by which it is connected to; no other command needs it

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


def whole_number(least: int) -> Callable[[str], int]:
    """A whole number, from the least that makes sense on."""

    def number(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"not a whole number from {least} on: {text!r}")
        return int(text)

    return number
