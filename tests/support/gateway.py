"""A payment service in memory, under the contract tests of the real gateway: what it is told, it remembers."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from billing.deployment import MARK
from billing.gateway import Intent, InvalidRequestError, StoredCall


class FakeGateway:
    """Answers creates by their key, as Stripe does; `troubles` are raised one by one, `lost` answers after the work."""

    api_version = "2026-10-28.endive"

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.intents: dict[str, Intent] = {}
        self.creates: list[StoredCall] = []
        self.looks = 0
        self.cancels: list[str] = []
        self.troubles: list[BaseException] = []
        self.lost: list[BaseException] = []

    def create_intent(self, call: StoredCall) -> Intent:
        self.creates.append(call)
        self._raise(self.troubles)
        if call.idempotency_key not in self.intents:
            self.intents[call.idempotency_key] = self._new(call.parameters)
        self._raise(self.lost)
        return self.intents[call.idempotency_key]

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

    def change(self, intent_id: str, **facts: Any) -> None:
        for key, intent in self.intents.items():
            if intent.id == intent_id:
                self.intents[key] = replace(intent, **facts)

    def _new(self, parameters: Mapping[str, Any]) -> Intent:
        number = len(self.intents) + 1
        return Intent(
            id=f"pi_{number}",
            client_secret=f"pi_{number}_secret_x",
            status="requires_payment_method",
            amount_cents=parameters["amount"],
            amount_received_cents=0,
            currency=parameters["currency"],
            customer=None,
            livemode=False,
            mark=parameters["metadata"][MARK],
            created_at=self.now,
            paid_at=None,
            cancellation_reason=None,
        )

    @staticmethod
    def _raise(troubles: list[BaseException]) -> None:
        if troubles:
            raise troubles.pop(0)
