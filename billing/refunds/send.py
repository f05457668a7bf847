"""Ask Stripe to give money back, under a key of the refund's own, and record what it said.

As with payment intents: the call is written down before it is made, sent again as it was written, and looked for at
Stripe when it stays without an answer. A refund that Stripe has, by whatever way we learn of it, is adopted once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlmodel import Session, select
from structlog.contextvars import bound_contextvars

from billing import cases, retry, troubles, work
from billing.db import repeated
from billing.errors import PermanentError
from billing.gateway import GatewayError, KeyReusedError, NotAskedError, RefundThere
from billing.ids import installation_mark
from billing.messages import FollowUp, SendRefund
from billing.models import Purchase, Refund, StripeCall
from billing.purchases import calls, changes
from billing.purchases.desk import Desk
from billing.purchases.locks import lock_purchase
from billing.purchases.news import Context
from billing.refunds import outcomes
from billing.refunds.found import apply
from billing.stale.marks import mark
from billing.states import CallState, RefundState, StaleKind

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sending:
    """A refund in our hands, the call that is written down for it, and whether it is looked for or sent."""

    desk: Desk
    claim: work.Claim[Refund]
    call: StripeCall | None
    payment_intent_id: str
    is_look: bool

    @property
    def _context(self) -> Context:
        return Context(self.desk.deployment, self.desk.now)

    def pursue(self) -> "Record":
        if self.is_look or self.call is None:
            found = self.look()
            return self.kept(found) if found else self.not_there
        return self.kept(self.desk.gateway.create_refund(calls.stored(self.call)))

    def look(self) -> RefundThere | None:
        """The one among those of the payment that we know by Stripe's id, or else by our mark."""
        refund = self.claim.row
        mark = installation_mark(self.desk.deployment.installation, refund.id)
        found = self.desk.gateway.list_refunds(self.payment_intent_id)
        if refund.stripe_refund_id is not None:
            return next((one for one in found if one.id == refund.stripe_refund_id), None)
        return next((one for one in found if one.mark == mark), None)

    def kept(self, there: RefundThere) -> "Record":
        """It is there. One that is only on its way is asked about again later, should its event be lost."""

        def record(session: Session) -> list[FollowUp]:
            purchase, refund = self._resume(session)
            apply(session, purchase, refund, there, self._context)
            if refund.state is RefundState.SENT:
                self._ask_later(refund, there.status)
            return changes.noted(session)

        return record

    def not_there(self, session: Session) -> list[FollowUp]:
        """Looked for and not found: sent again, under a new key where the old one may be forgotten by now.

        One that Stripe had before is never sent again.
        """
        _, refund = self._resume(session)
        call = self._stored_call(session)
        if call is not None and calls.is_too_old(call, self.desk.now):
            calls.close_call(call, CallState.LAPSED, at=self.desk.now)
        if call is None:
            self._ask_later(refund, "not found at Stripe any more")
        else:
            work.put_off(refund, retry.AT_ONCE, "not found at Stripe")
        return []

    def refused(self, error: GatewayError) -> "Record":
        """Stripe will never do this: the hours come back, and a person is told.

        Somebody else's refund may be why, so all refunds of the payment are asked for.
        """

        def record(session: Session) -> list[FollowUp]:
            purchase, refund = self._resume(session)
            self._close_call(session, error)
            refund.error_type, refund.error_message = error.error_type, error.message
            outcomes.fail(session, purchase, refund, RefundState.FAILED, self._context)
            reason = "key_reused" if isinstance(error, KeyReusedError) else "refund_refused"
            cases.open_case(
                session, reason, f"refund:{refund.id}", purchase_id=purchase.id, detail=str(error), at=self.desk.now
            )
            ours: dict[str, Any] = {"purchase_id": purchase.id, "request_id": refund.request_id, "at": self.desk.now}
            mark(session, StaleKind.REFUNDS, self.payment_intent_id, **ours)
            return changes.noted(session)

        return record

    def put_off(self, error: GatewayError) -> "Record":
        """Again later; what Stripe will never answer is left to people."""

        def record(session: Session) -> list[FollowUp]:
            _, refund = self._resume(session)
            refund.error_type, refund.error_message = error.error_type, error.message
            call = self._stored_call(session)
            if call is not None and isinstance(error, NotAskedError):
                calls.uncount(call, is_look=self.is_look)
            log.warning("refund_put_off", refund_id=str(refund.id), error=str(error))
            troubles.put_off(refund, error, error.wait_unless_final(refund.deferrals))
            return []

        return record

    @staticmethod
    def _ask_later(refund: Refund, reason: str) -> None:
        """`deferrals` counts troubles before it was sent too; then it is asked about the more seldom."""
        work.put_off(refund, retry.after(retry.ON_ITS_WAY, refund.deferrals) or retry.LONGEST, reason)

    def _resume(self, session: Session) -> tuple[Purchase, Refund]:
        purchase = lock_purchase(session, self.claim.row.purchase_id)
        (refund,) = work.resume(session, self.claim)
        return purchase, refund

    def _close_call(self, session: Session, error: GatewayError) -> None:
        call = self._stored_call(session)
        if call is not None:
            calls.close_call(call, CallState.REFUSED, at=self.desk.now)
            call.error_type = error.error_type

    def _stored_call(self, session: Session) -> StripeCall | None:
        return None if self.call is None else session.get(StripeCall, self.call.id)


Record = Callable[[Session], list[FollowUp]]


def send_refund(desk: Desk, message: SendRefund) -> Sequence[FollowUp]:
    """Bring one refund to its end; for one that needs nothing it does nothing."""
    sending = repeated(desk.begin, lambda session: _take(session, desk, message))
    if sending is None:
        return []
    with bound_contextvars(request_id=sending.claim.row.request_id), desk.leases.held(sending.claim.token):
        try:
            record = _pursued(sending)
        except GatewayError as error:
            record = sending.put_off(error)
        return repeated(desk.begin, record)


def _pursued(sending: Sending) -> Record:
    """A refusal is believed only when the refund is not there: it may refuse because an earlier send did it."""
    try:
        return sending.pursue()
    except GatewayError as error:
        if not isinstance(error, PermanentError) or sending.is_look:
            raise
        found = sending.look()
        return sending.kept(found) if found else sending.refused(error)


def _take(session: Session, desk: Desk, message: SendRefund) -> Sending | None:
    """The purchase is locked before its refund, as everybody does."""
    theirs = select(Refund.purchase_id).where(Refund.id == message.refund_id)
    purchase_id = session.exec(theirs).first()
    if purchase_id is None:
        return None
    purchase = lock_purchase(session, purchase_id)
    claim = work.claim_unless_worn_out(session, Refund, message.refund_id, desk.leases.terms)
    return None if claim is None else _sending(session, desk, claim, purchase)


def _sending(session: Session, desk: Desk, claim: work.Claim[Refund], purchase: Purchase) -> Sending:
    refund, intent_id = claim.row, purchase.payment_intent_id or ""
    if refund.state is RefundState.SENT:
        return Sending(desk, claim, None, intent_id, is_look=True)
    call = calls.open_refund_call(session, refund)
    if call is None:
        version = desk.gateway.api_version
        call = calls.write_refund_call(session, refund, purchase, desk.deployment, api_version=version, at=desk.now)
    is_look = calls.is_doubtful(call, desk.now)
    call.sends += not is_look
    call.looks += is_look
    return Sending(desk, claim, call, intent_id, is_look)
