"""Who is signed in: kept in a signed cookie, for eight hours and never for longer than the token that was shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from itsdangerous import TimestampSigner
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp
from starlette_admin.auth import AdminUser

from web.auth import Identity, Role

COOKIE = "billing_admin_session"
PATH = "/admin"
LONGEST = timedelta(hours=8)
RECENT = timedelta(minutes=15)
"""So long after a sign-in money may be moved without another one."""

NEVER = datetime.min.replace(tzinfo=UTC)

ROLES = (Role.STAFF, Role.ADMIN)


@dataclass
class Officer(AdminUser):
    """Somebody of staff, as the token said when it was shown."""

    sub: str = ""
    roles: frozenset[Role] = field(default_factory=frozenset)
    signed_in_at: datetime = NEVER

    @property
    def is_admin(self) -> bool:
        return Role.ADMIN in self.roles

    def is_recent(self, now: datetime) -> bool:
        return now - self.signed_in_at <= RECENT


def officer_of(request: Request) -> Officer:
    """Whoever comes as far as a page was let in before it."""
    officer: Officer = request.state.admin_user
    return officer


def opened(identity: Identity, expires_at: datetime, now: datetime) -> dict[str, Any]:
    """What is kept of a sign-in."""
    return {
        "sub": identity.sub,
        "name": identity.name or identity.sub,
        "roles": [role for role in ROLES if role in identity.roles],
        "at": now.timestamp(),
        "until": min(now + LONGEST, expires_at).timestamp(),
    }


def signed_in(session: Mapping[str, Any], now: datetime) -> Officer | None:
    """None where nobody is, or not any more."""
    if not session or now.timestamp() >= session["until"]:
        return None
    return Officer(
        username=session["name"],
        sub=session["sub"],
        roles=frozenset(Role(role) for role in session["roles"]),
        signed_in_at=datetime.fromtimestamp(session["at"], UTC),
    )


class Sessions(SessionMiddleware):
    """Starlette's sessions, signed by the newest of several keys and believed with each of them."""

    def __init__(self, app: ASGIApp, keys: Sequence[str], *, https_only: bool) -> None:
        super().__init__(
            app,
            secret_key=keys[-1],
            session_cookie=COOKIE,
            max_age=int(LONGEST.total_seconds()),
            path=PATH,
            same_site="lax",
            https_only=https_only,
        )
        self.signer = TimestampSigner(list(keys))
