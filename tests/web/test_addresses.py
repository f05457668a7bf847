"""Where a request comes from cannot be claimed by whoever sends it."""

from ipaddress import ip_address, ip_network

import pytest
from starlette.requests import HTTPConnection

from web.addresses import client_address, network_of

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("192.0.2.7", ["127.0.0.1"], "192.0.2.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["127.0.0.1, 192.0.2.7"], "192.0.2.7"),
        ("10.0.0.1", ["127.0.0.1, 192.0.2.7 , 10.9.9.9"], "192.0.2.7"),
        ("10.0.0.1", ["127.0.0.1", "192.0.2.7,10.9.9.9"], "192.0.2.7"),
        ("10.0.0.1", ["192.0.2.7, rubbish"], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, 192.0.2.7:4711"], "192.0.2.7"),
        ("10.0.0.1", ["192.0.2.7, [2001:db8:2::9]:443"], "2001:db8:2::9"),
        ("10.0.0.1", ["192.0.2.7:x"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("::ffff:192.0.2.7", [], "192.0.2.7"),
        ("2001:db8:1::1", ["2001:db8:2::9"], "2001:db8:2::9"),
        ("testclient", [], "None"),
        ("", [], "None"),
    ],
)
def test_the_nearest_hop_that_is_no_listed_proxy_counts(peer: str, forwarded: list[str], address: str) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    connection = HTTPConnection({"type": "http", "client": (peer, 1), "headers": headers})
    assert str(client_address(connection, PROXIES)) == address


def test_a_socket_without_an_address_has_none() -> None:
    assert client_address(HTTPConnection({"type": "http", "client": None, "headers": []}), PROXIES) is None


def test_an_ipv6_line_is_one_caller() -> None:
    """A provider gives each line 2^64 addresses at least, and a caller may use a new one for each request."""
    one, same, other = (ip_address(f"2001:db8:0:{network}") for network in ("1::1", "1:ffff::", "2::1"))
    assert network_of(one) == network_of(same) != network_of(other)
    assert network_of(ip_address("192.0.2.7")) != network_of(ip_address("192.0.2.8"))
