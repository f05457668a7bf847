"""Names of hosts and origins as settings list them: exact, or refused at boot."""

import re
from collections.abc import Sequence

EVERY_HOST = "*"

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\]"
HOST = re.compile(rf"\*|(?:\*\.)?(?:{_NAME})")
ORIGIN = re.compile(rf"(https?)://(?:{_NAME})(:[1-9][0-9]{{0,4}})?")
NEVER_WRITTEN = {("http", ":80"), ("https", ":443")}
"""The ports that browsers leave out of an origin."""


def checked_hosts(given: Sequence[str]) -> tuple[str, ...]:
    """Lower-cased; raises ValueError for what no Host header can name, such as a name with a scheme or a port."""
    hosts = tuple(host.lower() for host in given)
    if not hosts or not all(HOST.fullmatch(host) for host in hosts):
        raise ValueError("no list of names without scheme and port; write billing.example.com, *.example.com")
    return hosts


def checked_origins(given: Sequence[str]) -> tuple[str, ...]:
    """As browsers write them; raises ValueError for patterns: whom one lets in, one names."""
    origins = tuple(origin.lower() for origin in given)
    found = [ORIGIN.fullmatch(origin) for origin in origins]
    if not all(match and match.groups() not in NEVER_WRITTEN for match in found):
        raise ValueError("no list of exact origins as browsers send them; write https://shop.example.com")
    return origins


def is_listed(host: str, hosts: Sequence[str]) -> bool:
    """`*.example.com` lists what is below example.com, and not example.com itself."""
    return any(host == one or (one.startswith("*.") and host.endswith(one[1:])) for one in hosts)
