"""What makes a host a gateway: a key that the Macs know, and a configuration that HAProxy takes
over without an end to anything, as it does a new version of itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand
from pyinfra.facts.files import FileContents

from herd.core.files import written_files
from herd.core.gateway.fleet import Mac
from herd.core.gateway.known import Known, entries, in_order
from herd.core.gateway.known import others as others_file
from herd.core.mac.archives import Bundle
from herd.core.mac.endpoints import local_gateway
from herd.core.mac.job_definitions import GATEWAY
from herd.core.mac.layout import Layout
from herd.core.text.secret import key_options
from herd.facts.files import Says, State
from herd.facts.gateway import GatewayAnswers
from herd.facts.gathered import Question
from herd.facts.programs import Linked
from herd.facts.script import script
from herd.operations.commands import Commands, operation
from herd.operations.files import is_as_wanted, show_diff, write
from herd.operations.last_good import is_drained, undrain
from herd.operations.launchd import is_secret
from herd.workstation.api_keys import Held


def _key_asks(layout: Layout) -> Iterator[Question]:
    yield Question(State, paths=[layout.gateway_key])


@operation(asks=_key_asks, changes=[State])
def key(layout: Layout) -> Commands:
    """
    Have a key of the gateway's own; HAProxy and the proxy before it read another one.

    + layout: where the stack lives
    """
    (entry,) = host.get_fact(State, paths=[layout.gateway_key])
    if is_secret(entry):
        host.noop("there is a key")
        return
    yield StringCommand("mkdir -p", QuoteString(layout.of_gateway("")))
    yield script("new-secret", layout.gateway_key)
    yield StringCommand("rm -f", QuoteString(layout.of_gateway("haproxy.loaded")))


def _known_asks(
    layout: Layout, gateways: Sequence[str], *, key_of: Callable[[str], str]
) -> Iterator[Question]:
    yield Question(State, paths=[layout.gateways])
    if gateways:  # of those that are not in this run
        yield Question(FileContents, path=layout.gateways)


@operation(asks=_known_asks, changes=[State])
def known(layout: Layout, gateways: Sequence[str], *, key_of: Callable[[str], str]) -> Commands:
    """
    Let the gateways in, by the hashes of their keys. Of one that is not in this run, or does not
    answer, what is known stays; one that is none any more is let in no more.

    + layout: where the stack lives
    + gateways: their names in the inventory
    + key_of: the path of the key on one of them
    """
    yield from _kept(layout.gateways, gateways, key_of, entries)


def _others_asks(
    layout: Layout, gateways: Sequence[Mac], *, key_of: Callable[[str], str]
) -> Iterator[Question]:
    yield Question(State, paths=[layout.other_gateways])
    if gateways:  # of those that are not in this run
        yield Question(FileContents, path=layout.other_gateways)


@operation(asks=_others_asks, changes=[State])
def others(layout: Layout, gateways: Sequence[Mac], *, key_of: Callable[[str], str]) -> Commands:
    """
    Let the other gateways hear what this one lets in, and hear them, as `known` has it of Macs; the
    proxy that runs takes the file by itself.

    + layout: where the stack lives
    + gateways: the other ones, and how they are reached
    + key_of: the path of the key on one of them
    """

    def text(told: list[Known]) -> str:
        return others_file(told, gateways)

    names = [each.name for each in gateways]
    yield from _kept(layout.other_gateways, names, key_of, text)


def _kept(
    path: str, gateways: Sequence[str], key_of: Callable[[str], str],
    text_of: Callable[[list[Known]], str],
) -> Commands:  # fmt: skip
    """A file of gateways by the hashes of their keys; none of none."""
    (entry,) = host.get_fact(State, paths=[path])
    if not gateways:
        if entry.kind == "absent":
            host.noop("there is no gateway")
        else:
            yield StringCommand("rm -f", QuoteString(path))
        return
    told: dict[str, str] = {}
    active = {other.name for other in host.state.active_hosts}
    for name in gateways:
        if name in active:
            (its,) = host.inventory.get_host(name).get_fact(State, paths=[key_of(name)])
            if is_secret(its):
                told[name] = its.sha256
    before = ""
    if entry.kind == "file" and told.keys() != {*gateways}:
        before = "\n".join(host.get_fact(FileContents, path=path) or [])
    text = text_of(in_order(gateways, told, before))
    if is_as_wanted(entry, text, "600"):
        host.noop("the gateways are known")
        return
    yield from write(path, text, "600")


def _configured_asks(
    layout: Layout, bundle: Bundle, *, uid: int, authorities: str | None
) -> Iterator[Question]:
    for file in [*written_files.gateway(layout, authorities), _loaded(layout, authorities, {})]:
        yield Question(State, paths=[file.path])
    yield _version(layout)


@operation(asks=_configured_asks, changes=[State])
def configured(layout: Layout, bundle: Bundle, *, uid: int, authorities: str | None) -> Commands:
    """
    Have HAProxy's configuration, if HAProxy takes it, and one that runs work by it, in the version
    that is installed. What counts is what was loaded last, so a run that was cut off in between is
    made up for.

    + layout: where the stack lives, and what the gateway is told
    + bundle: the proxy's, whose Python asks HAProxy what it knows of the Macs
    + uid: whose job HAProxy is
    + authorities: who may vouch for the Macs, in PEM; None is whom the system trusts
    """
    *others, config = written_files.gateway(layout, authorities)
    old = [file for file in others if not _is_there(file)]
    for file in old:
        yield from write(file.path, file.content, file.mode)
    loaded = _loaded(layout, authorities, _version(layout).ask(host))
    if not old and _is_there(config) and _is_there(loaded):
        host.noop("HAProxy's configuration is as wanted")
        return
    show_diff(config.path, config.text)
    # Written beside its place, and put there by the script if HAProxy takes it.
    yield from write(f"{config.path}.next", config.content, config.mode)
    yield script(
        "haproxy-config",
        *(layout.root, layout.brew("haproxy"), layout.domain(uid).target(layout.label(GATEWAY))),
        layout.proxy_python(bundle),
    )
    yield from write(loaded.path, loaded.content, loaded.mode)


def _version(layout: Layout) -> Question:
    """Which HAProxy its link leads to."""
    return Question(Linked, links=layout.version_links(["haproxy"]))


def _loaded(
    layout: Layout, authorities: str | None, version: Mapping[str, str]
) -> written_files.Written:
    """Names what HAProxy has read: the configuration, what that names, and its own program."""
    *others, config = written_files.gateway(layout, authorities)
    digests = "".join(f"{file.sha256}\n" for file in [config, *others])
    digests += "".join(f"{name} {number}\n" for name, number in sorted(version.items()))
    return written_files.Written(layout.of_gateway("haproxy.loaded"), "600", digests.encode())


def _is_there(file: written_files.Written) -> bool:
    (entry,) = host.get_fact(State, paths=[file.path])
    return is_as_wanted(entry, file.content, file.mode)


def _serving_asks(layout: Layout, held: Any) -> Iterator[Question]:
    stdin = key_options(held.unmask().secret)
    yield Question(GatewayAnswers, url=local_gateway(layout.settings), _stdin=stdin)
    yield is_drained(layout.gateway_availability)


@operation(asks=_serving_asks, changes=[GatewayAnswers, Says])
def serving(layout: Layout, held: Any) -> Commands:
    """
    Wait, within a limit, until a Mac can be asked through the gateway, by those with a key only.

    + layout: where the stack lives, and its settings
    + held: a `Held` of `herd.workstation.api_keys` in a HiddenValue; its key goes to stdin
    """
    key: Held = held.unmask()
    stdin, url = key_options(key.secret), local_gateway(layout.settings)
    if is_drained(layout.gateway_availability).ask(host):
        yield undrain(layout, layout.gateway_availability)
    if not host.get_fact(GatewayAnswers, url=url, _stdin=stdin).complaint():
        host.noop("the gateway serves")
        return
    yield script("await-gateway", url, layout.settings.verify_timeout, _stdin=stdin)
    if wrong := host.get_fact(GatewayAnswers, url=url, _stdin=stdin).complaint():
        yield StringCommand("printf '%s\\n'", QuoteString(wrong), ">&2; exit 1")
