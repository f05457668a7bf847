"""Who is signed in: a row says so, and a signed cookie names it, for eight hours and never for longer than the token
that was shown.

The row is read for every request, so that whoever signs out has signed out everywhere, in copies of the cookie too.
What the row is called opens nothing by itself: a cookie is believed by its signature.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from itsdangerous import TimestampSigner
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp
from starlette_admin.auth import AdminUser

from billing import clock
from billing.config import AppEnv, Settings
from billing.ids import new_id
from billing.staff.sign_ins import SignIn, begin_sign_in, end_sign_in, find_sign_in
from web.admin.keys import keys_for
from web.auth import Identity, Role
from web.door import Door

COOKIE = "billing_admin_session"
PATH = "/admin"
KEY = "id"
LONGEST = timedelta(hours=8)
RECENT = timedelta(minutes=15)
"""So long after a sign-in money may be moved without another one."""

NAME_LENGTH = 150
NEVER = datetime.min.replace(tzinfo=UTC)
NOBODY = UUID(int=0)

ROLES = (Role.STAFF, Role.ADMIN)


@dataclass
class Officer(AdminUser):
    """Somebody of staff, as the token said when it was shown."""

    sub: str = ""
    roles: frozenset[Role] = field(default_factory=frozenset)
    signed_in_at: datetime = NEVER
    sign_in_id: UUID = NOBODY

    @property
    def is_admin(self) -> bool:
        return Role.ADMIN in self.roles

    def is_recent(self, now: datetime) -> bool:
        return now - self.signed_in_at <= RECENT


def officer_of(request: Request) -> Officer:
    """Whoever comes as far as a page was let in before it."""
    officer: Officer = request.state.admin_user
    return officer


class OpenSessions:
    """The rows behind the cookies; each of these is a statement, and raises DatabaseUnavailableError."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def find(self, request: Request) -> Officer | None:
        """None where nobody is signed in, or not any more."""
        sign_in_id = _named(request.session)
        if sign_in_id is None:
            return None
        now = clock.machine_now()
        found = await self._door.ask(lambda connection: find_sign_in(connection, sign_in_id, now=now))
        return None if found is None else _officer(found)

    async def begin(self, request: Request, identity: Identity, until: datetime, now: datetime) -> None:
        """Under a new name, whatever the cookie named before: nobody is signed in under one that another one knows."""
        former, made = _named(request.session), _sign_in(identity, until, now)
        await self._door.change(lambda connection: begin_sign_in(connection, made, former=former))
        request.session.clear()
        request.session[KEY] = made.id.hex

    async def end(self, request: Request) -> None:
        sign_in_id, now = officer_of(request).sign_in_id, clock.machine_now()
        await self._door.change(lambda connection: end_sign_in(connection, sign_in_id, now=now))
        request.session.clear()


def _named(session: Mapping[str, Any]) -> UUID | None:
    """None of a cookie that we signed for something else, too."""
    try:
        return UUID(hex=str(session.get(KEY)))
    except ValueError:
        return None


def _sign_in(identity: Identity, until: datetime, now: datetime) -> SignIn:
    return SignIn(
        id=new_id(),
        sub=identity.sub,
        name=(identity.name or identity.sub)[:NAME_LENGTH],
        roles=tuple(role.value for role in ROLES if role in identity.roles),
        signed_in_at=now,
        until=min(now + LONGEST, until),
    )


def _officer(found: SignIn) -> Officer:
    return Officer(
        username=found.name,
        sub=found.sub,
        roles=frozenset(role for role in ROLES if role in found.roles),
        signed_in_at=found.signed_in_at,
        sign_in_id=found.id,
    )


class Sessions(SessionMiddleware):
    """Starlette's sessions, signed by the newest of several keys and believed with each of them."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        keys = keys_for(settings, "admin sessions")
        super().__init__(
            app,
            secret_key=keys[-1],
            session_cookie=COOKIE,
            max_age=int(LONGEST.total_seconds()),
            path=PATH,
            same_site="lax",
            https_only=settings.app_env is AppEnv.PRODUCTION,
        )
        self.signer = TimestampSigner(list(keys))
