"""Which networks reach the proxy: rules of pf in an anchor of ours (pf.conf(5), pfctl(8)).

macOS's own rules have `anchor "com.apple/*"`, so ours count without a word in /etc/pf.conf, which
nobody loads again on a Mac that runs: that flushes what macOS added since. It turns pf on for
nobody at its start, and forgets anchors: a job of root does both then.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any

from herd.core.mac.launchd import with_digest
from herd.core.mac.layout import SYSTEM_PATH, Layout
from herd.core.mac.root_command import Command
from herd.core.settings.problems import Problem

PFCTL = "/sbin/pfctl"
# What macOS's own come with: "anchor "com.apple/*" all".
_STOCK = re.compile(r'anchor "com\.apple/\*" all\s*')
# By name, as launchd's PATH has it. Each start of the job takes a reference on pf's being on, so
# that nobody who gives back his own turns it off; pfctl prints a token, by which ours is given back
# once there is another. A restart of the Mac forgets references, and empties that directory.
_LOAD = (
    'printf "%s\\n" "$@" | pfctl -a "$0" -f - || exit; '
    'kept=/var/run/${0#*/}.token; { read -r old <"$kept"; } 2>/dev/null; '
    'pfctl -E 2>&1 | sed -n "s/^Token : //p" >"$kept"; [ -s "$kept" ] || exit; '
    '[ -z "$old" ] || pfctl -X "$old"; :'
)

# How pfctl prints a rule: a port may have the name that /etc/services gives it, and six sources of
# one kind become a table of the optimizer's.
_RULE = re.compile(
    r"(?P<action>pass|block drop) in (?:log )?quick (?:on (?P<interface>\S+) )?(?:inet6? )?"
    r"proto tcp (?:from (?P<source>\S+) to any|all) port (?:= )?(?P<port>\S+)(?: .*)?"
)
_JOB, _ANCHORS = "proxy-networks", "com.apple/250."
_TABLE = "<__automatic_"


@dataclass(frozen=True)
class Rule:
    """What is done with TCP from some source ("any", a network) to a port, which may have a
    name."""

    action: str
    interface: str | None
    source: str
    port: str


@dataclass(frozen=True)
class Filter:
    """pf as it is: whether it is on, whether it looks at com.apple's anchors at all, and the rules
    of ours; None stands for one that is not of our kind."""

    on: bool
    stock: bool
    rules: Sequence[Rule | None]


def label(layout: Layout) -> str:
    """Of the job; each stack of a Mac has its own."""
    return layout.label(_JOB)


def anchor(layout: Layout) -> str:
    """Where the rules are. 250 is between macOS's own: AirDrop is 200, its firewall 250."""
    return f"{_ANCHORS}{label(layout)}"


def lines(layout: Layout) -> list[str]:
    """The rules, one a line: this Mac itself and the networks may, nobody else."""
    rules = []
    for port in ports(layout):
        to = f"to any port = {port}"
        rules.append(f"pass in quick on lo0 proto tcp from any {to}")
        rules += [f"pass in quick proto tcp from {each} {to}" for each in _networks(layout)]
        rules.append(f"block drop in quick proto tcp from any {to}")
    return rules


def ports(layout: Layout) -> list[int]:
    """Those that are open to the network."""
    settings = layout.settings
    return [port for port in (settings.proxy_port, settings.proxy_agent_port) if port]


def _networks(layout: Layout) -> list[IPv4Network | IPv6Network]:
    """One that is within another says nothing more; pf would leave it out, too."""
    every = [ip_network(text) for text in layout.settings.mac_networks or ()]
    old = [network for network in every if isinstance(network, IPv4Network)]
    new = [network for network in every if isinstance(network, IPv6Network)]
    return [*collapse_addresses(old), *collapse_addresses(new)]


def job(layout: Layout) -> dict[str, Any]:
    """The job that loads the rules at each start of the Mac, and when it is loaded."""
    return with_digest(
        {
            "Label": label(layout),
            "ProgramArguments": ["/bin/sh", "-c", _LOAD, anchor(layout), *lines(layout)],
            "EnvironmentVariables": {"PATH": SYSTEM_PATH},
            "RunAtLoad": True,
            "ThrottleInterval": 1,
        },
        {},
    )


def root(layout: Layout) -> Iterator[Command]:
    """What only root may do of it, beside its job: look, and throw the rules away."""
    yield (PFCTL, "-s", "info")
    yield (PFCTL, "-sr")
    yield (PFCTL, "-a", anchor(layout), "-sr")
    yield from without(label(layout))


