"""A sign-in for development: in earnest the platform signs its users in and hands their token to the page."""

from datetime import timedelta
from typing import Annotated

import jwt
from pydantic import AfterValidator, StrictStr
from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.config import DEVELOPMENT_JWT_SECRET, AppEnv, Settings
from web.answers import Json
from web.auth import TEXT_LENGTH, Role, SharedSecret
from web.bodies import read_json
from web.schemas import Body, BuyerName, Email

VALID = timedelta(hours=12)


def may_sign_in(settings: Settings) -> bool:
    """Only where everybody could sign such a token anyway."""
    return settings.app_env is AppEnv.DEVELOPMENT and settings.jwt_secret == DEVELOPMENT_JWT_SECRET


def _user_id(value: str) -> str:
    if not 0 < len(value) <= TEXT_LENGTH or not value.isprintable():
        raise ValueError(f"must have 1 to {TEXT_LENGTH} printable characters")
    return value


class SignInBody(Body):
    """Without an id it is the part of the address before the @, as people name themselves to `billing token`."""

    email: Email
    name: BuyerName | None = None
    user_id: Annotated[StrictStr, AfterValidator(_user_id)] | None = None


class SignInRoute:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def sign_in(self, request: Request) -> Response:
        """A student's token, as of a platform that believed every word."""
        body = SignInBody.of(await read_json(request))
        return Json({"success": True, "token": self._signed(body)})

    def _signed(self, body: SignInBody) -> str:
        """Without the instant of its issue: the sandbox's clock may be ahead of whoever verifies it."""
        claims = {
            "sub": body.user_id or body.email.partition("@")[0],
            "email": body.email,
            "email_verified": True,
            "name": body.name,
            "roles": [Role.STUDENT],
            "iss": self._settings.jwt_issuer,
            "aud": self._settings.jwt_audience,
            "exp": utc_now() + VALID,
        }
        present = {claim: value for claim, value in claims.items() if value is not None}
        return jwt.encode(present, self._settings.jwt_secret, algorithm=SharedSecret.algorithms[0])
