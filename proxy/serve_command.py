"""The command `serve`: from its options to a proxy that runs until it is told to stop."""

import os
import socket
import sys
from argparse import Namespace

from proxy import log, log_rotation
from proxy.accounting.usage import Usage
from proxy.app import Settings
from proxy.certificate import Certificate
from proxy.commands.availability import FILE
from proxy.engine.upstream_pool import HAPROXY, LLAMA_SWAP
from proxy.gateways.sharing import Sharing
from proxy.keys.store import KeyStore
from proxy.model_files.verified import VerifiedFiles
from proxy.policy.policy import HerdPolicy, PolicyState
from proxy.readiness.readiness import Readiness
from proxy.server import run, serve


def run_server(args: Namespace) -> int:
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
        return _fail(f"cannot start: {problem}")
    shelf = VerifiedFiles(args.files) if "files" in args else None
    readiness = Readiness(getattr(args, "availability", beside / FILE))
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
        return _fail(f"cannot listen on {where}: {reason}")
    finally:
        usage.close()
        state.log.close()
        keeper.close()
    return 0


def _fail(message: str) -> int:
    """One line on stderr, and the exit code for it."""
    print(f"proxy: {message}", file=sys.stderr)
    return 1
