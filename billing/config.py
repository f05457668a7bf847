"""Settings: frozen, read from the environment once, by the entry points.

Every value is judged at boot, alone and against the others. A wrong one raises `ConfigurationError` with one line a
variable: its name, what is wrong, and the mend.
"""

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from billing.errors import ConfigurationError
from billing.hosts import EVERY_HOST, checked_hosts, checked_origins
from billing.notifications.server import MailServer

STRIPE_API = "https://api.stripe.com"
STRIPE_CALLS, STRIPE_TEST_CALLS, STRIPE_ENDPOINT_CALLS = 100, 25, 25
"""In a second: with a live key, with a test key, and at each endpoint (Stripe, "Rate limits")."""
MOST_CALLS = 1_000_000
SERVICES_FILE = "services.env"
"""Under the state folder: where `billing up` writes the addresses of what it embeds, for commands beside it."""

DEVELOPMENT_JWT_SECRET = "development-jwt-secret-known-to-everyone"
DEVELOPMENT_SECRET_KEY = "development-secret-key-known-to-everyone"
SANDBOX_SECRET_KEY = "sk_test_sandbox_of_the_billing_pipeline"
SANDBOX_PUBLISHABLE_KEY = "pk_test_sandbox_of_the_billing_pipeline"
SANDBOX_WEBHOOK_SECRET = "whsec_sandbox_of_the_billing_pipeline"

ENDPOINT_OF_TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT"
NOT_BUILT_IN = "this version sends nothing there, and silence would look like health; unset it"

Network = IPv4Network | IPv6Network
LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
SECRET_BYTES = 32

FOLLOWERS = {"database_owner_url": "database_url", "broker_url": "redis_url"}
"""What is the same as another setting unless it is set."""


class AppEnv(StrEnum):
    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _networks(value: object) -> object:
    parts = _split(value)
    if not isinstance(parts, tuple):
        return parts
    return tuple(ip_network(part, strict=False) if isinstance(part, str) else part for part in parts)


def _one_of_schemes(*schemes: str) -> AfterValidator:
    def check(url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in schemes or not (parts.hostname or "sock" in url) or not _has_usable_port(url):
            raise ValueError(f"not a usable address; write {schemes[0]}://host:port/…")
        return url

    return AfterValidator(check)


def _has_usable_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:  # not a number, or none of a port
        return False


def _mail_server(url: str) -> str:
    MailServer.of(url)
    return url


def _limit(limit: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,6}/[smhd]", limit):
        raise ValueError("not a limit; write one like 10/h (a number, then s, m, h or d)")
    return limit


def _begins_with(*prefixes: str) -> AfterValidator:
    def check(value: str) -> str:
        if not value.startswith(prefixes) or value in prefixes:
            raise ValueError(f"not a key of this kind; it begins with {' or '.join(prefixes)}")
        return value

    return AfterValidator(check)


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("no such time zone; write a name like Europe/Lisbon")
    return name


def _webhook_secrets(secrets: tuple[str, ...]) -> tuple[str, ...]:
    if not secrets or any(not secret.startswith("whsec_") or secret == "whsec_" for secret in secrets):
        raise ValueError("one or several secrets that begin with whsec_, separated by commas, are needed")
    return secrets


def _long_secrets(secrets: tuple[str, ...]) -> tuple[str, ...]:
    if not secrets or any(len(secret.encode()) < SECRET_BYTES for secret in secrets):
        raise ValueError(f"one or several secrets of at least {SECRET_BYTES} bytes, separated by commas, are needed")
    return secrets


PostgresUrl = Annotated[str, _one_of_schemes("postgresql", "postgres")]
RedisUrl = Annotated[str, _one_of_schemes("redis", "rediss")]
BrokerUrl = Annotated[str, _one_of_schemes("redis", "rediss", "amqp", "amqps")]
HttpUrl = Annotated[str, _one_of_schemes("https", "http")]
Limit = Annotated[str, AfterValidator(_limit)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_networks)]
Secrets = Annotated[tuple[str, ...], BeforeValidator(_split)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(checked_hosts)]
Origins = Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(checked_origins)]


