"""What `make status` says of the Mac itself: that it restarts for updates, and what of its settings
is not as declared; of a Linux machine whether its services outlive a login."""

from collections.abc import Iterator

from herd.connections.remote import Remote
from herd.core.mac import managed, packet_filter, software_updates
from herd.facts.gathered import Question
from herd.facts.linux import Linux
from herd.facts.mac_settings import MacSettings

STARTS = "its services start with the machine"
LEAVES = "its services end with the last login (`loginctl enable-linger` there, or deploy)"


def questions(remote: Remote) -> Iterator[Question]:
    """What is declared, and in any case whether macOS updates itself."""
    if remote.layout.is_linux:
        yield Question(Linux)
    else:
        yield Question(MacSettings, asked=_asked(remote))


def _asked(remote: Remote) -> list[str]:
    kinds = {managed.UPDATES, *managed.in_use(remote.settings)}
    return managed.asked(remote.layout, sorted(kinds))


def rows(remote: Remote) -> Iterator[tuple[str, str]]:
    """Names and words."""
    if remote.layout.is_linux:
        machine = remote.ask(Linux)
        yield "system", machine.system or "unknown"
        yield "restart", STARTS if machine.lingers else LEAVES
        return
    state = remote.ask(MacSettings, asked=_asked(remote))
    settings, macos = remote.settings, remote.mac.macos
    unmanaged = state.updates if settings.mac_automatic_updates is None else None
    if told := unmanaged and software_updates.restarts(unmanaged, macos):
        yield "updates", f"{told}; mac_automatic_updates = False keeps them from it"
    for problem in managed.problems(settings, state, remote.mac.memory):
        yield "settings", f"{problem.where}: {problem.what}"
    limit = settings.mac_gpu_wired_limit_mb
    if limit is not None and state.wired not in (None, limit):
        yield "settings", f"the GPU may wire {state.wired} MiB, not {limit}; deploy again"
    found = state.networks if settings.mac_networks is not None else None
    if wrong := found and packet_filter.complaint(remote.layout, found):
        yield "settings", f"{wrong}; deploy again"
    for kind in managed.KINDS:
        want = managed.wanted(kind, settings, state, macos)
        for each in managed.changes(want, state):
            yield "settings", f"{each.name} is {each.is_now}, not {each.wanted}; deploy again"
