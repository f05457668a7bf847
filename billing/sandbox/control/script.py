"""The script that stands in for Stripe.js: any page may load it, as it may load Stripe's."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

import billing.sandbox

_SCRIPT = (Path(billing.sandbox.__file__).parent / "pages" / "stripe.js").read_bytes()
_HEADERS = {
    "Cache-Control": "public, max-age=60",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}


async def stripe_js(request: Request) -> Response:
    return Response(_SCRIPT, headers=_HEADERS, media_type="text/javascript")
