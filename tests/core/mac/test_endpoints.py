"""How a stack is reached."""

import pytest

from herd.core.mac.endpoints import (
    llama_swap,
    local_proxy,
    proxy_for_peers,
    public_proxy,
)
from tests.core.samples import settings


@pytest.mark.parametrize(
    ("host", "local", "public"),
    [
        ("0.0.0.0", "http://127.0.0.1:3000", "http://studio.local:3000"),
        ("::", "http://127.0.0.1:3000", "http://studio.local:3000"),
        ("127.0.0.1", "http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("10.0.0.5", "http://10.0.0.5:3000", "http://10.0.0.5:3000"),
        ("fd00::5", "http://[fd00::5]:3000", "http://[fd00::5]:3000"),
    ],
)
def test_addresses_follow_from_where_the_proxy_listens(host: str, local: str, public: str) -> None:
    own = settings(proxy_host=host)

    assert local_proxy(own) == local
    assert public_proxy(own, "studio.local") == public


def test_other_macs_of_a_site_may_know_it_by_an_address_of_their_own() -> None:
    cable = settings(models_address="10.0.0.2", proxy_host="10.0.0.2")

    assert proxy_for_peers(cable, "studio.local") == "http://10.0.0.2:3000"
    assert proxy_for_peers(settings(), "studio.local") == "http://studio.local:3000"


def test_a_mac_known_by_an_ipv6_address_gets_brackets() -> None:
    assert public_proxy(settings(proxy_port=3001), "fd00::7") == "http://[fd00::7]:3001"
    assert public_proxy(settings(), "[fd00::7]") == "http://[fd00::7]:3000"


def test_with_a_certificate_it_is_https() -> None:
    own = settings(proxy_tls_certificate="a.pem", proxy_tls_key="b.pem")

    assert local_proxy(own) == "https://127.0.0.1:3000"
    assert public_proxy(own, "fd00::7") == "https://[fd00::7]:3000"
    assert llama_swap(own) == "http://127.0.0.1:8080"
