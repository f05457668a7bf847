"""Our webhook endpoint at Stripe: one at our address, for exactly the types that are handled here, in our version.

Stripe shows an endpoint's signing secret only in the answer that creates it (Stripe, "The Webhook Endpoint object").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from billing.brakes import Brakes
from billing.brakes.words import Asked, Kind, Outcome, Verdict
from billing.config import Settings
from billing.errors import PermanentError
from billing.stripe_line import StripeLine
from billing.webhooks.handlers import HANDLERS

PAGE = 100
WANTED = tuple(HANDLERS)
"""The event types that an endpoint of ours is enabled for."""
DESCRIPTION = "Payments, refunds, disputes and subscriptions of prepaid hours"


class SeveralEndpointsError(PermanentError):
    """More than one endpoint has our address: each event would come as often, under as many secrets."""


@dataclass(frozen=True, slots=True)
class EndpointThere:
    """An endpoint as Stripe has it now; `api_version` is None where it follows the account's."""

    id: str
    url: str
    is_enabled: bool
    api_version: str | None
    events: frozenset[str]
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """What an update sets: the field as Stripe names it in the object, what is sent, and what it means in words."""

    name: str
    parameters: Mapping[str, Any]
    told: str


@dataclass(frozen=True, slots=True)
class Ensured:
    """`endpoint` is None where a dry run found none. `version` is ours, in which it has to speak."""

    url: str
    version: str
    endpoint: EndpointThere | None
    differences: Sequence[Difference]
    is_created: bool

    @property
    def in_other_version(self) -> EndpointThere | None:
        """The endpoint, where it speaks another version."""
        return self.endpoint if self.endpoint and self.endpoint.api_version != self.version else None


class _Endpoint(BaseModel):
    """Stripe, "The Webhook Endpoint object"."""

    object: Literal["webhook_endpoint"]
    id: str
    url: str
    status: str
    api_version: str | None = None
    enabled_events: list[str]
    secret: str | None = Field(default=None, repr=False)

    def in_our_words(self) -> EndpointThere:
        events = frozenset(self.enabled_events)
        return EndpointThere(self.id, self.url, self.status == "enabled", self.api_version, events, self.secret)


class _Page(BaseModel):
    object: Literal["list"]
    data: list[_Endpoint]
    has_more: bool


class _Unbraked:
    """Counts nothing: a command makes a few calls, and a key that may not make them can still be right for payments."""

    def ask(self, _asked: Asked) -> Verdict:
        return Verdict(Kind.GO, epoch=0, is_own=True)

    def tell(self, _verdict: Verdict, _outcome: Outcome) -> None:
        """What is refused here says nothing about anybody else."""


class _OwnLine(StripeLine):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._brakes = Brakes(_Unbraked(), _Unbraked())


class StripeEndpoints:
    """Every method raises a `GatewayError` where there is no answer to return.

    `wish` is drawn once for everything that is asked of Stripe together: what is sent again is done once.
    """

    def __init__(self, settings: Settings, wish: UUID) -> None:
        self._line = _OwnLine(settings)
        self._once: Any = {"idempotency_key": f"webhook-endpoint:{wish}"}

    @property
    def version(self) -> str:
        """Of the API that our calls speak."""
        return self._line.api_version

    def at(self, url: str) -> Sequence[EndpointThere]:
        """Those with this very address."""
        parameters: dict[str, Any] = {"limit": PAGE}
        found: list[EndpointThere] = []
        while True:
            page = self._line.asked(_Page.model_validate, self._line.v1.webhook_endpoints.list, parameters)
            found += [listed.in_our_words() for listed in page.data if listed.url == url]
            if not page.has_more or not page.data:
                return found
            parameters["starting_after"] = page.data[-1].id

    def create(self, url: str) -> EndpointThere:
        facts = {"url": url, "api_version": self.version, "description": DESCRIPTION}
        asked: Any = {**facts, "enabled_events": [*WANTED]}
        return self._line.asked(_endpoint, self._line.v1.webhook_endpoints.create, asked, self._once)

    def update(self, endpoint_id: str, change: Mapping[str, Any]) -> EndpointThere:
        update, asked = self._line.v1.webhook_endpoints.update, dict(change)
        return self._line.asked(_endpoint, update, endpoint_id, asked, self._once)


def ensure(endpoints: StripeEndpoints, url: str, *, is_dry: bool) -> Ensured:
    """Create the endpoint where there is none, mend the one there is; the version of an endpoint cannot be changed.

    Raises SeveralEndpointsError, and a `GatewayError` where Stripe gives no answer.
    """
    found, version = endpoints.at(url), endpoints.version
    if len(found) > 1:
        ids = ", ".join(endpoint.id for endpoint in found)
        raise SeveralEndpointsError(f"{len(found)} endpoints at Stripe have {url}: {ids}; keep one, delete the others")
    if not found:
        created = None if is_dry else endpoints.create(url)
        return Ensured(url, version, created, [], is_created=True)
    differences = _differences(found[0])
    if differences and not is_dry:
        change = {name: value for one in differences for name, value in one.parameters.items()}
        found = [endpoints.update(found[0].id, change)]
    return Ensured(url, version, found[0], differences, is_created=False)


def _differences(endpoint: EndpointThere) -> list[Difference]:
    found = []
    if endpoint.events != set(WANTED):
        found.append(Difference("enabled_events", {"enabled_events": [*WANTED]}, _events_told(endpoint.events)))
    if not endpoint.is_enabled:
        found.append(Difference("status", {"disabled": False}, "enabled, it was disabled"))
    return found


def _events_told(events: frozenset[str]) -> str:
    missing, more = sorted(set(WANTED) - events), sorted(events - set(WANTED))
    told = {"added": missing, "removed": more}
    return "; ".join(f"{verb} {', '.join(types)}" for verb, types in told.items() if types)


def _endpoint(answer: Any) -> EndpointThere:
    return _Endpoint.model_validate(answer).in_our_words()
