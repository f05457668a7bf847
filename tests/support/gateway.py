"""A payment service in memory, under the contract tests of the real gateway: what it is told, it remembers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from billing.deployment import MARK, REFUND_MARK
from billing.gateway import DeclinedError, DisputeThere, Intent, InvalidRequestError, RefundThere, StoredCall
from tests.support.reconciling_gateway import ReconcilingFake
from tests.support.recurring_gateway import FakeRecurring
from tests.support.subscription_shapes import new_intent

TAKEN_BACK = ("needs_response", "under_review", "lost")
"""Statuses of disputes whose money the bank has."""


class FakeGateway(FakeRecurring, ReconcilingFake):
    """Answers creates by their key, as Stripe does; `troubles` are raised one by one, `lost` answers after the work."""

    api_version = "2026-10-28.endive"

    def __init__(self, now: datetime) -> None:
        FakeRecurring.__init__(self, now)
        ReconcilingFake.__init__(self)
        self.creates: list[StoredCall] = []
        self.refunds: dict[str, RefundThere] = {}
        self.refund_status = "succeeded"
        self.disputes: dict[str, DisputeThere] = {}
        self.cancels: list[str] = []
        self._refusals: dict[str, DeclinedError] = {}

    def create_intent(self, call: StoredCall) -> Intent:
        """One that is confirmed with a saved card is paid at once, or declined as `decline_next` says."""
        key = call.idempotency_key
        with self.lock:
            self.creates.append(call)
            self._raise(self.troubles)
            if key not in self.intents:
                self._create(call)
            self._raise(self.lost)
        if key in self._refusals:
            raise self._refusals[key]
        return self.intents[key]

    def retrieve_intent(self, intent_id: str) -> Intent:
        self._raise(self.troubles)
        return next(intent for intent in self.intents.values() if intent.id == intent_id)

    def cancel_intent(self, intent_id: str, key: str) -> Intent:
        self._raise(self.troubles)
        self.cancels.append(key)
        intent = self.retrieve_intent(intent_id)
        if intent.status != "requires_payment_method":
            raise InvalidRequestError("it cannot be cancelled any more")
        self.change(intent_id, status="canceled")
        return self.retrieve_intent(intent_id)

    def find_intent(self, mark: str, since: datetime, until: datetime) -> Intent | None:
        self.looks += 1
        self._raise(self.troubles)
        found = (one for one in self.intents.values() if one.mark == mark and since <= one.created_at <= until)
        return next(found, None)

    def create_refund(self, call: StoredCall) -> RefundThere:
        self.creates.append(call)
        self._raise(self.troubles)
        if call.idempotency_key not in self.refunds:
            intent_id, cents = call.parameters["payment_intent"], call.parameters["amount"]
            self._refuse_too_much(intent_id, cents)
            mark = call.parameters["metadata"][REFUND_MARK]
            self.refunds[call.idempotency_key] = self._new_refund(intent_id, cents, mark, self.refund_status)
        self._raise(self.lost)
        return self.refunds[call.idempotency_key]

    def list_refunds(self, payment_intent_id: str) -> Sequence[RefundThere]:
        self.looks += 1
        self._raise(self.troubles)
        return self.refunds_of(payment_intent_id)

    def retrieve_dispute(self, dispute_id: str) -> DisputeThere:
        self._raise(self.troubles)
        if dispute_id not in self.disputes:
            raise InvalidRequestError("there is no such dispute", code="resource_missing")
        return self.disputes[dispute_id]

    def refunds_of(self, payment_intent_id: str) -> Sequence[RefundThere]:
        return [one for one in self.refunds.values() if one.payment_intent_id == payment_intent_id]

    def refund_elsewhere(self, intent_id: str, cents: int, status: str = "succeeded") -> RefundThere:
        """As in Stripe's dashboard: without a mark of ours."""
        self._refuse_too_much(intent_id, cents)
        made = self._new_refund(intent_id, cents, None, status)
        self.refunds[made.id] = made
        return made

    def change_refund(self, refund_id: str, **facts: Any) -> None:
        for key, refund in self.refunds.items():
            if refund.id == refund_id:
                self.refunds[key] = replace(refund, **facts)

    def raise_dispute(self, intent_id: str, cents: int, status: str = "needs_response", **facts: Any) -> DisputeThere:
        """A bank that takes money back takes no refund that is still on its way."""
        made = DisputeThere(
            id=f"du_{len(self.disputes) + 1}",
            payment_intent_id=intent_id,
            amount_cents=cents,
            currency="eur",
            status=status,
            reason="fraudulent",
            withdrawn_cents=0,
            evidence_due_at=None,
            created_at=self.now,
        )
        self.disputes[made.id] = replace(made, **facts)
        self._fail_pending(made.id)
        return self.disputes[made.id]

    def change_dispute(self, dispute_id: str, status: str, **facts: Any) -> None:
        self.disputes[dispute_id] = replace(self.disputes[dispute_id], status=status, **facts)
        self._fail_pending(dispute_id)

    def _fail_pending(self, dispute_id: str) -> None:
        dispute = self.disputes[dispute_id]
        if dispute.status in TAKEN_BACK:
            for refund in self.refunds_of(dispute.payment_intent_id or ""):
                if refund.status == "pending":
                    self.change_refund(refund.id, status="failed", failure_reason="charge_for_pending_refund_disputed")

    def refundable_cents(self, intent_id: str) -> int:
        """None of a charge that its bank took back."""
        if any(one.payment_intent_id == intent_id and one.status in TAKEN_BACK for one in self.disputes.values()):
            return 0
        received = sum(one.amount_received_cents for one in self.intents.values() if one.id == intent_id)
        gone = (one.amount_cents for one in self.refunds_of(intent_id) if one.status not in ("failed", "canceled"))
        return received - sum(gone)

    def _refuse_too_much(self, intent_id: str, cents: int) -> None:
        if cents > self.refundable_cents(intent_id):
            raise InvalidRequestError("it is greater than what is left on the charge")

    def _new_refund(self, intent_id: str, cents: int, mark: str | None, status: str) -> RefundThere:
        return RefundThere(
            id=f"re_{len(self.refunds) + 1}",
            payment_intent_id=intent_id,
            amount_cents=cents,
            currency="eur",
            status=status,
            mark=mark,
            failure_reason=None,
            created_at=self.now,
        )

    def add_paid(self, intent_id: str, cents: int, mark: str) -> None:
        """An intent that was made, and paid, before the test begins."""
        made = self._new({"amount": cents, "currency": "eur", "metadata": {MARK: mark}})
        self.intents[intent_id] = replace(made, id=intent_id, status="succeeded", amount_received_cents=cents)

    def _create(self, call: StoredCall) -> None:
        parameters, key = call.parameters, call.idempotency_key
        if "payment_method" in parameters:
            self.living_customer(parameters["customer"])
            self.check_card(parameters["payment_method"], parameters["customer"])
        made = self.intents[key] = self._new(parameters)
        if not parameters.get("confirm"):
            return
        if refusal := self.next_refusal(made.id):
            self._refusals[key] = refusal
            self.refuse(made.id, refusal)
        else:
            self.change(made.id, status="succeeded", amount_received_cents=made.amount_cents, paid_at=self.now)

    def _new(self, parameters: Mapping[str, Any]) -> Intent:
        mark, customer = parameters["metadata"][MARK], parameters.get("customer")
        number = len(self.intents) + 1
        return new_intent(number, parameters["amount"], parameters["currency"], customer, mark, self.now)