class TokenSettings(BaseModel):
    """How callers' tokens are signed and verified: nothing else has to be set for making one."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    app_env: AppEnv = AppEnv.DEVELOPMENT
    jwt_secret: str = Field(default="", repr=False)
    jwt_jwks_url: HttpUrl | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_secret(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("jwt_secret") or values.get("jwt_jwks_url"):
            return values
        return {**values, "jwt_secret": DEVELOPMENT_JWT_SECRET}

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if complaints := self._complaints():
            raise ConfigurationError(complaints)
        return self

    def _complaints(self) -> list[str]:
        return _token_complaints(self)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment, in development also `.billing/services.env` and `.env`, which it overrides.

        Raises ConfigurationError with a line for each wrong variable.
        """
        values = read_environment(os.environ if environ is None else environ)
        known = {name: value for name in cls.model_fields if (value := values.get(name.upper(), "").strip())}
        if too_early := [f"{name}: {NOT_BUILT_IN}" for name in ("SENTRY_DSN", ENDPOINT_OF_TRACES) if values.get(name)]:
            raise ConfigurationError(too_early)
        try:
            return cls.model_validate(known)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            raise ConfigurationError([_line(detail) for detail in details if _is_asked_for(detail, known)]) from None


class Settings(TokenSettings):
    """All of `contract.md` 2, and the few limits that only development changes."""

    database_url: PostgresUrl = Field(repr=False)
    database_owner_url: PostgresUrl = Field(default="", repr=False)
    redis_url: RedisUrl = Field(repr=False)
    broker_url: BrokerUrl = Field(default="", repr=False)

    stripe_secret_key: Annotated[str, _begins_with("sk_test_", "rk_test_", "sk_live_", "rk_live_")] = Field(repr=False)
    stripe_publishable_key: Annotated[str, _begins_with("pk_test_", "pk_live_")]
    stripe_webhook_secret: Annotated[Secrets, AfterValidator(_webhook_secrets)] = Field(repr=False)
    stripe_api_base: HttpUrl = STRIPE_API
    stripe_calls_per_second: int = Field(default=STRIPE_TEST_CALLS, ge=2, le=MOST_CALLS)
    stripe_calls_per_endpoint: int = Field(default=STRIPE_ENDPOINT_CALLS, ge=2, le=MOST_CALLS)
    """By all processes together; Stripe counts in its own way, so a little less is used."""

    secret_key: Annotated[Secrets, AfterValidator(_long_secrets)] = Field(default=(DEVELOPMENT_SECRET_KEY,), repr=False)

    business_timezone: Annotated[str, AfterValidator(_known_zone)] = "Europe/Lisbon"
    expiry_grace_hours: int = Field(default=24, ge=0, le=24 * 365)
    purchase_limit_address: Limit = "10/h"
    purchase_limit_user: Limit = "30/h"
    purchase_limit_email: Limit = "5/h"
    purchase_give_up_minutes: int = Field(default=15, ge=1, le=23 * 60)
    refund_window_days: int | None = Field(default=None, ge=1, le=3650)
    """So long after payment staff may give money back; None: for ever."""
    refund_fee_percent: int = Field(default=0, ge=0, le=100)
    """What is kept of the value of unused hours."""
    seller_name: str = Field(default="Tutoring platform", max_length=200)
    seller_address: str = Field(default="", max_length=500)
    seller_vat_number: str = Field(default="", max_length=40)
    vat_rate_percent: Decimal | None = Field(default=None, ge=0, lt=100, max_digits=5, decimal_places=2)
    """What a price includes; None: receipts say nothing of it."""
    metrics_allow: Networks = LOOPBACK
    trusted_proxies: Networks = ()
    allowed_hosts: Hosts = (EVERY_HOST,)
    cors_origins: Origins = ()
    port: int = Field(default=8000, ge=1, le=65535)
    web_concurrency: int = Field(default=1, ge=1, le=64)
    mail_url: Annotated[str, _one_of_schemes("smtp", "smtps"), AfterValidator(_mail_server)] | None = Field(
        default=None, repr=False
    )

    state_dir: Path = Path(".billing")
    work_lease_seconds: float = Field(default=8, gt=0, le=60)
    work_lost_claims: int = Field(default=6, ge=2, le=100)
    """So many claims of a row may end without a word from their worker before the row becomes a dead letter."""

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_follow(cls, values: dict[str, Any]) -> dict[str, Any]:
        found = {name: values[other] for name, other in FOLLOWERS.items() if not values.get(name) and other in values}
        if not values.get("stripe_calls_per_second") and _is_live(str(values.get("stripe_secret_key"))):
            found["stripe_calls_per_second"] = STRIPE_CALLS
        return {**values, **found}

    def _complaints(self) -> list[str]:
        complaints = [*_key_complaints(self), *super()._complaints()]
        return complaints + (_production_complaints(self) if self.app_env is AppEnv.PRODUCTION else [])

    @property
    def livemode(self) -> bool:
        """Whether Stripe's objects of this deployment move real money."""
        return _is_live(self.stripe_secret_key)

    @property
    def is_sandbox(self) -> bool:
        return self.stripe_secret_key == SANDBOX_SECRET_KEY

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.business_timezone)


