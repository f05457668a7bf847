"""Who a client speaks to: the door, which is asked until it answers, and the sandbox, as a browser has it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing.chaos.line import Answer, Line
from billing.chaos.promises import Promises
from billing.config import Settings
from billing.errors import TransientError

AGAIN_AFTER_SECONDS, LONGEST_WAIT_SECONDS = 0.3, 2.0
REPEATED = frozenset({408, 425, 429})
SETTLED_INTENT = frozenset({"succeeded", "processing", "canceled"})

Sign = Callable[[str, str, str], str]
"""From the subject, the address and the role of somebody to a token."""


class CampaignOverError(TransientError):
    """There is no time left to ask once more."""


@dataclass(frozen=True, slots=True)
class Clients:
    door: Line
    stripe: Line
    """With the publishable key, as a buyer's browser."""
    control: Line
    promises: Promises
    over: threading.Event
    sign: Sign
    now: Callable[[], datetime]
    """Business time."""

    @classmethod
    def of(
        cls, settings: Settings, door: str, over: threading.Event, sign: Sign, now: Callable[[], datetime]
    ) -> "Clients":
        browser = Line(settings.stripe_api_base, {"Authorization": f"Bearer {settings.stripe_publishable_key}"})
        control = Line(f"{settings.stripe_api_base}/_sandbox", {})
        return cls(Line(door, {}), browser, control, Promises(), over, sign, now)

    def insist(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Answer:
        """The same request until it is accepted or refused, after waits that grow. Raises CampaignOverError."""
        wait = AGAIN_AFTER_SECONDS
        while True:
            answer = self.door.ask(method, path, json_body=body, headers=headers)
            self.promises.count_answer(answer.status if answer else 0, path)
            if answer is not None and answer.status < 500 and answer.status not in REPEATED:
                return answer
            self.pause(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    def pause(self, seconds: float) -> None:
        if self.over.wait(seconds):
            raise CampaignOverError("the campaign is over")

    def confirm(self, intent_id: str, secret: str, card: str) -> str:
        """Pay, and look where no answer can be believed. Returns the intent's status. Raises CampaignOverError."""
        path, known = f"/v1/payment_intents/{intent_id}", {"client_secret": secret}
        while True:
            answer = self.stripe.ask("POST", f"{path}/confirm", form={**known, "payment_method": card})
            if status := _status(answer):
                return status
            if answer is not None and answer.status == 402:
                return "declined"
            self.pause(AGAIN_AFTER_SECONDS)
            seen = self.stripe.ask("GET", f"{path}?client_secret={secret}")
            if (status := _status(seen)) in SETTLED_INTENT:
                return status

    def act_at_bank(self, path: str, body: Mapping[str, Any]) -> Answer | None:
        return self.control.ask("POST", path, json_body=body)


def _status(answer: Answer | None) -> str:
    return str(answer.body.get("status", "")) if answer is not None and answer.status == 200 else ""
