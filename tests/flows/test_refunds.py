"""Money that goes back, from a click of staff to the bank and the hours, through every process."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from billing.ids import new_id
from tests.support.database import TEMPLATE
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import PREFIX, Stack, eventually, running_stack

REFUNDS = f"{PREFIX}/admin/payments/refunds/"
DISPUTES = f"{PREFIX}/admin/payments/disputes/"
REASON = "Ana moves away."
WAIT = {"Prefer": "wait=25"}


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """With a bank that decides within half a second."""
    postgres.create_database("flow_refunds", template=TEMPLATE)
    folder, url = tmp_path_factory.mktemp("flow_refunds"), postgres.url("flow_refunds")
    names = ("sandbox", "web", "payments", "webhooks", "hours")
    with running_stack(postgres, valkey, folder, *names, DATABASE_URL=url) as running:
        running.control.post("/settlement", json={"delay_seconds": 0.5})
        yield running


class Sale:
    """A paid package of 140.00 and ten hours, of a student of its own."""

    def __init__(self, stack: Stack, method: str = "pm_card_visa") -> None:
        self.stack, self.email = stack, f"{new_id().hex[:12]}@example.com"
        self.accepted = stack.buy(self.email)
        stack.pay(stack.wait_for(self.accepted, "pending"), method)
        paid = stack.wait_for(self.accepted, "completed")
        self.number, self.intent_id = int(paid["transaction_id"]), str(paid["payment_intent_id"])

    @property
    def status(self) -> str:
        return str(self.stack.status(self.accepted)["status"])

    @property
    def hours(self) -> str:
        return self.stack.hours(self.email, self.email)

    def refund(self, amount: object = None, **headers: str) -> httpx2.Response:
        body = {"transaction_id": self.number, "reason": REASON}
        wish = body if amount is None else {**body, "refund_amount": amount}
        return self.stack.door.post(REFUNDS, json=wish, headers={**admin(self.stack), **headers}, timeout=40)

    def at_stripe(self) -> list[tuple[str, int]]:
        listed = self.stack.stripe.v1.refunds.list({"payment_intent": self.intent_id})
        return [(str(one.status), one.amount) for one in listed.data]

    def listed(self) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = look(self.stack, f"{REFUNDS}?transaction_id={self.number}")["results"]
        return rows

    def cases(self) -> list[str]:
        with self.stack.begin() as session:
            found = session.connection().exec_driver_sql(
                "SELECT reason FROM staff_case JOIN purchase ON purchase.id = purchase_id WHERE transaction_id = %s",
                (self.number,),
            )
            return list(found.scalars())

    def wait_for_hours(self, hours: str) -> None:
        eventually(lambda: self.hours == hours, 20, lambda: f"wanted {hours}, found {self.hours}")

    def wait_for_status(self, status: str) -> None:
        self.stack.wait_for(self.accepted, status)


@pytest.fixture
def sale(stack: Stack) -> Iterator[Sale]:
    """Afterwards every balance is proven."""
    yield Sale(stack)
    proven(stack)


def proven(stack: Stack) -> None:
    assert stack.scalar("SELECT count(*) FROM violation") == 0


def admin(stack: Stack) -> dict[str, str]:
    return stack.bearer("admin@example.com", "admin-1", "admin")


def look(stack: Stack, path: str) -> dict[str, Any]:
    answer = stack.door.get(path, headers=admin(stack))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def calls(stack: Stack) -> int:
    """How often Stripe was asked to give money back, since the log was cleared."""
    requests = stack.control.get("/requests").json()["requests"]
    return sum((one["method"], one["path"]) == ("POST", "/v1/refunds") for one in requests)


def test_all_of_it_goes_back_while_staff_wait(stack: Stack, sale: Sale) -> None:
    quote = look(stack, f"{REFUNDS}quote/?transaction_id={sale.number}")
    answer = sale.refund(**WAIT)
    body = answer.json()
    assert (answer.status_code, body["status"]) == (201, "succeeded"), answer.text
    assert body["amount"] == quote["refundable_amount"] == "140.00"
    assert (sale.status, sale.hours, sale.at_stripe()) == ("refunded", "0.00", [("succeeded", 14_000)])
    assert [step["step"] for step in stack.status(sale.accepted)["timeline"]][-1] == "refunded"


def test_two_halves_are_the_whole(sale: Sale) -> None:
    first = sale.refund("70.00", **WAIT)
    assert (first.status_code, sale.hours, sale.status) == (201, "5.00", "completed"), first.text
    second = sale.refund("70.00", **WAIT)
    assert (second.status_code, second.json()["minutes"]) == (201, 300), second.text
    assert (sale.hours, sale.status) == ("0.00", "refunded")
    assert sale.at_stripe() == [("succeeded", 7_000)] * 2


def test_more_than_is_left_is_refused_without_a_call(stack: Stack, sale: Sale) -> None:
    sale.refund("70.00", **WAIT)
    stack.control.delete("/requests")
    answer = sale.refund("80.00", **WAIT)
    assert (answer.status_code, answer.json()["error_type"]) == (409, "refund_exceeds_refundable")
    assert (calls(stack), sale.hours, sale.at_stripe()) == (0, "5.00", [("succeeded", 7_000)])


def test_two_clicks_at_once_are_one_refund(sale: Sale) -> None:
    """No key, no luck: the money goes once."""
    together, found = threading.Barrier(2), []

    def click() -> None:
        together.wait()
        found.append(sale.refund("70.00", **WAIT))

    threads = [threading.Thread(target=click) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in found] == [201, 201], [answer.text for answer in found]
    assert len({answer.json()["id"] for answer in found}) == 1
    assert (sale.at_stripe(), sale.hours) == ([("succeeded", 7_000)], "5.00")


BAD = [
    {"refund_amount": "0"},
    {"refund_amount": "-70.00"},
    {"refund_amount": "70.001"},
    {"refund_amount": "99999999.00"},
    {"refund_amount": "all"},
    {"reason": " "},
    {"reason": "x" * 501},
    {"transaction_id": "one"},
]


def test_what_is_no_wish_reaches_nobody(stack: Stack, sale: Sale) -> None:
    """A slip of the finger costs no money: no row, no call, no hours."""
    stack.control.delete("/requests")
    acts = stack.scalar("SELECT count(*) FROM staff_act")
    for change in BAD:
        wish = {"transaction_id": sale.number, "reason": REASON, **change}
        answer = stack.door.post(REFUNDS, json=wish, headers={**admin(stack), **WAIT})
        assert (answer.status_code, answer.json()["error_type"]) == (400, "validation_error"), change
    assert sale.refund(**stack.bearer("staff@example.com", "staff-1", "staff")).status_code == 403
    assert stack.scalar("SELECT count(*) FROM staff_act") == acts
    assert (calls(stack), sale.hours, sale.at_stripe()) == (0, "10.00", [])


def die(stack: Stack, name: str, at: str, tmp_path: Path) -> None:
    """Run this worker with a point at which it is killed, once."""
    process = stack.processes[name]
    process.stop()
    starts = process.log.count(" ready")
    process.become(
        process.command.replace("workers.app", "tests.support.dying"), DIE_AT=at, DIE_ONCE=str(tmp_path / "died")
    )
    process.start()
    eventually(lambda: process.log.count(" ready") > starts, 30, lambda: process.log[-2000:])


POINTS = [
    ("payments", "before the refund's call"),
    ("payments", "after Stripe's refund"),
    ("payments", "after the refund's commit"),
    ("hours", "after the staff act's commit"),
]


@pytest.mark.parametrize(("name", "at"), POINTS)
def test_a_worker_killed_at_any_point_makes_one_refund(
    stack: Stack, sale: Sale, tmp_path: Path, name: str, at: str
) -> None:
    """Between Stripe's answer and the commit nothing is known here; the next worker finds it out."""
    die(stack, name, at, tmp_path)
    accepted = sale.refund("70.00").json()
    process = stack.processes[name]
    eventually(lambda: not process.is_running, 20, lambda: f"{name} did not die")
    process.start()

    def status() -> str:
        return str(look(stack, accepted["status_url"])["status"])

    eventually(lambda: status() == "succeeded", 40, status)
    assert (sale.at_stripe(), sale.hours) == ([("succeeded", 7_000)], "5.00")


