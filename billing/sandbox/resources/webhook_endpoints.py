"""Webhook endpoints: kept and answered. What is delivered, and where to, is settled when the sandbox starts.

Page: "Webhook Endpoints" of Stripe's API reference.
"""

from typing import Any
from urllib.parse import urlsplit

from billing.sandbox import lists
from billing.sandbox.call import Call
from billing.sandbox.chance import new_id
from billing.sandbox.errors import ApiError, no_such
from billing.sandbox.metadata import merged
from billing.sandbox.objects import Body, Stored
from billing.sandbox.resources import changes, found

UNSERVED = frozenset({"connect"})
_KIND = "webhook_endpoint"
_SECRET_LENGTH = 32


def create(call: Call) -> Body:
    """The only answer that holds the secret with which Stripe signs for this endpoint."""
    endpoint = Stored(_shape(call.account.clock.now()))
    endpoint.body |= {"api_version": call.params.get("api_version"), **_given(call.params, endpoint.body)}
    call.account.objects.add(endpoint, endpoint.body["created"])
    return {**endpoint.body, "secret": _secret(call)}


def retrieve(call: Call) -> Body:
    return _living(call).body


def update(call: Call) -> Body:
    endpoint = _living(call)
    change = _given(call.params, endpoint.body)
    if "disabled" in call.params:
        change["status"] = "disabled" if call.params["disabled"] else "enabled"
    changes.keep(call, endpoint, change)
    return endpoint.body


def delete(call: Call) -> Body:
    endpoint = _living(call)
    endpoint.body = {"id": endpoint.id, "object": _KIND, "deleted": True}
    call.account.objects.save(endpoint)
    return endpoint.body


def list_all(call: Call) -> Body:
    selection = lists.objects_of(_KIND, found.noun(_KIND)).where("json_extract(body, '$.deleted') IS NULL")
    return lists.page(call.account.database, selection, call.params, "/v1/webhook_endpoints")


def _secret(call: Call) -> str:
    """What is signed with where the endpoint is the one that is delivered to; nothing ever comes to another one."""
    delivered = call.account.webhook
    return delivered.secret if call.params["url"] == delivered.url else new_id("whsec", _SECRET_LENGTH)


def _living(call: Call) -> Stored:
    endpoint = found.in_address(call, _KIND)
    if endpoint.body.get("deleted"):
        raise no_such(found.noun(_KIND), endpoint.id, status=404)
    return endpoint


def _given(params: dict[str, Any], current: Body) -> Body:
    """What a request sets; an empty text unsets the description, and nothing else."""
    given: Body = {name: params[name] for name in ("enabled_events", "url") if name in params}
    if "url" in given:
        _check_url(given["url"])
    if "description" in params:
        given["description"] = params["description"] or None
    if "metadata" in params:
        given["metadata"] = merged(current["metadata"], params["metadata"])
    return given


def _check_url(url: str) -> None:
    """Test mode takes plain http too."""
    if not _is_web_address(url):
        sentence = "Invalid URL: An explicit scheme (such as https) must be provided."
        raise ApiError(sentence, code="url_invalid", param="url")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _shape(created: int) -> Body:
    return {
        "id": new_id("we"),
        "object": _KIND,
        "api_version": None,
        "application": None,
        "created": created,
        "description": None,
        "enabled_events": [],
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": "",
    }