def read_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment over the files that count in development; no other environment reads a file."""
    given = {name: value for name, value in environ.items() if value}
    if given.get("APP_ENV", AppEnv.DEVELOPMENT) != AppEnv.DEVELOPMENT:
        return given
    services = Path(given.get("STATE_DIR", ".billing")) / SERVICES_FILE
    found = {**_read_file(services), **_read_file(Path(".env")), **given}
    if found.get("APP_ENV", AppEnv.DEVELOPMENT) != AppEnv.DEVELOPMENT:
        raise ConfigurationError(["APP_ENV: a file cannot leave development; set it in the environment itself"])
    return found


def _read_file(path: Path) -> dict[str, str]:
    return {name: value for name, value in dotenv_values(path).items() if value} if path.is_file() else {}


HINTS = {
    "DATABASE_URL": "is not set; start everything with `make run`, or write postgresql://user:password@host/database",
    "REDIS_URL": "is not set; start everything with `make run`, or write redis://host:6379/0",
    "STRIPE_SECRET_KEY": "is not set; `make run` brings a sandbox, or take the key from Stripe's dashboard",
    "STRIPE_PUBLISHABLE_KEY": "is not set; it belongs to STRIPE_SECRET_KEY, take both from Stripe's dashboard",
    "STRIPE_WEBHOOK_SECRET": "is not set; take it from the webhook endpoint in Stripe's dashboard (whsec_…)",
}


def _is_asked_for(detail: ErrorDetails, known: Mapping[str, str]) -> bool:
    """A setting that only follows another is as wrong as that one, which has its own line."""
    name = str(detail["loc"][0]) if detail["loc"] else ""
    return name not in FOLLOWERS or name in known


def _line(detail: ErrorDetails) -> str:
    name = str(detail["loc"][0]).upper() if detail["loc"] else "SETTINGS"
    if detail["type"] == "missing":
        return f"{name}: {HINTS.get(name, 'is not set')}"
    return f"{name}: {detail['msg'].removeprefix('Value error, ')}"


def _is_live(key: str) -> bool:
    return "_live_" in key[:8]


def _key_complaints(settings: Settings) -> list[str]:
    live = settings.livemode
    found = []
    if _is_live(settings.stripe_publishable_key) != live:
        found.append("STRIPE_PUBLISHABLE_KEY: one key is live and the other a test key; take both from one mode")
    if live and settings.app_env is AppEnv.DEVELOPMENT:
        found.append("STRIPE_SECRET_KEY: a live key in development; use a test key, or set APP_ENV=production")
    if settings.stripe_api_base != STRIPE_API and live:
        found.append(f"STRIPE_API_BASE: a live key is only ever sent to {STRIPE_API}; unset STRIPE_API_BASE")
    return found


def _token_complaints(settings: TokenSettings) -> list[str]:
    if settings.jwt_secret and settings.jwt_jwks_url:
        return ["JWT_SECRET: contradicts JWT_JWKS_URL; tokens are verified by one of them, unset the other"]
    url = settings.jwt_jwks_url
    if url and urlsplit(url).scheme != "https" and not _is_loopback(url):
        return ["JWT_JWKS_URL: keys fetched over plain http could be anybody's; use https"]
    is_known = settings.jwt_secret == DEVELOPMENT_JWT_SECRET or len(settings.jwt_secret.encode()) < SECRET_BYTES
    if not url and is_known and settings.app_env is AppEnv.PRODUCTION:
        return [f"JWT_SECRET: the default or a short one; set {SECRET_BYTES} random bytes, or JWT_JWKS_URL"]
    return []


def _production_complaints(settings: Settings) -> list[str]:
    found = []
    if not settings.livemode:
        found.append("STRIPE_SECRET_KEY: a test key in production; use the live key, or set APP_ENV=staging")
    if settings.stripe_api_base != STRIPE_API:
        found.append(f"STRIPE_API_BASE: production talks to {STRIPE_API} only; unset it")
    if SANDBOX_WEBHOOK_SECRET in settings.stripe_webhook_secret:
        found.append("STRIPE_WEBHOOK_SECRET: the sandbox's secret is known to everyone; use the endpoint's own")
    if DEVELOPMENT_SECRET_KEY in settings.secret_key:
        found.append(f"SECRET_KEY: the development key is known to everyone; set {SECRET_BYTES} random bytes")
    if EVERY_HOST in settings.allowed_hosts:
        found.append("ALLOWED_HOSTS: production answers to its own names only; list them: billing.example.com, …")
    if not urlsplit(settings.broker_url).password and not _is_loopback(settings.broker_url):
        found.append("BROKER_URL: a remote broker without a password; write scheme://user:password@host/…")
    return found


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or "localhost"
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
