"""An inventory with its group_data, as pyinfra reads it. Both are code: of a slip there, the file
and the line are told, where pyinfra would tell its own."""

import ast
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from traceback import extract_tb
from typing import Any

from pyinfra.api import Inventory
from pyinfra.api.exceptions import ConnectorDataTypeError
from pyinfra_cli.exceptions import UnexpectedExternalError
from pyinfra_cli.inventory import make_inventory
from pyinfra_cli.util import exec_file

from herd import plan
from herd.core.settings.problems import SettingsError, Unreadable
from herd.workstation.herd_directory import directory

_CODE = ("herd", "proxy", "fetcher", ".venv")


def read(inventory: str, **options: Any) -> Inventory:
    """What pyinfra makes of an inventory. Raises SettingsError, or Unreadable."""
    if not inventory:
        raise SettingsError("no inventory is named; inventory.py is the usual one")
    try:
        found: Inventory = make_inventory(inventory, **options)
    except Exception as error:  # whatever their code raises
        raise _told(inventory, error) from None
    return found


def initialise(init: Callable[..., None], inventory: Inventory, *more: Any) -> None:
    """State.init; of data that a connector refuses, pyinfra would name the first, and no host.
    Raises SettingsError with all that is wrong."""
    try:
        init(inventory, *more)
    except ConnectorDataTypeError:
        plan.settings_of(inventory)
        raise


def _told(inventory: str, error: Exception) -> Unreadable:
    cause = error.exception if isinstance(error, UnexpectedExternalError) else error
    words = cause.msg if isinstance(cause, SyntaxError) else str(cause)
    what, fix = f"{type(cause).__name__}: {words}".removesuffix("."), "mend it there."
    if place := _place(directory(inventory), error):
        return Unreadable(*place, what, fix)
    with suppress(Exception):  # it is none of these
        for group in exec_file(inventory, return_locals=True).values():
            hosts = group[0] if isinstance(group, tuple) else group
            for entry in hosts if isinstance(hosts, list) else ():
                if isinstance(entry, tuple) and not (entry[1:] and isinstance(entry[1], dict)):
                    what = f"what is beside {entry[0]!r} is no dictionary"
                    fix = 'write ("NAME", {"ssh_user": "me"}), or "NAME" alone.'
                    return Unreadable(inventory, _line(inventory, entry[0]), what, fix)
    return Unreadable(inventory, None, what, fix)


def _line(file: str, name: str) -> int | None:
    nodes = ast.walk(ast.parse(Path(file).read_text(encoding="utf-8")))
    found = [n.lineno for n in nodes if isinstance(n, ast.Constant) and n.value == name]
    return min(found, default=None)


def _place(herd: Path, error: BaseException) -> tuple[str, int] | None:
    """Of an exception, or of one that led to it: the last line of a herd's own files."""
    chain: BaseException | None = error
    found = None
    while chain is not None:
        lines = [(frame.filename, frame.lineno) for frame in extract_tb(chain.__traceback__)]
        if isinstance(chain, SyntaxError):
            lines.append((chain.filename or "", chain.lineno))
        for name, line in lines:
            path, below = Path(name).resolve(), herd.resolve()
            if name.endswith(".py") and path.is_relative_to(below):
                path = path.relative_to(below)
                if path.parts[0] not in _CODE and "site-packages" not in path.parts:
                    found = str(herd / path), line or 1
        chain = chain.__cause__ or chain.__context__
    return found
