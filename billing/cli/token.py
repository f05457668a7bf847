"""Tokens for trying things out: what the platform's own identity service signs in earnest."""

from datetime import timedelta
from typing import Annotated

import jwt
import typer

from billing.clock import machine_now
from billing.config import TokenSettings
from billing.errors import ConfigurationError

ROLES = ("student", "guardian", "staff", "admin", "service")
SUB_LENGTH = 255


def _sub(given: str) -> str:
    """Raises BadParameter for one that no door takes for somebody's."""
    if not given.strip() or len(given) > SUB_LENGTH or not given.isprintable():
        raise typer.BadParameter(f"1 to {SUB_LENGTH} visible characters, as the platform calls its user")
    return given


def token(
    sub: Annotated[str, typer.Option(callback=_sub, help="The platform's user id.")],
    email: Annotated[str | None, typer.Option(help="The caller's address.")] = None,
    name: Annotated[str | None, typer.Option(help="The caller's name.")] = None,
    role: Annotated[list[str] | None, typer.Option(help=f"Repeatable: {', '.join(ROLES)}.")] = None,
    verified: Annotated[bool, typer.Option(help="Whether the address is proven to be the caller's.")] = True,
    hours: Annotated[float, typer.Option(min=0.01, max=8760, help="How long it is valid.")] = 12,
) -> None:
    """Print a token for `Authorization: Bearer`, signed with JWT_SECRET; nothing has to run for it."""
    roles = role or []
    if unknown := set(roles) - set(ROLES):
        raise typer.BadParameter(f"no such role: {', '.join(sorted(unknown))}", param_hint="--role")
    settings = TokenSettings.load()
    if settings.jwt_jwks_url:
        raise ConfigurationError(["JWT_JWKS_URL: tokens are signed by its owner, who alone has the key"])
    typer.echo(sign(settings, sub=sub, email=email, name=name, roles=roles, verified=verified, valid_hours=hours))


def sign(
    settings: TokenSettings,
    *,
    sub: str,
    email: str | None,
    name: str | None,
    roles: list[str],
    verified: bool = True,
    valid_hours: float = 12,
) -> str:
    """A token as the platform would make it, with the issuer and audience that are checked here."""
    now = machine_now()  # whoever verifies it goes by the real time, wherever the sandbox's clock stands
    claims = {
        "sub": sub,
        "email": email,
        "email_verified": email and verified,
        "name": name,
        "roles": roles,
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "iat": now,
        "exp": now + timedelta(hours=valid_hours),
    }
    present = {claim: value for claim, value in claims.items() if value is not None}
    return jwt.encode(present, settings.jwt_secret, algorithm="HS256")
