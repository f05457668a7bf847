"""`billing webhook`: the endpoint at Stripe to which our events are sent."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from billing.config import Settings, read_environment
from billing.errors import PermanentError
from billing.gateway import GatewayError, InvalidRequestError, NoConnectionError, StripeRefusedUsError
from billing.ids import new_id
from billing.local.ports import LOOPBACK
from billing.local.sandbox import WEBHOOK_PATH
from billing.stripe_endpoints import EndpointThere, Ensured, StripeEndpoints
from billing.stripe_endpoints import ensure as ensured

NOT_YET = "whsec_not_known_before_there_is_an_endpoint"
KEEP = "it belongs into STRIPE_WEBHOOK_SECRET, and Stripe does not show it again"

Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help=f"https://…{WEBHOOK_PATH}; at the sandbox the door of this machine, unless given."
    ),
]

app = typer.Typer(help="Where Stripe sends its events.", no_args_is_help=True)


class NotEnsuredError(PermanentError):
    """Stripe did not do what was asked of it; the sentence says why, and what mends it."""


class OtherVersionError(PermanentError):
    """The endpoint speaks another version of Stripe's API than we read."""


@app.callback()
def nouns() -> None:
    """Where Stripe sends its events."""


@app.command()
def ensure(
    url: Url = None,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Have one endpoint at our address, for exactly the events that are handled here.

    The secret of a new one is printed once, and kept nowhere.
    """
    settings = _settings()
    address = _address(settings, url)
    with _told_plainly(settings):
        found = ensured(StripeEndpoints(settings, new_id()), address, is_dry=is_dry)
    if as_json:
        typer.echo(json.dumps(_as_json(found, is_dry=is_dry)))
    else:
        _say(found, is_dry=is_dry)
    if there := found.in_other_version:
        raise OtherVersionError(_version_told(there, found.version))


def _settings() -> Settings:
    """The secret may be what is asked for here: it alone may be missing yet."""
    return Settings.load({"STRIPE_WEBHOOK_SECRET": NOT_YET, **read_environment(os.environ)})


def _address(settings: Settings, url: str | None) -> str:
    if url is None:
        if not settings.is_sandbox:
            raise typer.BadParameter(f"say where Stripe reaches us: https://…{WEBHOOK_PATH}", param_hint="--url")
        return f"http://{LOOPBACK}:{settings.port}{WEBHOOK_PATH}"
    scheme = _scheme(url)
    if scheme not in {"http", "https"}:
        raise typer.BadParameter(f"not a usable address; write https://host{WEBHOOK_PATH}", param_hint="--url")
    if scheme == "http" and not settings.is_sandbox:
        raise typer.BadParameter("Stripe sends events to https only; plain http is for the sandbox", param_hint="--url")
    return url


def _scheme(url: str) -> str | None:
    """None for what is not the whole address of a host, as it stands."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:  # not a number, or none of a port
        return None
    return parts.scheme if is_whole and url.isprintable() and " " not in url else None


@contextmanager
def _told_plainly(settings: Settings) -> Iterator[None]:
    """What a worker puts off, whoever types a command mends: nothing goes on trying by itself."""
    try:
        yield
    except GatewayError as error:
        raise NotEnsuredError(_sentence(error, settings) + _facts(error)) from None


def _sentence(error: GatewayError, settings: Settings) -> str:
    name = "the sandbox" if settings.is_sandbox else "Stripe"
    if isinstance(error, NoConnectionError):
        mend = "start it with `make run`" if settings.is_sandbox else "try again: what was done is not done twice"
        return f"{name} cannot be reached at {settings.stripe_api_base}; {mend}"
    if isinstance(error, StripeRefusedUsError):
        return f"{name} refuses STRIPE_SECRET_KEY; a restricted key needs webhook endpoints, read and write"
    if isinstance(error, InvalidRequestError):
        return f"{name} refuses such an endpoint; is the address one that it can reach?"
    return f"{name} is busy or gave no answer; try again in a moment: an endpoint that was made is found then"


def _facts(error: GatewayError) -> str:
    facts = [fact for fact in (error.code, error.request_id) if fact]
    return f" ({', '.join(facts)})" if facts else ""


def _say(found: Ensured, *, is_dry: bool) -> None:
    would = "would be " if is_dry else ""
    name = found.endpoint.id if found.endpoint else "an endpoint"
    if found.is_created:
        typer.echo(f"{name} {would}created for {found.url}, version {found.version}")
    for one in found.differences:
        typer.echo(f"{name} {would}changed: {one.name}: {one.told}")
    if found.endpoint and found.is_created:
        typer.echo(f"its signing secret: {found.endpoint.secret}")
        typer.echo(KEEP)
    if not found.is_created and not found.differences and not found.in_other_version:
        typer.echo(f"{name} has {found.url} and every event type that is handled; nothing to do")


def _as_json(found: Ensured, *, is_dry: bool) -> Mapping[str, Any]:
    """With `dry_run`, `changed` and `created` are what would be."""
    secret = found.endpoint and found.endpoint.secret
    return {
        "dry_run": is_dry,
        "endpoint": found.endpoint and found.endpoint.id,
        "url": found.url,
        "changed": [one.name for one in found.differences],
        "created": found.is_created,
        **({"secret": secret} if secret else {}),
    }


def _version_told(there: EndpointThere, version: str) -> str:
    speaks = there.api_version or "the account's version"
    mend = f"create a new one and delete the old: delete {there.id} at Stripe, run this again, set the new secret"
    return f"{there.id} speaks {speaks}, and {version} is read here; Stripe cannot change that: {mend}"
