"""Outbound to Stripe: what we ask of it, and the objects that it answers with in our words."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from billing import stripe_answers as answers
from billing.config import Settings
from billing.deployment import MARK
from billing.gateway import DisputeThere, Intent, OutcomeUnknownError, RefundThere, StoredCall
from billing.stripe_line import StripeLine
from billing.stripe_reconciling import StripeReconciling
from billing.stripe_recurring import StripeRecurring

PAGE = 100
LOOK_SECONDS = 15.0
"""No page of a list is asked for after this, so that a look ends within its claim."""


class StripeGateway(StripeRecurring, StripeReconciling):
    """Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(StripeLine(settings))

    @property
    def api_version(self) -> str:
        return self._line.api_version

    def create_intent(self, call: StoredCall) -> Intent:
        options: Any = {"idempotency_key": call.idempotency_key, "stripe_version": call.api_version}
        parameters: Any = dict(call.parameters)
        return self._line.asked(answers.intent, self._line.v1.payment_intents.create, parameters, options)

    def retrieve_intent(self, intent_id: str) -> Intent:
        parameters = {"expand": ["latest_charge"]}
        return self._line.asked(answers.intent, self._line.v1.payment_intents.retrieve, intent_id, parameters)

    def cancel_intent(self, intent_id: str, key: str) -> Intent:
        parameters, options = {"cancellation_reason": "abandoned"}, {"idempotency_key": key}
        return self._line.asked(answers.intent, self._line.v1.payment_intents.cancel, intent_id, parameters, options)

    def find_intent(self, mark: str, since: datetime, until: datetime) -> Intent | None:
        """Lists rather than searches: Stripe's search is a minute behind, and a miss has to be certain."""
        window = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
        parameters: dict[str, Any] = {"created": window, "limit": PAGE}
        deadline = time.monotonic() + LOOK_SECONDS
        while time.monotonic() < deadline:
            page = self._line.asked(answers.page, self._line.v1.payment_intents.list, parameters)
            for listed in page.data:
                if listed.metadata.get(MARK) == mark:
                    return self.retrieve_intent(listed.id)
            if not page.has_more or not page.data:
                return None
            parameters["starting_after"] = page.data[-1].id
        raise OutcomeUnknownError("The payment service has too many payments to look through; we go on trying.")

    def create_refund(self, call: StoredCall) -> RefundThere:
        options: Any = {"idempotency_key": call.idempotency_key, "stripe_version": call.api_version}
        parameters: Any = dict(call.parameters)
        return self._line.asked(answers.refund, self._line.v1.refunds.create, parameters, options)

    def list_refunds(self, payment_intent_id: str) -> Sequence[RefundThere]:
        parameters: dict[str, Any] = {"payment_intent": payment_intent_id, "limit": PAGE}
        found: list[RefundThere] = []
        while True:
            page = self._line.asked(answers.refunds, self._line.v1.refunds.list, parameters)
            found += page.refunds
            if not page.has_more or not page.refunds:
                return found[::-1]  # it lists the newest first, and a second holds many
            parameters["starting_after"] = page.refunds[-1].id

    def retrieve_dispute(self, dispute_id: str) -> DisputeThere:
        return self._line.asked(answers.dispute, self._line.v1.disputes.retrieve, dispute_id)
