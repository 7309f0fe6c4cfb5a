"""What happens around a connection; config.py installs it.

Before the first connection, the settings of all hosts are checked together: deploy code runs
host by host, so the first bad host would hide the problems of the others. And a limit that
matches no host is an error: pyinfra would do nothing, and call that a success. Ctrl+C ends a run.
"""

import logging
import os
import signal
from pathlib import Path
from typing import Any

import click
import pyinfra_cli.cli
from pyinfra.api import Inventory
from pyinfra.api.output import set_echo
from pyinfra_cli.exceptions import CliError

from herd import plan
from herd.connections import asked_once, here, inventory_file
from herd.connections.connected import Connected
from herd.core.settings.problems import SettingsError
from herd.core.text.harmless import harmless
from herd.workstation import toolkit, who_deploys
from herd.workstation.herd_directory import directory
from herd.workstation.typed_commands import as_typed


def install(
    state: Any,
    *,
    check: bool,
    inventory: str,
    whole: bool = True,
    dry: bool = False,
    fail_percent: int | None = None,
) -> None:
    """Act once pyinfra has its inventory, and before it connects; `check` makes the plan then, or,
    where it is not `whole`, looks at the settings only: who takes a Mac off needs no key for it.

    A `dry` run asks nobody whether to go on without a host that failed.

    pyinfra runs config.py before it reads the inventory, and takes callbacks only after, so the
    one moment in between is State.init.
    """
    # Its data and its ssh_key are looked for beside it.
    state.cwd = str(directory(inventory).resolve())
    initialise = state.init

    def init(everything: Inventory, config: Any, initial_limit: Any = None) -> None:
        here.take(everything)
        if initial_limit == [] and len(everything):
            there = ", ".join(host.name for host in everything)
            raise CliError(f"no host is left by --limit or --exclude; hosts: {there}")
        if check and (note := toolkit.mismatch(directory(inventory))):
            click.echo(f"Note: {note}.", err=True)
        try:
            if check and whole:
                plan.make(everything, inventory)
                # Now and once: all hosts would ask git at the same time.
                who_deploys.here(Path(state.cwd))
            elif check:
                plan.settings_of(everything)
            inventory_file.initialise(initialise, everything, config, initial_limit)
        except SettingsError as error:
            raise CliError(as_typed(str(error))) from None
        state.add_callback_handler(Connected())
        if dry:
            state.should_raise_failed_hosts = None
            state.config.FAIL_PERCENT = fail_percent

    def make_inventory(name: str, **options: Any) -> Inventory:
        try:
            return inventory_file.read(name, **options)
        except SettingsError as error:
            raise CliError(as_typed(str(error))) from None

    pyinfra_cli.cli.make_inventory = make_inventory
    state.init = init
    asked_once.install()
    set_echo(_echo)
    logging.getLogger("pyinfra").addFilter(_make_harmless)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupted)


def _echo(message: Any = None, **options: Any) -> None:
    """What a Mac says, as pyinfra prints it under `-v` and when something fails."""
    click.echo(harmless(as_typed(str(message)), keep="\n", colours=True), **options)


def _make_harmless(record: logging.LogRecord) -> bool:
    """The same in pyinfra's log, which quotes command lines and outputs."""
    if isinstance(record.msg, str):
        record.msg, record.args = record.getMessage(), ()
        record.msg = harmless(as_typed(record.msg), keep="\n", colours=True)
    return True


def _interrupted(*_: object) -> None:
    """pyinfra would wait until all hosts are through with what they do, and exit with 0.

    A program on a Mac ends with its connection only once it has something to say: a download of
    ours at once, Homebrew perhaps never before it is done.
    """
    print(
        "\nInterrupted. What a Mac was told last may go on there until it is done, as Homebrew "
        "does; the next run waits for that, and goes on from there.",
        flush=True,
    )
    os._exit(130)
