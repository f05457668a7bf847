"""Sign-in by the platform's token, or, where everybody could sign such a token anyway, by the name of a role."""

from datetime import UTC, datetime

import jwt
import structlog
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp
from starlette_admin.auth import AdminUser, AuthMiddleware, BaseAuthProvider, login_not_required
from starlette_admin.helpers import safe_redirect_url

from billing import clock
from billing.config import DEVELOPMENT_JWT_SECRET, AppEnv, Settings
from billing.errors import TransientError
from billing.ids import new_id
from web.addresses import client_address, network_of
from web.admin.sessions import LONGEST, ROLES, OpenSessions
from web.auth import Identity, Role
from web.counts import window
from web.door import Door
from web.errors import HttpError
from web.own_counts import Hold

log: structlog.stdlib.BoundLogger = structlog.get_logger("web.admin")

HOME, FILES = "/admin/", "/admin/static/"
MOST_FAILURES, WITHIN_SECONDS = 10, 900
NAME_LENGTH = 60

NOT_STAFF = "This token is of nobody on staff: it names neither the role staff nor the role admin."
NO_NAME = f"Write a name of 1 to {NAME_LENGTH} characters and choose a role."
AWAY = "Nobody can find out right now who is signed in: try again."
OVER = "This token is not valid any more."
TOO_OFTEN = "There were too many failed sign-ins from here; try again in a quarter of an hour."


class RefusedSignInError(Exception):
    """The message is for whoever tries."""


def may_name_a_role(settings: Settings) -> bool:
    is_default = not settings.jwt_jwks_url and settings.jwt_secret == DEVELOPMENT_JWT_SECRET
    return settings.app_env is AppEnv.DEVELOPMENT and is_default


class SignIn(BaseAuthProvider):
    def __init__(self, door: Door) -> None:
        super().__init__()
        self._door = door
        self._may_name_a_role = may_name_a_role(door.settings)
        self._sessions = OpenSessions(door)

    async def authenticate(self, request: Request) -> AdminUser | None:
        """Files are for everybody: a page wants many of them, and asks nothing of the database for each."""
        return None if request.scope["path"].startswith(FILES) else await self._sessions.find(request)

    def get_middleware(self) -> Middleware:
        return Middleware(Entrance, provider=self)

    def get_routes(self, templates: Jinja2Templates) -> list[Route]:
        self._templates = templates

        @login_not_required
        async def sign_in(request: Request) -> Response:
            return await self._sign_in(request, templates)

        return [
            Route(self.login_path, sign_in, methods=["GET", "POST"], name="login"),
            Route(self.logout_path, self._sign_out, methods=["POST"], name="logout"),
        ]

    async def _sign_in(self, request: Request, templates: Jinja2Templates) -> Response:
        next_page = safe_redirect_url(request.query_params.get("next") or HOME, request, HOME)
        is_asked_again = "again" in request.query_params
        if request.method == "GET":
            if not request.state.is_anonymous and not is_asked_again:
                return RedirectResponse(next_page, 303)
            return self._page(request, templates, is_asked_again=is_asked_again)
        try:
            await self._open(request, await request.form())
        except RefusedSignInError as error:
            log.warning("admin_sign_in_refused")
            return self._page(request, templates, is_asked_again=is_asked_again, error=str(error), status=400)
        return RedirectResponse(next_page, 303)

    def away(self, request: Request) -> Response:
        """The page where the database is away."""
        known = request.state
        known.is_anonymous = True
        context = {"exc": HTTPException(503, AWAY), "flashed_messages": []}
        return self._templates.TemplateResponse(request, "error.html", context, 503)

    async def _sign_out(self, request: Request) -> Response:
        await self._sessions.end(request)
        return RedirectResponse(f"{HOME}login", 303)

    async def _open(self, request: Request, form: FormData) -> None:
        """Raises RefusedSignInError."""
        hold = self._attempt(request)
        if await self._door.counts.take(hold):
            raise RefusedSignInError(TOO_OFTEN)
        identity, expires_at = await self._identity(form)
        now = clock.machine_now()
        if not identity.is_any_of(*ROLES):
            raise RefusedSignInError(NOT_STAFF)
        if expires_at <= now:  # tokens are believed for some seconds more, for clocks differ; no session is so short
            raise RefusedSignInError(OVER)
        await self._door.counts.give_back(hold)
        await self._sessions.begin(request, identity, expires_at, now)
        log.info("admin_signed_in", sub=identity.sub)

    def _attempt(self, request: Request) -> Hold:
        """A place that is given back where it was no failure."""
        address = client_address(request, self._door.settings.trusted_proxies)
        whose = network_of(address) if address else ""
        attempt = new_id().hex
        return Hold(attempt, attempt, (window("sign_in", whose, MOST_FAILURES, WITHIN_SECONDS),))

    async def _identity(self, form: FormData) -> tuple[Identity, datetime]:
        """Who it is, and until when the token says so."""
        if self._may_name_a_role and form.get("role"):
            return _named(form), clock.machine_now() + LONGEST
        token = str(form.get("token") or "").strip()
        bearer = Request({"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]})
        try:
            identity = await self._door.callers.required(bearer)
        except HttpError as error:
            raise RefusedSignInError(error.problem.message) from None
        claims = jwt.decode(token, options={"verify_signature": False})  # it was verified in the line before
        return identity, datetime.fromtimestamp(int(claims["exp"]), UTC)

    def _page(
        self,
        request: Request,
        templates: Jinja2Templates,
        *,
        is_asked_again: bool,
        error: str | None = None,
        status: int = 200,
    ) -> Response:
        context = {
            "title": "Sign in",
            "error": error,
            "is_asked_again": is_asked_again,
            "roles": ROLES if self._may_name_a_role else (),
        }
        return templates.TemplateResponse(request, "admin/sign_in.html", context, status)


class Entrance(AuthMiddleware):
    """It stands before what makes pages of errors, so that it makes one of its own."""

    def __init__(self, app: ASGIApp, provider: SignIn) -> None:
        super().__init__(app, provider)
        self._away = provider.away

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        try:
            return await super().dispatch(request, call_next)
        except TransientError:
            return self._away(request)


def _named(form: FormData) -> Identity:
    name, role = str(form.get("name") or "").strip(), str(form.get("role"))
    if not 0 < len(name) <= NAME_LENGTH or not name.isprintable() or role not in ROLES:
        raise RefusedSignInError(NO_NAME)
    return Identity(f"dev:{name}", None, False, name, frozenset({Role(role)}))
