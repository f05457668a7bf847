"""One buyer from the wish to the paid hours, and what is done with them afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from billing.chaos.clients import CampaignOverError, Clients
from billing.chaos.lessons import go_on
from billing.chaos.sale import PREFIX, Sale, bearer

GOOD, DECLINED, ASKING = "pm_card_visa", "pm_card_chargeDeclined", "pm_card_threeDSecure2Required"
WAYS = {"pay": 60, "declined first": 12, "3-D Secure": 12, "abandon": 8, "cancel": 8}
LOOKS = 8
"""Of some seconds each: so long a buyer waits for the hours before he does something else."""


@dataclass(frozen=True, slots=True)
class Buyer:
    clients: Clients
    seed: int
    number: int
    people: int
    plan_ids: tuple[int, ...]

    def go(self) -> None:
        chance = Random(f"{self.seed}:{self.number}")  # noqa: S311  (luck of a test, not a secret)
        try:
            end = self._go(chance)
        except CampaignOverError:
            end = "campaign over"
        self.clients.promises.count_end(end)

    def _go(self, chance: Random) -> str:
        sale = self._buy(chance)
        if sale is None:
            return "refused"
        (way,) = chance.choices([*WAYS], [*WAYS.values()])
        status = sale.until(lambda found: found["status"] != "queued", LOOKS * 3)
        if status is None or not status["client_secret"]:
            return f"nothing to pay: {status['status'] if status else 'queued'}"
        if way == "abandon":
            return "abandoned"
        if way == "cancel":
            sale.cancel()
            return "cancelled"
        paid = self._pay(status, way, chance)
        if paid != "succeeded":
            return f"unpaid: {paid}"
        return self._afterwards(sale, chance)

    def _buy(self, chance: Random) -> Sale | None:
        person = chance.randrange(self.people)
        email = f"buyer-{person}@example.com"
        is_guest = chance.random() < 0.5
        headers = {} if is_guest else bearer(self.clients.sign(f"user-{person}", email, "student"))
        headers["Idempotency-Key"] = f"chaos-{self.seed}-{self.number}"
        if chance.random() < 0.3:
            headers["Prefer"] = "wait=5"
        body = {"plan_id": chance.choice(self.plan_ids), "student_info": {"name": "Ana", "email": email}}
        answer = self.clients.insist("POST", f"{PREFIX}/purchase/initiate/", body, headers)
        if answer.status not in {201, 202}:
            self.clients.promises.differs(f"a purchase was refused: {answer.status} {answer.body.get('error_type')}")
            return None
        sale = Sale.of(self.clients, answer, email)
        if chance.random() < 0.15:
            self._click_again(sale, body, headers)
        return sale

    def _click_again(self, sale: Sale, body: object, headers: Mapping[str, str]) -> None:
        again = self.clients.insist("POST", f"{PREFIX}/purchase/initiate/", body, headers)
        if again.body.get("task_id") != str(sale.id):
            self.clients.promises.differs(f"a key gave two purchases: {sale.id} and {again.body.get('task_id')}")

    def _pay(self, status: Mapping[str, Any], way: str, chance: Random) -> str:
        intent_id, secret = status["payment_intent_id"], status["client_secret"]
        if way == "declined first":
            self.clients.confirm(intent_id, secret, DECLINED)
            self.clients.pause(chance.uniform(0, 0.5))
        if way == "3-D Secure" and self.clients.confirm(intent_id, secret, ASKING) == "requires_action":
            decision = "approve" if chance.random() < 0.8 else "refuse"
            answer = self.clients.act_at_bank(f"/3ds/{intent_id}/{decision}", {})
            if answer is not None and answer.body.get("status") == "succeeded":
                return "succeeded"
        return self.clients.confirm(intent_id, secret, GOOD)

    def _afterwards(self, sale: Sale, chance: Random) -> str:
        if chance.random() < 0.35:
            return "paid"
        done = sale.until(lambda found: found["status"] == "completed", LOOKS)
        if done is None:
            return "paid, and not waited for"
        return go_on(sale, done, f"{self.seed}-{self.number}", chance)
