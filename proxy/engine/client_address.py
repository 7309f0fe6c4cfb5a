"""From where a client comes, as far as shares go; pure."""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=4096)
def source_of(address: str) -> str:
    """Whose address it is: the 64 bits of IPv6 that one line or machine is given, or all of IPv4.

    What is no address, as of a test's own transport, is its own source.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(found) >> 64 << 64))
