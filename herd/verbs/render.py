"""`make render` and `make render-diff`: what a deploy would write, and what it would change."""

import sys
from pathlib import Path

from herd.connections.remote import RemoteError, read
from herd.core.mac import facts_lock
from herd.core.settings.problems import SettingsError, count, report
from herd.render import rendering
from herd.render.changes import compare
from herd.render.rendering import Rendering
from herd.workstation.typed_commands import command


def render(inventory: str, out: Path | None) -> bool:
    """Write every host's files below `out`, or beside the inventory; whether all could be made."""
    out = out or rendering.out(inventory)
    found = rendered(inventory, out)
    if found.problems:
        title = f"{count(found.problems)} in the settings; what could be rendered is in {out}."
        raise SettingsError(report(title, found.problems))
    wrong = [(host, failed) for host in found.hosts for failed in host.failed]
    for host, failed in wrong:
        print(f"[{host.name}] {failed.path}: {failed.error}", file=sys.stderr)
    assumed = [host.name for host in found.hosts if host.known.source != facts_lock.ASKED]
    if assumed:
        how = command("facts")
        print(f"by defaults, as nobody asked them ({how}): {', '.join(assumed)}")
    files = sum(len(host.files) for host in found.hosts)
    print(f"{files} files of {len(found.hosts)} hosts are in {out}")
    return not wrong


def render_diff(inventory: str, base: str) -> bool:
    """Print what a deploy would write otherwise than at `base`, hosts with one change together."""
    try:
        print(compare(inventory, base))
    except ValueError as error:
        raise RemoteError(str(error)) from None
    return True


def rendered(inventory: str, out: Path) -> Rendering:
    """Every host's files, below `out`."""
    found = rendering.render(read(inventory), inventory)
    try:
        rendering.write(found, out)
    except ValueError as error:
        raise RemoteError(str(error)) from None
    return found
