"""Where a request comes from: the connection's other end, or what listed proxies say was before them."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.requests import HTTPConnection

from billing.config import Network

Address = IPv4Address | IPv6Address

WITH_PORT = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\]):[0-9]{1,5}")


def client_address(request: HTTPConnection, trusted: Sequence[Network]) -> Address | None:
    """The right-most hop that is no listed proxy; what stands left of it, anybody could have written."""
    peer = _parsed(request.client.host if request.client else "")
    if peer is None or not _is_in(peer, trusted):
        return peer
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    for hop in reversed(hops):
        address = _parsed(hop.strip())
        if address is None:
            break
        if not _is_in(address, trusted):
            return address
    return peer


def is_from(request: HTTPConnection, networks: Sequence[Network], trusted: Sequence[Network]) -> bool:
    address = client_address(request, trusted)
    return address is not None and _is_in(address, networks)


def network_of(address: Address) -> str:
    """Whoever has one IPv6 address has the 2^64 beside it as well."""
    return str(address) if isinstance(address, IPv4Address) else f"{int(address) >> 64:x}/64"


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _parsed(text: str) -> Address | None:
    """Some proxies write the port behind the address."""
    with_port = WITH_PORT.fullmatch(text)
    try:
        address = ip_address((with_port[1] or with_port[2]) if with_port else text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
