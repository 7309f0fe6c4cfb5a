"""What cannot be between gateways and the Macs behind them, though each is right by itself."""

from collections.abc import Collection, Iterator, Mapping

from herd.core.gateway.fleet import GROUP, Mac
from herd.core.settings.problems import Problem
from herd.core.settings.schema import Settings


def faults(macs: Mapping[Mac, Settings], gateways: Collection[str]) -> Iterator[Problem]:
    """Of all hosts of an inventory, and those of them that are gateways, by name."""
    # Without any whose settings are right, that is what is to be mended first.
    if gateways and macs and not any(settings.serves for settings in macs.values()):
        yield Problem(
            f"group {GROUP}",
            "No host serves a model, so there is nothing to be the gateway of.",
            'name the Macs in a group of their own, too: macs = ["studio.local"].',
        )
    yield from _same_place(macs, gateways)
    for mac, settings in macs.items() if gateways else ():
        if settings.serves and mac.agent_port is None:
            yield Problem(
                f"{mac.name}: proxy_agent_port",
                f"There is a group {GROUP}, and this Mac tells no gateway how it is.",
                "set proxy_agent_port = 3001 in group_data/all.py.",
            )
        if settings.serves and mac.tls and _is_number(mac.address):
            yield Problem(
                f"{mac.name}: proxy_address",
                f"A gateway reaches it as {mac.address}, and believes a certificate for a name.",
                'give the name in its certificate: proxy_address = "studio.example.com".',
            )
        if mac.name in gateways:
            yield from _clashes(mac, settings)
        if not settings.serves and len(gateways) > 1 and mac.tls and _is_number(mac.address):
            yield Problem(
                f"{mac.name}: proxy_address",
                f"Other gateways reach it as {mac.address}, and believe a certificate for a name.",
                'give a name in its certificate: proxy_address = "gw1.example.com".',
            )
        if not settings.serves and settings.launchd_autostart == "terminal":
            yield Problem(
                f"{mac.name}: launchd_autostart",
                "It is a gateway and serves no model, so there is nothing to open in a window.",
                'set "background" or "off".',
            )


def _same_place(macs: Mapping[Mac, Settings], gateways: Collection[str]) -> Iterator[Problem]:
    """Gateways tell each other what they let in, so each has to be reached itself."""
    at: dict[tuple[str, int], str] = {}
    for mac, settings in macs.items():
        if mac.name in gateways:
            place = mac.address, settings.gateway_port
            if (first := at.setdefault(place, mac.name)) != mac.name:
                yield Problem(
                    f"{mac.name}: proxy_address",
                    f"Other gateways would reach it at {mac.host}:{place[1]}, as they do {first}.",
                    'give each an address of its own: proxy_address = "gw2.example.com"; a name '
                    "for both is for clients.",
                )


def _is_number(address: str) -> bool:
    return ":" in address or address.replace(".", "").isdigit()


def _clashes(mac: Mac, settings: Settings) -> Iterator[Problem]:
    ports = {"gateway_port": settings.gateway_port}
    ports["gateway_haproxy_port"] = settings.gateway_haproxy_port
    for name, port in ports.items():
        others = [other for other in ports if other != name and ports[other] == port]
        if (settings.serves and port in settings.ports) or others:
            yield Problem(
                f"{mac.name}: {name}",
                f"Port {port} is wanted by something else of this host.",
                "give each its own.",
                "ports",
            )
