"""Hours bought with a saved card, while its owner need not be there to confirm it."""

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.ids import new_id
from billing.messages import PreparePayment
from billing.purchases.accept import AcceptedPurchase
from billing.purchases.accept_topup import TopUpRequest, accept_topup, find_earlier_topup
from web.accounts.bodies import TopUpBody
from web.addresses import Address, client_address
from web.auth import Identity
from web.bodies import read_json
from web.door import Door
from web.idempotency import digest_of, idempotency_key, scope_of
from web.purchases import PurchaseRoutes


class TopUpRoutes:
    def __init__(self, door: Door, purchases: PurchaseRoutes) -> None:
        self._door = door
        self._purchases = purchases
        self._give_up_after = timedelta(minutes=door.settings.purchase_give_up_minutes)

    async def top_up(self, request: Request) -> Response:
        """Answered, and from then on followed, as any purchase is."""
        identity = await self._door.student(request)
        key = idempotency_key(request)
        body = TopUpBody.of(await read_json(request))
        wish = _wish(body, key, identity, request.scope["request_id"])
        address = client_address(request, self._door.settings.trusted_proxies)
        return await self._purchases.answer(request, await self._accept(wish, address))

    async def _accept(self, wish: TopUpRequest, address: Address | None) -> AcceptedPurchase:
        door = self._door
        accepted = await door.limits.guard(
            wish,
            address,
            lambda: door.change(lambda line: accept_topup(line, wish, give_up_after=self._give_up_after)),
            lambda: door.change(lambda line: find_earlier_topup(line, wish)),
        )
        if not accepted.is_replay:
            door.hints.send(PreparePayment(purchase_id=accepted.id))
        return accepted


def _wish(body: TopUpBody, key: str | None, identity: Identity, request_id: str) -> TopUpRequest:
    """A key of a purchase with this body is none of a top-up: what each of them is, is part of what was understood."""
    understood = {"topup": body.model_dump(mode="json")}
    return TopUpRequest(
        id=new_id(),
        scope=scope_of(identity, ""),
        idempotency_key=key,
        body_hash=digest_of(understood) if key else None,
        plan_id=body.plan_id,
        expected_price_cents=body.expected_price_eur,
        card_id=body.payment_method_id,
        caller=identity.caller,
        request_id=request_id,
        accepted_at=utc_now(),
    )
