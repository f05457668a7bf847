"""Stripe, or the sandbox: reachable from here, with this key, by the same clock.

Asked over plain HTTP: what is looked for is in the wire, in statuses and in the Date of the answer.
"""

import ssl
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from billing.cli.doctor.findings import Finding, Findings, doubtful, red, well
from billing.cli.doctor.postgres import skew_finding
from billing.clock import machine_now
from billing.config import Settings

PATIENCE_SECONDS = 5.0
LOOK = "/v1/payment_intents?limit=1"
"""A cheap list of what the workers make."""

REFUSALS: Mapping[int, tuple[str, str]] = {
    401: ("does not know this key", "take STRIPE_SECRET_KEY from Stripe's dashboard again"),
    403: ("does not let this key read payment intents", "give the restricted key payment intents, read and write"),
}


def stripe_findings(settings: Settings) -> Findings:
    name = "Stripe's sandbox" if settings.is_sandbox else "Stripe"
    url = f"{settings.stripe_api_base.rstrip('/')}{LOOK}"
    try:
        status, date = _look(url, settings.stripe_secret_key)
    except (OSError, HTTPException) as error:
        yield red("Stripe", f"{name} cannot be reached: {_reason(error)}", _mend_of_line(settings))
        return
    yield _of_status(name, settings, status)
    if date:
        yield skew_finding("clock of Stripe", date, machine_now())


def _look(url: str, key: str) -> tuple[int, datetime | None]:
    request = Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310  (a setting, http or https)
    try:
        with urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
            return answer.status, _date(answer.headers.get("Date"))
    except HTTPError as error:
        with error:
            return error.code, _date(error.headers.get("Date"))


def _of_status(name: str, settings: Settings, status: int) -> Finding:
    if status == 200:
        return well("Stripe", f"{name} answers at {settings.stripe_api_base} and knows the key")
    if status in REFUSALS:
        told, mend = REFUSALS[status]
        return red("Stripe", f"{name} {told}", mend)
    if status == 429 or status >= 500:
        return doubtful("Stripe", f"{name} answers {status}: busy or in trouble", "try again; purchases wait meanwhile")
    return red("Stripe", f"what answers at {settings.stripe_api_base} says {status}", "mend STRIPE_API_BASE")


def _mend_of_line(settings: Settings) -> str:
    return "start it with `make run`" if settings.is_sandbox else "let this machine reach it: name, proxy, firewall"


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, URLError) else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted here ({inner.verify_message})"
    return str(inner) or type(inner).__name__


def _date(given: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(given) if given else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else None
