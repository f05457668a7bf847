"""Where a URL leads, without the secrets in it."""

from ipaddress import ip_address
from urllib.parse import urlsplit

DEFAULT_PORTS = {
    "postgresql": 5432, "postgres": 5432, "redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671, "https": 443,
    "http": 80,
}  # fmt: skip


def host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "localhost", parts.port or DEFAULT_PORTS.get(parts.scheme, 0)


def place(url: str) -> str:
    host, port = host_and_port(url)
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def is_near(url: str) -> bool:
    host, _ = host_and_port(url)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
