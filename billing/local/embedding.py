"""What is embedded: a service whose address nobody gave, in development only."""

from collections.abc import Mapping
from dataclasses import dataclass

from billing.config import AppEnv
from billing.errors import ConfigurationError

ONLY_WITH = {
    "DATABASE_OWNER_URL": "DATABASE_URL",
    "STRIPE_API_BASE": "STRIPE_SECRET_KEY",
    "STRIPE_PUBLISHABLE_KEY": "STRIPE_SECRET_KEY",
}
BROUGHT = {"DATABASE_URL": "a PostgreSQL", "REDIS_URL": "a Valkey", "STRIPE_SECRET_KEY": "a sandbox"}


@dataclass(frozen=True, slots=True)
class Embedding:
    postgres: bool
    valkey: bool
    sandbox: bool

    @classmethod
    def decide(cls, environment: Mapping[str, str]) -> "Embedding":
        """From the environment and `.env`. Raises ConfigurationError where half of something is set."""
        given = {name for name, value in environment.items() if value.strip()}
        missing = [name for name in BROUGHT if name not in given]
        if complaints := [*_half_set(given), *_outside_development(environment.get("APP_ENV", ""), missing)]:
            raise ConfigurationError(complaints)
        return cls("DATABASE_URL" in missing, "REDIS_URL" in missing, "STRIPE_SECRET_KEY" in missing)


def _half_set(given: set[str]) -> list[str]:
    return [
        f"{name}: is set without {leader}; set that too, or unset this to have {BROUGHT[leader]} brought along"
        for name, leader in ONLY_WITH.items()
        if name in given and leader not in given
    ]


def _outside_development(app_env: str, missing: list[str]) -> list[str]:
    if app_env.strip() in ("", AppEnv.DEVELOPMENT):
        return []
    return [f"{name}: is not set, and {BROUGHT[name]} is brought along in development only; set it" for name in missing]
