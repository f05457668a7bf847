"""Who is asking: a token's bearer, verified; or nobody, where a route allows that."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import jwt
from jwt import PyJWK, PyJWKClient
from jwt.exceptions import PyJWKClientConnectionError
from starlette.requests import HTTPConnection

from billing.clock import machine_now
from billing.config import Settings
from billing.purchases.accept import Caller
from web.emails import normalised
from web.errors import HttpError, unavailable

TOKEN_LENGTH = 8192
TEXT_LENGTH = 255
LEEWAY_SECONDS = 10
"""For clocks that differ: a token may be from the next seconds. One that has expired has."""


class Role(StrEnum):
    STUDENT = "student"
    GUARDIAN = "guardian"
    STAFF = "staff"
    ADMIN = "admin"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a verified token says of its bearer."""

    sub: str
    email: str | None
    email_verified: bool
    name: str
    roles: frozenset[Role]

    @property
    def verified_email(self) -> str | None:
        return self.email if self.email_verified else None

    @property
    def caller(self) -> Caller:
        return Caller(self.sub, self.email, self.email_verified)

    def is_any_of(self, *roles: Role) -> bool:
        return not self.roles.isdisjoint(roles)


class Keys(Protocol):
    """Where the key comes from that a token must be signed with."""

    @property
    def algorithms(self) -> Sequence[str]: ...

    async def find(self, token: str) -> PyJWK | str:
        """Raises an error of PyJWT where no key fits, HttpError 503 where that cannot be found out."""


class SharedSecret:
    algorithms = ("HS256",)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def find(self, token: str) -> str:
        return self._secret


class KeyServer:
    """Published keys, kept for five minutes. A server that is away is asked again after a pause, not by each caller."""

    algorithms = ("RS256", "ES256")
    pause_seconds = 5.0

    def __init__(self, url: str) -> None:
        self._client = PyJWKClient(url, lifespan=300, timeout=2, cooldown_duration=30)
        self._closed_until = 0.0

    async def find(self, token: str) -> PyJWK:
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        if header.get("alg") not in self.algorithms or not isinstance(kid, str):
            raise jwt.InvalidTokenError("no key of ours")
        return self._kept(kid) or await self._fetch(kid)

    def _kept(self, kid: str) -> PyJWK | None:
        kept = self._client.jwk_set_cache and self._client.jwk_set_cache.get()
        keys = [key for key in kept.keys if key.public_key_use in ("sig", None)] if kept else []
        return self._client.match_kid(keys, kid)

    async def _fetch(self, kid: str) -> PyJWK:
        if time.monotonic() < self._closed_until:
            raise unavailable("Tokens cannot be verified right now; try again.")
        try:
            async with asyncio.timeout(2.5):
                return await asyncio.to_thread(self._client.get_signing_key, kid)
        except (PyJWKClientConnectionError, TimeoutError):
            self._closed_until = time.monotonic() + self.pause_seconds
            raise unavailable("Tokens cannot be verified right now; try again.") from None


class Authenticator:
    def __init__(self, settings: Settings) -> None:
        url = settings.jwt_jwks_url
        self._keys: Keys = KeyServer(url) if url else SharedSecret(settings.jwt_secret)
        self._audience = settings.jwt_audience
        self._issuer = settings.jwt_issuer

    async def optional(self, request: HTTPConnection) -> Identity | None:
        """None where no token was sent; a bad one is refused even where none is needed."""
        given = request.headers.getlist("authorization")
        if not given:
            return None
        scheme, _, token = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer":
            raise _refused("Send one token, as `Authorization: Bearer …`.")
        return await self._verify(token.strip())

    async def required(self, request: HTTPConnection) -> Identity:
        identity = await self.optional(request)
        if identity is None:
            raise _refused("A token is needed here, as `Authorization: Bearer …`.")
        return identity

    async def _verify(self, token: str) -> Identity:
        """Whatever a forged token makes the library stumble over, it is not a good token."""
        try:
            return _identity(self._claims(token, await self._keys.find(_bounded(token))))
        except HttpError:
            raise
        except Exception as error:
            raise _refused("The token is not valid, or not valid any more.") from error

    def _claims(self, token: str, key: PyJWK | str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(self._keys.algorithms),
            audience=self._audience,
            issuer=self._issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "sub"], "verify_aud": self._audience is not None},
        )
        if float(claims["exp"]) <= machine_now().timestamp():
            raise jwt.ExpiredSignatureError("it has expired")
        return claims


def _bounded(token: str) -> str:
    if not 0 < len(token) <= TOKEN_LENGTH:
        raise ValueError("no token of ours")
    return token


def _refused(message: str) -> HttpError:
    return HttpError(401, "authentication_required", message, headers={"WWW-Authenticate": "Bearer"})


def _identity(claims: Mapping[str, Any]) -> Identity:
    sub = claims["sub"]
    if not 0 < len(sub) <= TEXT_LENGTH or not sub.isprintable():
        raise ValueError("a sub of another kind")
    email = _email(claims.get("email"))
    roles = claims.get("roles")
    return Identity(
        sub=sub,
        email=email,
        email_verified=email is not None and claims.get("email_verified") is True,
        name=_name(claims.get("name")),
        roles=frozenset(role for role in Role if role in roles) if isinstance(roles, list) else frozenset(),
    )


def _email(claim: object) -> str | None:
    """An address that is none is no reason to turn its bearer away: he is known by `sub`."""
    try:
        return normalised(claim) if isinstance(claim, str) else None
    except ValueError:
        return None


def _name(claim: object) -> str:
    return claim[:TEXT_LENGTH] if isinstance(claim, str) and claim.isprintable() else ""
