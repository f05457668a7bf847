"""`billing demo`: a purchase from the plan list to the hours, each step shown as it happens."""

import json
import time
from typing import Annotated, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import typer

from billing.cli.token import sign
from billing.config import Settings
from billing.errors import PermanentError
from billing.ids import new_id

PREFIX = "/api/finances/api"
PATIENCE_SECONDS = 20


class DemoError(PermanentError):
    """The walk could not go on; the sentence says where."""


def demo(
    card: Annotated[str, typer.Option(help="One of Stripe's test payment methods.")] = "pm_card_visa",
    plan: Annotated[str | None, typer.Option(help="The id or the name of a plan; else the featured package.")] = None,
    student: Annotated[
        str | None, typer.Option(help="Who buys: NAME is the account, NAME@example.com the address; else somebody new.")
    ] = None,
) -> None:
    """Buy hours at the running pipeline, pay at the sandbox, and see the hours."""
    settings = Settings.load()
    if not settings.is_sandbox:
        raise DemoError("the demo pays with a test card at the sandbox; unset STRIPE_SECRET_KEY to use it")
    _walk(settings, f"http://127.0.0.1:{settings.port}", card, plan, student or f"demo-{new_id().hex[:8]}")


def _walk(settings: Settings, door: str, card: str, wanted: str | None, buyer: str) -> None:
    email = f"{buyer}@example.com"
    plan = _choose(door, wanted)
    token = sign(settings, sub=buyer, email=email, name="Demo Student", roles=["student"])
    account = {"Authorization": f"Bearer {token}"}
    body = {"plan_id": plan["id"], "student_info": {"name": "Demo Student", "email": email}}
    accepted = _call("POST", f"{door}{PREFIX}/purchase/initiate/", body, account)
    _say("accepted", f"202, task {accepted['task_id']}, {accepted['status']}: one row, one hint to a worker")
    access = {"X-Access-Token": accepted["access_token"]}
    status_url = door + accepted["status_url"]
    pending = _until(status_url, access, lambda status: bool(status["client_secret"] or _is_over(status)))
    _say(pending["status"], f"a worker made {pending['payment_intent_id']}; the buyer's page has its client secret")
    _say("pays", f"{card} at the sandbox: {_pay(settings, pending, card)}")
    done = _until(status_url, access, _is_over)
    _say(done["status"], ", ".join(step["step"] for step in done["timeline"]))
    balance = _call("GET", f"{door}{PREFIX}/student-balance/", headers=account)
    _say("balance", f"{balance['balance_summary']['remaining_hours']} hours for {email}")


def _choose(door: str, wanted: str | None) -> dict[str, Any]:
    plans = _call("GET", f"{door}{PREFIX}/pricing-plans/")
    plan: dict[str, Any] | None = next((plan for plan in plans if _is_wanted(plan, wanted)), None)
    if plan is None:
        raise DemoError(f"no plan {wanted!r} is on sale; there are {', '.join(plan['name'] for plan in plans)}")
    _say("plans", f"{len(plans)} on sale; buying {plan['name']}: {plan['hours_included']} h for {plan['price_eur']} €")
    return plan


def _is_wanted(plan: dict[str, Any], wanted: str | None) -> bool:
    if wanted is None:
        return plan["plan_type"] == "package" and bool(plan["is_featured"])
    return wanted.casefold() in (str(plan["id"]), plan["name"].casefold())


def _pay(settings: Settings, status: dict[str, Any], card: str) -> str:
    """Confirm as a buyer's browser does: with the publishable key and the client secret."""
    url = f"{settings.stripe_api_base}/v1/payment_intents/{status['payment_intent_id']}/confirm"
    form = urlencode({"client_secret": status["client_secret"], "payment_method": card}).encode()
    headers = {"Authorization": f"Bearer {settings.stripe_publishable_key}"}
    try:
        return str(_open(Request(url, form, headers))["status"])  # noqa: S310  (our own sandbox)
    except HTTPError as error:
        return str(json.load(error)["error"]["message"])


def _is_over(status: dict[str, Any]) -> bool:
    """A subscription is paid before its invoice is: its hours come a moment later."""
    is_credited = status["status"] == "completed" and any(step["step"] == "credited" for step in status["timeline"])
    return is_credited or status["status"] in {"failed", "cancelled", "expired"}


def _until(url: str, headers: dict[str, str], reached: Any) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        status: dict[str, Any] = _call("GET", url, headers=headers)
        if reached(status):
            return status
        time.sleep(0.05)
    raise DemoError(f"the purchase is still {status['status']} after {PATIENCE_SECONDS} s: {status['message']}")


def _call(method: str, url: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)  # noqa: S310
    try:
        return _open(request)
    except HTTPError as error:
        raise DemoError(f"{method} {url}: {error.code} {error.read(300).decode(errors='replace')}") from None
    except URLError as error:
        raise DemoError(f"nothing answers at {url} ({error.reason}); start it with `make run`") from None


def _open(request: Request) -> Any:
    with urlopen(request, timeout=10) as response:  # noqa: S310  (loopback, by our own settings)
        return json.load(response)


def _say(step: str, sentence: str) -> None:
    typer.echo(f"{step:>10}  {sentence}")
