"""Sign-in by the platform's token, or, where everybody could sign such a token anyway, by the name of a role."""

import time
from datetime import UTC, datetime

import jwt
import structlog
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates
from starlette_admin.auth import AdminUser, BaseAuthProvider, login_not_required
from starlette_admin.helpers import safe_redirect_url

from billing import clock
from billing.config import DEVELOPMENT_JWT_SECRET, AppEnv, Settings
from billing.ids import new_id
from web.addresses import client_address, network_of
from web.admin.sessions import LONGEST, ROLES, opened, signed_in
from web.auth import Identity, Role
from web.door import Door
from web.errors import HttpError
from web.own_counts import Hold, OwnCounts, Window

log: structlog.stdlib.BoundLogger = structlog.get_logger("web.admin")

HOME = "/admin/"
MOST_FAILURES, WITHIN_SECONDS = 10, 900
NAME_LENGTH = 60

NOT_STAFF = "This token is of nobody on staff: it names neither the role staff nor the role admin."
NO_NAME = f"Write a name of 1 to {NAME_LENGTH} characters and choose a role."
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
        self._failures = OwnCounts()

    async def authenticate(self, request: Request) -> AdminUser | None:
        return signed_in(request.session, clock.machine_now())

    def get_routes(self, templates: Jinja2Templates) -> list[Route]:
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
            if signed_in(request.session, clock.machine_now()) and not is_asked_again:
                return RedirectResponse(next_page, 303)
            return self._page(request, templates, is_asked_again=is_asked_again)
        try:
            await self._open(request, await request.form())
        except RefusedSignInError as error:
            log.warning("admin_sign_in_refused")
            return self._page(request, templates, is_asked_again=is_asked_again, error=str(error), status=400)
        return RedirectResponse(next_page, 303)

    async def _sign_out(self, request: Request) -> Response:
        request.session.clear()
        return RedirectResponse(f"{HOME}login", 303)

    async def _open(self, request: Request, form: FormData) -> None:
        """Raises RefusedSignInError."""
        hold = self._attempt(request)
        if self._failures.take(hold, now=time.monotonic()):
            raise RefusedSignInError(TOO_OFTEN)
        identity, expires_at = await self._identity(form)
        if not identity.is_any_of(*ROLES):
            raise RefusedSignInError(NOT_STAFF)
        self._failures.give_back(hold)
        request.session.clear()
        request.session.update(opened(identity, expires_at, clock.machine_now()))
        log.info("admin_signed_in", sub=identity.sub)

    def _attempt(self, request: Request) -> Hold:
        """A place that is given back where it was no failure."""
        address = client_address(request, self._door.settings.trusted_proxies)
        whose = network_of(address) if address else ""
        attempt = new_id().hex
        return Hold(attempt, attempt, (Window(whose, MOST_FAILURES, WITHIN_SECONDS),))

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


def _named(form: FormData) -> Identity:
    name, role = str(form.get("name") or "").strip(), str(form.get("role"))
    if not 0 < len(name) <= NAME_LENGTH or not name.isprintable() or role not in ROLES:
        raise RefusedSignInError(NO_NAME)
    return Identity(f"dev:{name}", None, False, name, frozenset({Role(role)}))
