"""Settings of one host that are each valid, but do not go together."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from herd.core.settings.model_groups import preload_conflicts
from herd.core.settings.precedence import Merged
from herd.core.settings.problems import Problem
from herd.core.settings.schema import Settings


class _Fault(NamedTuple):
    path: str
    what: str
    fix: str
    kind: str = "settings"


def inconsistent(host: str, merged: Merged, settings: Settings) -> list[Problem]:
    """All such problems of a host, each at the first of the settings."""
    return [
        Problem(merged.place(host, fault.path), fault.what, fault.fix, fault.kind)
        for faults in _ALL
        for fault in faults(merged, settings)
    ]


def ports(settings: Settings) -> dict[int, list[str]]:
    """Each port, and the settings that ask for it."""
    wanted: dict[int, list[str]] = defaultdict(list)
    wanted[settings.proxy_port].append("proxy_port")
    if settings.proxy_agent_port:
        wanted[settings.proxy_agent_port].append("proxy_agent_port")
    wanted[settings.llama_swap_port].append("llama_swap_port")
    for port in settings.llama_server_ports:
        wanted[port].append("llama_server_start_port")
    return wanted


def _names(merged: Merged, settings: Settings) -> Iterator[_Fault]:
    counted = Counter(list(settings.models))
    counted.update(alias for model in settings.models.values() for alias in model.aliases)
    for name, model in settings.models.items():
        for alias in dict.fromkeys(model.aliases):
            if counted[alias] > 1:
                yield _Fault(
                    f"models.{name}.aliases",
                    f"{alias!r} names more than one model.",
                    "give each model names of its own; llama-swap refuses shared ones.",
                )
        filters = model.filters.set_params_by_id if model.filters else {}
        for other in filters.keys() - {name, *model.aliases}:
            yield _Fault(
                f"models.{name}.filters",
                f"set_params_by_id has {other!r}, which is no name of this model.",
                f"name it {name!r}, or one of its aliases.",
            )


def _groups(merged: Merged, settings: Settings) -> Iterator[_Fault]:
    declared = merged.values.get("models")
    homes = Counter(m for group in settings.llama_swap_groups.values() for m in set(group.members))
    for group, rule in settings.llama_swap_groups.items():
        for member in rule.members:
            if isinstance(declared, Mapping) and member not in declared:
                yield _Fault(
                    f"llama_swap_groups.{group}",
                    f"There is no model {member!r}.",
                    f"name members among {', '.join(sorted(map(str, declared)))}.",
                )
            elif homes[member] > 1:
                yield _Fault(
                    f"llama_swap_groups.{group}",
                    f"{member!r} is in more than one group.",
                    "leave it in one; llama-swap refuses the others.",
                )


def _matrix(merged: Merged, settings: Settings) -> Iterator[_Fault]:
    """And what is preloaded, which depends on it."""
    matrix, declared = settings.llama_swap_matrix, merged.values.get("models") or ()
    if matrix and settings.llama_swap_groups:
        yield _Fault(
            "llama_swap_matrix",
            "There are llama_swap_groups, too.",
            "keep one of them; llama-swap refuses both.",
        )
    wrong = list(matrix.faults([str(name) for name in declared])) if matrix else []
    for what in wrong:
        fix = f"name models among {', '.join(sorted(map(str, declared)))}, or sets."
        yield _Fault("llama_swap_matrix", what, fix)
    for one, other in [] if wrong else preload_conflicts(settings):
        yield _Fault(
            f"models.{other}.preload",
            f"Loading {other!r} unloads {one!r}, and both are to be preloaded.",
            "preload one, or put both into a set of llama_swap_matrix."
            if matrix
            else "preload one, or put both into a group of llama_swap_groups with swap=False.",
        )


def _ports(merged: Merged, settings: Settings) -> Iterator[_Fault]:
    for port, paths in ports(settings).items():
        if port and len(paths) > 1:
            what = f"Port {port} is wanted by {' and '.join(paths)}."
            yield _Fault(paths[0], what, "give each its own.", "ports")
    if settings.llama_server_ports[-1:] and settings.llama_server_ports[-1] > 65535:
        yield _Fault("llama_server_start_port", "The ports end at 65535.", "start lower.")


def _certificate(merged: Merged, settings: Settings) -> Iterator[_Fault]:
    pair = ("proxy_tls_certificate", "proxy_tls_key")
    given = [name for name in pair if merged.values.get(name) is not None]
    if len(given) == 1:
        (lacking,) = set(pair) - set(given)
        yield _Fault(
            given[0],
            f"There is no {lacking} for it.",
            f"set {lacking}, too; without both the proxy speaks plain HTTP.",
        )


def _starts(merged: Merged, settings: Settings) -> Iterator[_Fault]:
    if settings.launchd_domain == "daemon" and settings.launchd_autostart == "terminal":
        yield _Fault(
            "launchd_autostart",
            "A daemon runs with nobody logged in, so there is no Terminal window to open.",
            'set "background" or "off", or launchd_domain = "agent".',
        )


_ALL: tuple[Callable[[Merged, Settings], Iterator[_Fault]], ...] = (
    *(_names, _groups, _matrix),
    *(_ports, _certificate, _starts),
)
