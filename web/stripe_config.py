"""What a page needs to take a payment: the public key, and where the script is that takes it."""

from starlette.requests import Request
from starlette.responses import Response

from billing.config import Settings
from web.answers import Json
from web.door import Door

STRIPE_JS = "https://js.stripe.com/v3/"
SANDBOX_JS = "/_sandbox/stripe.js"


def payment_script(settings: Settings) -> str:
    """Its address; a guest's page has to know it as well, and may not ask for `stripe/config/`."""
    return settings.stripe_api_base.rstrip("/") + SANDBOX_JS if settings.is_sandbox else STRIPE_JS


class StripeConfigRoutes:
    def __init__(self, door: Door) -> None:
        self._callers = door.callers
        settings = door.settings
        js_url = payment_script(settings)
        self._content = {"public_key": settings.stripe_publishable_key, "js_url": js_url, "success": True}

    async def config(self, request: Request) -> Response:
        await self._callers.required(request)
        return Json(self._content)
