"""What cannot be between gateways and Macs is told before anything is connected to."""

from typing import Any

import pytest

from herd.core.gateway import fleet, problems
from herd.core.settings.schema import Settings
from tests.core.samples import settings

TLS = {"proxy_tls_certificate": "c.pem", "proxy_tls_key": "k.pem", "proxy_agent_port": 3001}


def told(own: Settings, address: str = "10.0.0.1", gateways: tuple[str, ...] = ("mac1",)) -> Any:
    mac = fleet.mac("mac1", own, address)
    return [(each.where, each.kind) for each in problems.faults({mac: own}, gateways)]


@pytest.mark.parametrize("address", ["studio.local", "10.0.0.1", "fd00::1"])
def test_plain_macs_may_be_reached_in_any_way(address: str) -> None:
    assert told(settings(proxy_agent_port=3001), address) == []


@pytest.mark.parametrize(
    ("own", "where", "kind"),
    [
        ({}, "mac1: proxy_agent_port", "settings"),
        (TLS, "mac1: proxy_address", "settings"),
        (
            {"proxy_agent_port": 3001, "gateway_port": 3000},
            "mac1: gateway_port",
            "ports",
        ),
        (
            {"proxy_agent_port": 3001, "gateway_haproxy_port": 8080},
            "mac1: gateway_haproxy_port",
            "ports",
        ),
    ],
)
def test_what_does_not_go_together_is_told(own: dict[str, Any], where: str, kind: str) -> None:
    assert told(settings(**own)) == [(where, kind)]
    assert told(settings(**own), gateways=()) == []


def test_two_ports_of_one_gateway_are_two() -> None:
    own = settings(proxy_agent_port=3001, gateway_port=4000, gateway_haproxy_port=4000)

    assert told(own) == [("mac1: gateway_port", "ports"), ("mac1: gateway_haproxy_port", "ports")]


def test_a_name_is_what_a_certificate_is_for() -> None:
    assert told(settings(**TLS), "studio.local") == []


def test_a_mac_that_listens_at_one_address_is_reached_there() -> None:
    own = settings(proxy_host="10.0.0.9", proxy_agent_port=3001)

    assert fleet.mac("mac1", own, "studio.local").address == "10.0.0.9"
