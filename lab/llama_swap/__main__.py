"""`python -m lab.llama_swap -config F -listen A`: llama-swap's flags, exit codes and signals."""

from __future__ import annotations

import sys
from typing import NoReturn

VERSION = "version: 250 (0000000), built at stand-in"
FLAGS = {
    "config": "path to config file",
    "config-dir": "directory of *.yml/*.yaml config files (additive to -config)",
    "listen": "listen address (default :8080 or :8443 for TLS)",
    "tls-cert-file": "TLS certificate file",
    "tls-key-file": "TLS key file",
    "version": "show version and exit",
    "watch-config": "reload config on file change",
}
SWITCHES = ("version", "watch-config")


def usage(problem: str | None = None) -> NoReturn:
    if problem:
        print(problem, file=sys.stderr)
    print("Usage of llama-swap:", file=sys.stderr)
    for name, text in FLAGS.items():
        kind = "" if name in SWITCHES else " string"
        print(f"  -{name}{kind}\n    \t{text}", file=sys.stderr)
    raise SystemExit(2 if problem else 0)


def parse(arguments: list[str]) -> dict[str, str]:
    """Flags as Go's flag package reads them: one dash or two, value after `=` or a blank."""
    given: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-") or argument in ("-", "--"):
            break  # Go stops at the first word that is no flag
        name, equals, value = argument.removeprefix("-").removeprefix("-").partition("=")
        if name in ("h", "help"):
            usage()
        if name not in FLAGS:
            usage(f"flag provided but not defined: -{name}")
        if name in SWITCHES:
            value = value if equals else "true"
            if value not in ("true", "false", "1", "0", "t", "f"):
                usage(f'invalid boolean value "{value}" for -{name}: parse error')
            if value[0] in "t1":
                given[name] = "true"
            continue
        if not equals:
            following = next(rest, None)
            if following is None:
                usage(f"flag needs an argument: -{name}")
            value = following
        given[name] = value
    return given


def main() -> int:
    flags = parse(sys.argv[1:])
    if "version" in flags:
        print(VERSION)
        return 0
    # A third of a second of libraries, which are not for -version.
    import asyncio

    from lab.llama_swap.logs import complain
    from lab.llama_swap.service import Service

    if not flags.get("config") and not flags.get("config-dir"):
        complain("at least one of -config or -config-dir must be provided")
        return 1
    if bool(flags.get("tls-cert-file")) != bool(flags.get("tls-key-file")):
        complain("both -tls-cert-file and -tls-key-file must be provided for TLS")
        return 1
    if flags.get("config-dir"):
        complain("-config-dir: the lab's stand-in for llama-swap cannot do this")
        return 1
    return asyncio.run(Service(flags).run())


if __name__ == "__main__":
    raise SystemExit(main())
