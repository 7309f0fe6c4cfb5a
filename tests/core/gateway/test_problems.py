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


def modelless(**own: Any) -> Settings:
    return settings(**own).model_copy(update={"models": {}})


def of(hosts: dict[str, Settings], gateways: tuple[str, ...]) -> list[str]:
    known = {fleet.mac(name, own, "10.0.0.1"): own for name, own in hosts.items()}
    return [each.where for each in problems.faults(known, gateways)]


def test_a_gateway_of_its_own_needs_no_port_for_agents_nor_those_of_a_stack() -> None:
    mac = settings(proxy_agent_port=3001)
    own = modelless(gateway_port=3000, gateway_haproxy_port=8080)

    assert of({"mac1": mac, "gw": own}, ("gw",)) == []


def test_a_gateway_of_nothing_is_told() -> None:
    assert of({"gw": modelless()}, ("gw",)) == ["group gateways"]


def test_what_serves_no_model_has_no_window() -> None:
    own = modelless(launchd_autostart="terminal")

    assert of({"mac1": settings(proxy_agent_port=3001), "gw": own}, ("gw",)) == [
        "gw: launchd_autostart"
    ]


def test_where_no_settings_are_right_that_is_told_first() -> None:
    assert list(problems.faults({}, ["mac1"])) == []


def two(own: Settings, *addresses: str) -> list[str]:
    known = {fleet.mac(f"gw{n}", own, each): own for n, each in enumerate(addresses, start=1)}
    known[fleet.mac("mac", settings(proxy_agent_port=3001), "10.0.0.9")] = settings(
        proxy_agent_port=3001
    )
    names = [mac.name for mac in known if mac.name != "mac"]
    return [each.where for each in problems.faults(known, names)]


def test_gateways_are_reached_each_by_itself() -> None:
    """A name for both, as clients have it, would lead one of them to itself."""
    assert two(modelless(), "10.0.0.1", "10.0.0.2") == []
    assert two(modelless(), "herd.example.com", "herd.example.com") == ["gw2: proxy_address"]


def test_gateways_with_a_certificate_are_reached_by_name() -> None:
    own = modelless(**TLS)

    assert two(own, "10.0.0.1", "gw2.example.com") == ["gw1: proxy_address"]
    assert two(own, "10.0.0.1") == []
