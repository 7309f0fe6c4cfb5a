"""What of a Mac is not as declared: what a deploy would do, and what it would refuse.

It is deploy.py itself that compares, as for `make plan`; nothing is executed.
"""

import ast
import importlib
import runpy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache

from pyinfra.api import Host
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import ctx_host, ctx_state

from herd import plan
from herd.connections.remote import Remote
from herd.core.files import written_files
from herd.core.mac import running_models
from herd.core.settings.problems import Problem, SettingsError
from herd.deploys import step
from herd.facts.answers import Served
from herd.facts.gathered import Question
from herd.facts.llama_server import KnownFlags
from herd.operations.commands import told_to
from herd.verbs.told import Told
from herd.workstation.toolkit import ROOT

_DEPLOY = ROOT / "deploy.py"
_NO_DRIFT = ("Preflight", "Verify")
"""Steps that change nothing."""


@dataclass(frozen=True)
class Drift:
    """`changes` are the operations that would do something, in their order ("llama-swap | Write
    config.yaml"); `problems` what a deploy would refuse this Mac for, or warn of; `running` what of
    the running models is otherwise than declared. `unknown` says why nothing could be compared."""

    changes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    unknown: str = ""


def comparable(remotes: Sequence[Remote]) -> str:
    """Why a deploy could not even begin, as there is no key here; "" when it could."""
    first = remotes[0]
    try:
        plan.make(first.host.state.inventory, first.inventory)
    except SettingsError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return next((line for line in lines[2:] if not line.startswith("Fix:")), lines[0])
    return ""


def questions(remote: Remote) -> Iterator[Question]:
    """What a deploy would ask of it; for hosts that are `comparable`."""
    _import_steps()
    with _context(remote.host):
        yield from step.questions()


def compare(remote: Remote, served: Served) -> Drift:
    """What a deploy would do, and what runs otherwise by what llama-swap answered."""
    host, state = remote.host, remote.host.state
    # By pyinfra's API, operations of all hosts in the same place of their order are one.
    for known in (state.op_meta, state.ops[host], host.op_hash_order):
        known.clear()
    with _context(host), told_to() as problems:
        with suppress(PyinfraError):  # that no host is left
            runpy.run_path(str(_DEPLOY))
        changes = list(_changes(host))
    if host in state.failed_hosts:
        # One that a deploy would refuse is fit to be asked more, and to be looked at by the others.
        state.failed_hosts.discard(host)
        state.active_hosts.add(host)
        if not problems:
            return Drift(unknown="it did not answer all that a deploy asks")
    return Drift(changes, problems, list(_running(remote, served)))


def _running(remote: Remote, served: Served) -> Iterator[str]:
    layout = remote.layout
    settings = {remote.host.name: remote.settings}
    try:
        files = plan.locked_models([remote.host], settings, remote.inventory)[remote.host.name]
    except SettingsError:
        return
    if served.running and not remote.mac.server_fault:  # that one says no flags
        flags = remote.ask(KnownFlags, program=layout.program("llama-server"))
        wanted = written_files.config(layout, files, flags)
        yield from running_models.differences(wanted.text, served.running)


def _changes(host: Host) -> Iterator[str]:
    state = host.state
    for op_hash in host.op_hash_order:  # those of other hosts may be others
        found = state.ops[host].get(op_hash)
        if found and found.operation_meta.will_change:
            for name in sorted(state.get_op_meta(op_hash).names):
                if name.partition(" | ")[0] not in _NO_DRIFT:
                    yield name


def tell(told: Told, found: Drift) -> None:
    """As a row of `make status`."""
    told.add(drift=asdict(found))
    if found.unknown:
        told.row("drift", f"not known: {found.unknown}")
        return
    said = [each.replace(" | ", ": ") for each in found.changes]
    if said:
        told.row("drift", f"a deploy would change {'; '.join(said)}")
    for problem in found.problems:
        told.row("drift", f"a deploy would complain of {problem.where}: {problem.what}")
    for what in found.running:
        told.row("drift", f"{what}; `make restart` has it as declared")
    if not said and not found.problems and not found.running:
        told.row("drift", "none")


@cache
def _import_steps() -> None:
    """Those of deploy.py, so that what they will ask is known before it is run."""
    for node in ast.parse(_DEPLOY.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module == "herd.deploys":
            for each in node.names:
                importlib.import_module(f"{node.module}.{each.name}")


@contextmanager
def _context(host: Host) -> Iterator[None]:
    with ctx_state.use(host.state), ctx_host.use(host):
        yield