def without(label: str) -> list[Command]:
    """What throws away the rules of a job of this kind that is gone, and gives back its reference
    on pf's being on: that goes off where nobody else holds one. As in `sudo_rules.writes`, no
    beginning of the script does harm."""
    if not label.endswith(f".{_JOB}"):
        return []
    kept = f"/var/run/250.{label}.token"
    release = f"read -r token <{kept} && {PFCTL} -X $token; /bin/rm -f {kept}"
    return [(PFCTL, "-a", f"{_ANCHORS}{label}", "-F", "rules"), ("/bin/sh", "-c", release)]


def parse(info: Iterable[str], main: Iterable[str], ours: Iterable[str]) -> Filter:
    """The answers of `pfctl -s info`, of `-sr`, and of `-sr` for our anchor. Raises ValueError when
    they are none."""
    status = re.search(r"^Status: (Enabled|Disabled)", "\n".join(info), re.MULTILINE)
    if not status:
        raise ValueError("pfctl does not say whether pf is on")
    stock = any(map(_STOCK.fullmatch, main))
    found = [line for line in ours if line.strip() and not _is_chatter(line)]
    return Filter(status[1] == "Enabled", stock, [_rule(line) for line in found])


def _is_chatter(line: str) -> bool:
    """What every pfctl of macOS says, on stderr."""
    return line.startswith(("No ALTQ support", "ALTQ related", "pfctl: Use of -f"))


def _rule(line: str) -> Rule | None:
    match = _RULE.fullmatch(line.strip())
    if not match:
        return None
    source = match["source"] or "any"
    if source != "any" and not source.startswith("<"):
        try:
            source = str(ip_network(source))
        except ValueError:
            return None
    return Rule(match["action"], match["interface"], source, match["port"])


def complaint(layout: Layout, found: Filter) -> str | None:
    """Why the networks, and only they, cannot reach the proxy; None where it is as wanted."""
    if not found.on:
        return "pf is off"
    if not found.stock:
        return f'pf looks at no anchor of "com.apple/*", so {anchor(layout)} counts for nothing'
    want = [_rule(line) for line in lines(layout)]
    names = _ports_by_name(want, found.rules)
    ours = [r and replace(r, port=names.get(r.port, r.port)) for r in found.rules]
    if _same(_parts(want), _parts(ours)):
        return None
    return f"{anchor(layout)} has {len(ours)} rules, and not the {len(want)} that are wanted"


def _ports_by_name(want: Sequence[Rule | None], found: Sequence[Rule | None]) -> dict[str, str]:
    """What names stand for, by their order: /etc/services is the Mac's."""
    shown = list(dict.fromkeys(rule.port for rule in found if rule))
    left = [port for port in dict.fromkeys(rule.port for rule in want if rule) if port not in shown]
    return dict(zip((each for each in shown if not each.isdecimal()), left, strict=False))


def _parts(rules: Sequence[Rule | None]) -> list[tuple[set[Rule], Rule | None]]:
    """What is passed before each of the others: its order means nothing."""
    parts: list[tuple[set[Rule], Rule | None]] = []
    passed: set[Rule] = set()
    for rule in rules:
        if rule is not None and rule.action == "pass":
            passed.add(rule)
        else:
            parts.append((passed, rule))
            passed = set()
    return [*parts, (passed, None)] if passed else parts


def _same(
    want: Sequence[tuple[set[Rule], Rule | None]], found: Sequence[tuple[set[Rule], Rule | None]]
) -> bool:
    """Of what is in a table of the optimizer's it can only be seen that something is."""
    if [last for _, last in want] != [last for _, last in found]:
        return False
    for (wanted, _), (passed, _) in zip(want, found, strict=True):
        tables = {rule for rule in passed if rule.source.startswith(_TABLE)}
        if not (passed - tables <= wanted if tables else passed == wanted):
            return False
    return True


def problems(found: Filter) -> Iterator[Problem]:
    """Main rules that were made without macOS's own anchors."""
    if not found.stock:
        yield Problem(
            "mac_networks",
            'pf\'s main rules have no line `anchor "com.apple/*" all`, so no rule of ours would '
            "count.",
            "put that line back into /etc/pf.conf and restart the Mac, which loads it (`pfctl -f` "
            "would throw away what macOS added); or set mac_networks to None.",
            kind="mac",
        )
