"""The bank's page of 3-D Secure: the buyer approves or refuses a payment, or that his card is kept.

Beside the script it is the one part of `/_sandbox/` that a browser elsewhere may open, as the buyer's is.
"""

from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from billing.sandbox.control.sandbox import Sandbox
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import payment_attempts, setup_attempts

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>3-D Secure test page</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 12vh auto; max-width: 26rem; padding: 0 1rem; color: #1a1f36 }}
button {{ font: inherit; padding: .5rem 1.25rem; margin-right: .5rem; border: 1px solid #c9d0dc; border-radius: .4rem }}
button.approve {{ background: #4f46e5; border-color: #4f46e5; color: #fff }}
form {{ display: inline }}
</style></head>
<body><h1>3-D Secure</h1><p>{sentence}</p>{buttons}</body></html>"""
_BUTTONS = """
<form method="post" action="{address}/approve"><button class="approve">Complete authentication</button></form>
<form method="post" action="{address}/refuse"><button class="refuse">Fail authentication</button></form>"""


async def page(request: Request) -> Response:
    intent = _intent(request)
    if intent.body["status"] != "requires_action":
        return HTMLResponse(
            _PAGE.format(sentence="Nothing is to be approved here. You may close this page.", buttons="")
        )
    buttons = _BUTTONS.format(address=f"/_sandbox/3ds/{escape(intent.id)}")
    sentence = f"Your bank asks: do you approve {escape(_wanted(intent.body))}? This is a test page; no money moves."
    return HTMLResponse(_PAGE.format(sentence=sentence, buttons=buttons))


def _wanted(intent: Body) -> str:
    if intent["object"] == "setup_intent":
        return "that your card is kept for later payments"
    return f"a payment of {intent['amount'] / 100:.2f} {intent['currency'].upper()}"


async def approve(request: Request) -> Response:
    return _decide(request, is_approved=True)


async def refuse(request: Request) -> Response:
    return _decide(request, is_approved=False)


def _decide(request: Request, *, is_approved: bool) -> Response:
    """A program gets the intent, a browser goes back to where the payment began."""
    sandbox, intent = Sandbox.of(request), _intent(request)
    if intent.body["status"] != "requires_action":
        raise HTTPException(409, f"the {intent.kind.replace('_', ' ')} is {intent.body['status']}")
    return_url = intent.body["next_action"].get("redirect_to_url", {}).get("return_url")
    authenticate = payment_attempts.authenticate if intent.kind == "payment_intent" else setup_attempts.authenticate
    with sandbox.account.database.transaction():
        authenticate(sandbox.account, intent, is_approved=is_approved)
    sandbox.wake()
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse(intent.body)
    return RedirectResponse(_way_back(intent.body, return_url) or f"/_sandbox/3ds/{intent.id}", 303)


def _way_back(intent: Body, return_url: str | None) -> str | None:
    """A page that is itself where a buyer came back to is told of this payment only, not of the last try as well."""
    if not return_url:
        return None
    outcome = "succeeded" if intent["status"] in {"succeeded", "processing"} else "failed"
    facts = {
        intent["object"]: intent["id"],
        f"{intent['object']}_client_secret": intent["client_secret"],
        "redirect_status": outcome,
    }
    url = urlsplit(return_url)
    others = [(name, value) for name, value in parse_qsl(url.query, keep_blank_values=True) if name not in facts]
    return url._replace(query=urlencode([*others, *facts.items()])).geturl()


def _intent(request: Request) -> Stored:
    name = request.path_params["intent"]
    kind = "setup_intent" if name.startswith("seti_") else "payment_intent"
    intent = Sandbox.of(request).account.objects.get(kind, name)
    if intent is None:
        raise HTTPException(404, f"no such {kind.replace('_', ' ')}")
    return intent