def test_a_refund_that_fails_later_gives_the_hours_back(stack: Stack) -> None:
    """The bank takes it, and sends it back: the student has the hours again, and staff have a case."""
    sale = Sale(stack, "pm_card_refundFail")
    asked = sale.refund(**WAIT).json()
    eventually(lambda: look(stack, f"{REFUNDS}{asked['id']}/")["status"] == "failed", 20)
    shown = look(stack, f"{REFUNDS}{asked['id']}/")
    assert (shown["error_type"], shown["minutes"]) == ("refund_failed", 600)
    assert (sale.hours, sale.status, sale.cases()) == ("10.00", "completed", ["refund_failed"])
    proven(stack)


def test_a_refund_in_the_dashboard_takes_what_is_left_and_opens_a_case(stack: Stack, sale: Sale) -> None:
    """Eight of ten hours were used: two are taken, eight are owed, and somebody looks at it."""
    lesson = {"student": {"email": sale.email}, "session_id": new_id().hex, "minutes": 480, "mode": "consume"}
    platform = stack.bearer("platform@example.com", "platform", "service")
    used = stack.door.post(f"{PREFIX}/hour-consumptions/", json=lesson, headers={**platform, **WAIT}, timeout=40)
    assert used.status_code == 201, used.text
    made = stack.control.post("/refunds", json={"payment_intent": sale.intent_id})
    assert made.status_code == 200, made.text
    sale.wait_for_status("refunded")
    (row,) = sale.listed()
    assert (row["origin"], row["status"], row["amount"]) == ("external", "succeeded", "140.00")
    assert (row["minutes"], row["minutes_short"], row["stripe_refund_id"]) == (120, 480, made.json()["id"])
    assert (sale.hours, sale.cases()) == ("-8.00", ["refund_of_used_hours"])


@pytest.mark.parametrize(
    ("verdict", "hours", "status", "withdrawn"),
    [("won", "10.00", "completed", "0.00"), ("lost", "0.00", "refunded", "140.00")],
)
def test_a_dispute_freezes_and_its_end_decides(
    stack: Stack, verdict: str, hours: str, status: str, withdrawn: str
) -> None:
    """While the bank decides nobody is taught for this money, and nobody gives it back a second time."""
    sale = Sale(stack, "pm_card_createDispute")
    sale.wait_for_hours("0.00")
    (row,) = look(stack, f"{DISPUTES}?transaction_id={sale.number}")["results"]
    assert (row["state"], row["minutes_frozen"], row["student"]["email"]) == ("open", 600, sale.email)
    refused = sale.refund(**WAIT)
    assert (refused.status_code, refused.json()["error_type"]) == (409, "invalid_transaction_state")
    stack.control.post(f"/disputes/{row['stripe_dispute_id']}/{verdict}", json={})
    path = f"{DISPUTES}{row['id']}/"
    eventually(lambda: look(stack, path)["state"] == verdict, 20)
    eventually(lambda: look(stack, path)["withdrawn"] == withdrawn, 20, lambda: str(look(stack, path)))
    assert (sale.hours, sale.status) == (hours, status)
    assert sale.at_stripe() == []
    proven(stack)
