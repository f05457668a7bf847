"""Students with accounts as they go: they subscribe, save cards and pay, while time passes for the whole pipeline."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from billing import clock, ledger
from billing.cli.clock import Journey, Moved
from billing.cli.passing import PASSING
from billing.cli.sandbox import Sandbox
from billing.clock import Offset
from billing.config import SANDBOX_PUBLISHABLE_KEY
from billing.ids import new_id
from tests.support.database import TEMPLATE
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import PREFIX, Stack, eventually, running_stack

STANDARD, MONTHLY, STUDENT = 2, 5, 6
"""Plans: ten hours of a package for 140.00; each month thirty hours for 199.00, or fifteen for 119.00."""
WAIT = {"Prefer": "wait=25"}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LIVE = ("active", "past_due")


class Student:
    """The owner of an account of his own."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.email = f"{new_id().hex[:12]}@example.com"
        self.sub = f"account-{self.email}"

    @property
    def bearer(self) -> dict[str, str]:
        return self.stack.bearer(self.email, self.sub)

    @property
    def hours(self) -> str:
        return self.stack.hours(self.email, self.sub)

    def get(self, path: str) -> Any:
        answer = self.stack.door.get(f"{PREFIX}/{path}", headers=self.bearer)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ask(self, path: str, body: object = None, method: str = "POST", **headers: str) -> httpx2.Response:
        """The answer says what came of it."""
        told = {**self.bearer, **WAIT, **headers}
        return self.stack.door.request(method, f"{PREFIX}/{path}", headers=told, timeout=40, json=body)

    def done(self, path: str, body: object = None, method: str = "POST") -> Any:
        answer = self.ask(path, body, method)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def refused(self, path: str, body: object = None, method: str = "POST") -> tuple[int, str]:
        answer = self.ask(path, body, method)
        return answer.status_code, answer.json()["error_type"]

    def begin(self, plan_id: int = STUDENT, *, key: str | None = None) -> dict[str, Any]:
        """A purchase by the account; what the door accepted."""
        body = {"plan_id": plan_id, "student_info": {"name": "Ana", "email": self.email}}
        told = {**self.bearer, **keyed(key)}
        answer = self.stack.door.post(f"{PREFIX}/purchase/initiate/", json=body, headers=told)
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    def subscribe(self, plan_id: int = STUDENT, method: str = "pm_card_visa") -> dict[str, Any]:
        """Paid in a browser, credited, and the card is saved; how the purchase stands then."""
        accepted = self.begin(plan_id)
        confirm(self.stack, self.stack.wait_for(accepted, "pending"), method)
        self.wait_for(hours={STUDENT: "15.00", MONTHLY: "30.00"}[plan_id], status="active")
        eventually(lambda: len(self.cards) == 1, 20, lambda: "no card was saved")
        return {**accepted, **self.stack.wait_for(accepted, "completed")}

    @property
    def subscription(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.get("subscription/")["subscription"] or {}
        return found

    @property
    def cards(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.get("payment-methods/")["payment_methods"]
        return found

    @property
    def default_card(self) -> str:
        (found,) = [str(card["id"]) for card in self.cards if card["is_default"]]
        return found

    @property
    def payments(self) -> Sequence[Mapping[str, Any]]:
        """The newest first."""
        found: Sequence[Mapping[str, Any]] = self.get("student-balance/history/")["results"]
        return found

    @property
    def receipts(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.get("student-balance/receipts/")["results"]
        return found

    @property
    def period_end(self) -> datetime:
        return datetime.fromisoformat(self.subscription["current_period_end"])

    def wait_for(self, **facts: object) -> None:
        """Until the subscription has these; `hours` are those of the balance."""

        def found() -> dict[str, object]:
            return {name: self.hours if name == "hours" else self.subscription.get(name) for name in facts}

        eventually(lambda: found() == facts, 20, lambda: f"wanted {facts}, found {found()}")

    def attach(self, name: str) -> str:
        """One of Stripe's test cards, saved; its id."""
        before = {card["id"] for card in self.cards}
        after = self.done("payment-methods/", {"payment_method_id": name})["payment_methods"]
        (added,) = {card["id"] for card in after} - before
        return str(added)

    def attach_in_a_browser(self, name: str) -> str:
        """As `attach`, for a card whose bank asks its owner first; he approves."""
        before = {card["id"] for card in self.cards}
        asked = confirm(self.stack, self.done("payment-methods/", {}), name)
        self.stack.control.post(f"/3ds/{asked['id']}/approve").raise_for_status()
        eventually(lambda: len(self.cards) > len(before), 20, lambda: "no card was saved")
        (added,) = {card["id"] for card in self.cards} - before
        return str(added)

    def prefer(self, card_id: str) -> None:
        self.done(f"payment-methods/{card_id}/set-default/")

    @property
    def student_id(self) -> int:
        return int(self.stack.scalar("SELECT id FROM student WHERE external_id = :sub", sub=self.sub))

    @property
    def customer_id(self) -> str:
        theirs = "SELECT stripe_customer_id FROM stripe_customer WHERE student_id = :id"
        return str(self.stack.scalar(theirs, id=self.student_id))

    @property
    def stripe_id(self) -> str:
        theirs = "SELECT stripe_subscription_id FROM subscription WHERE student_id = :id ORDER BY began_at DESC LIMIT 1"
        return str(self.stack.scalar(theirs, id=self.student_id))

    @property
    def charged(self) -> Sequence[int]:
        """What Stripe took of him, in cents, the oldest first."""
        listed = self.stack.stripe.v1.charges.list({"customer": self.customer_id, "limit": 100}).data
        return [charge.amount for charge in reversed(listed) if charge.paid]


def keyed(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}


def confirm(stack: Stack, shown: Mapping[str, Any], method: str | None = "pm_card_visa") -> dict[str, Any]:
    """As a browser does it: with the publishable key and the secret that the door has shown."""
    secret: str = shown["client_secret"]
    intent_id = secret.split("_secret_", maxsplit=1)[0]
    group = "setup_intents" if intent_id.startswith("seti_") else "payment_intents"
    fields = {
        "client_secret": secret,
        "return_url": "https://shop.example/",
        **({"payment_method": method} if method else {}),
    }
    answer = httpx2.post(
        f"{stack.sandbox_url}/v1/{group}/{intent_id}/confirm",
        data=fields,
        headers={"Authorization": f"Bearer {SANDBOX_PUBLISHABLE_KEY}"},
    )
    found: dict[str, Any] = answer.json()
    return found


class Time:
    """The clocks of the pipeline, and what beat does by the calendar."""

    def __init__(self, stack: Stack) -> None:
        self._moved = Moved(Offset(clock.path_of(stack.settings)), Sandbox(stack.settings))
        passing = [make(stack.begin, stack.settings) for make in PASSING]
        self._journey = Journey(self._moved, stack.begin, stack.settings.zone, passing)

    @property
    def now(self) -> datetime:
        return self._moved.now

    def pass_night_by_night(self, until: datetime) -> None:
        """As `billing clock` does it."""
        self.settle()
        for _ in self._journey.steps(self._offset_at(until)):
            continue

    def pass_at_once(self, until: datetime) -> None:
        """In one step: everything that Stripe does until then is dated when it was due."""
        self.settle()
        self._moved.move_to(max(self._moved.offset.seconds, self._offset_at(until)))
        self.settle()
        self._journey.pass_here()

    def settle(self) -> None:
        """Until nothing is on its way and no row is due."""
        self._journey.settle()

    def _offset_at(self, instant: datetime) -> int:
        return int((instant - datetime.now(UTC)).total_seconds()) + 1


@contextmanager
def pipeline(postgres: RunningPostgres, valkey: RunningValkey, folder: Path, name: str, *more: str) -> Iterator[Stack]:
    """The processes that payments need, on a database of their own."""
    postgres.create_database(name, template=TEMPLATE)
    names = ("sandbox", "web", "payments", "webhooks", *more)
    with running_stack(postgres, valkey, folder, *names, DATABASE_URL=postgres.url(name)) as running:
        yield running


def proven(stack: Stack) -> None:
    """Every balance is what its payments and lessons make it, and nothing was given up."""
    assert ledger.violations(stack.begin) == []
    with stack.begin() as session:
        broken = session.connection().exec_driver_sql("SELECT rule, subject FROM violation").all()
        letters = session.connection().exec_driver_sql("SELECT * FROM dead_letter").all()
    assert (broken, letters) == ([], [])
