"""Valkey, and the broker where that is another server."""

import socket
from typing import Any
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from billing.broker import is_amqp
from billing.cli.doctor.addresses import host_and_port, is_near, place
from billing.cli.doctor.findings import Finding, Findings, doubtful, red, well
from billing.config import Settings
from billing.redaction import redacted_text

PATIENCE_SECONDS = 2.0
NEARLY_FULL = 0.9
AMQP_GREETING = b"AMQP\x00\x00\x09\x01"
"""What a client of AMQP 0-9-1 says first; the server's first frame is a method, of type 1."""
METHOD_FRAME = b"\x01"


def queue_findings(settings: Settings) -> Findings:
    yield from _valkey("REDIS_URL", settings.redis_url)
    if settings.broker_url == settings.redis_url:
        yield well("broker", "the same server as REDIS_URL")
    elif is_amqp(settings):
        yield _amqp(settings.broker_url)
    else:
        yield from _valkey("BROKER_URL", settings.broker_url)
    if not urlsplit(settings.broker_url).password and not is_near(settings.broker_url):
        yield doubtful("BROKER_URL", "a remote broker without a password", "write scheme://user:password@host/…")


def _valkey(subject: str, url: str) -> Findings:
    client = Redis.from_url(
        url,
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
    try:
        with client:
            facts: Any = client.info()
            client.set("doctor", 1, px=1000)
    except (RedisError, OSError) as error:
        mend = f"start it, or mend {subject}; `make run` brings one along"
        yield red(subject, f"cannot be used at {place(url)}: {redacted_text(str(error))}", mend)
        return
    name, version = _version(facts)
    yield well(subject, f"{name} {version} at {place(url)}")
    yield _policy(subject, facts)
    yield from _memory(subject, facts)


def _version(facts: Any) -> tuple[str, str]:
    valkey = facts.get("valkey_version")
    return ("Valkey", valkey) if valkey else ("Redis", str(facts.get("redis_version", "of unknown version")))


def _policy(subject: str, facts: Any) -> Finding:
    policy = facts.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        return well(f"{subject} eviction", "a full one refuses, and drops nothing that waits")
    told = f"maxmemory-policy is {policy}: a full one drops messages and limits"
    return red(f"{subject} eviction", told, "CONFIG SET maxmemory-policy noeviction, and in its configuration")


def _memory(subject: str, facts: Any) -> Findings:
    most = facts.get("maxmemory", 0)
    if most and facts.get("used_memory", 0) > NEARLY_FULL * most:
        yield doubtful(f"{subject} memory", "more than 90 % is used", "raise maxmemory, or find what fills it")


def _amqp(url: str) -> Finding:
    """As far as its greeting: whether user and password fit, its own log says."""
    mend = "start it, or mend BROKER_URL"
    try:
        with socket.create_connection(host_and_port(url), PATIENCE_SECONDS) as connection:
            if urlsplit(url).scheme == "amqps":
                return well("broker", f"{place(url)} takes connections")
            connection.sendall(AMQP_GREETING)
            greeting = connection.recv(1)
    except OSError as error:
        return red("broker", f"cannot be reached at {place(url)}: {error}", mend)
    if greeting != METHOD_FRAME:
        return red("broker", f"what answers at {place(url)} speaks no AMQP 0-9-1", mend)
    return well("broker", f"AMQP 0-9-1 at {place(url)}")
