"""Hours bought with a saved card, through every process: charged once, credited once, whatever happens meanwhile."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
import stripe

from tests.flows.subscribing import STANDARD, STUDENT, Student, Time, confirm, keyed, pipeline, proven
from tests.support.servers import RunningPostgres, RunningValkey
from tests.support.stack import PREFIX, Stack, eventually

WISH = {"plan_id": STANDARD}
TOGETHER = 20
PRICE = 14_000
INTENTS = {"method": "POST", "path": "^/v1/payment_intents$"}
PAID = "payment_intent.succeeded"


@pytest.fixture(scope="module")
def stack(
    postgres: RunningPostgres, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("flow_topups")
    with pipeline(postgres, valkey, folder, "flow_topups", "maintenance") as running:
        yield running


@pytest.fixture
def time(stack: Stack) -> Time:
    return Time(stack)


@pytest.fixture
def student(stack: Stack, time: Time) -> Iterator[Student]:
    """With a card that pays. Afterwards nothing is on its way, and every balance is proven."""
    found = Student(stack)
    found.attach("pm_card_visa")
    time.settle()
    yield found
    stack.control.post("/delivery", json={}).raise_for_status()
    stack.control.delete("/faults").raise_for_status()
    time.settle()
    proven(stack)


def accepted(student: Student, *, key: str | None = None) -> dict[str, Any]:
    """A top-up that nobody waits for, as the door answers it."""
    url = f"{PREFIX}/quick-topup/"
    answer = student.stack.door.post(url, json=WISH, headers={**student.bearer, **keyed(key)})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def topped_up(student: Student, *states: str, key: str | None = None) -> dict[str, Any]:
    """How it stands once it has reached one of these."""
    asked = accepted(student, key=key)
    return {**asked, **student.stack.wait_for(asked, *(states or ("completed",)))}


def intents(student: Student) -> Sequence[stripe.PaymentIntent]:
    return student.stack.stripe.v1.payment_intents.list({"customer": student.customer_id, "limit": 100}).data


def is_credited_once(student: Student, time: Time) -> None:
    eventually(lambda: student.hours == "10.00", 20, lambda: student.hours)
    time.settle()
    assert (student.hours, student.charged, len(intents(student))) == ("10.00", [PRICE], 1)
    lots = "SELECT count(*) FROM hour_lot WHERE student_id = :id"
    assert student.stack.scalar(lots, id=student.student_id) == 1


def test_hours_are_there_at_once(student: Student, time: Time) -> None:
    """No browser takes part, and no event is waited for."""
    student.stack.control.post("/delivery", json={"paused": True}).raise_for_status()
    done = topped_up(student)
    assert student.hours == "10.00"
    assert (done["client_secret"], done.get("error_type")) == (None, None)
    assert [step["step"] for step in done["timeline"]] == ["accepted", "intent_created", "paid", "credited"]
    student.stack.control.post("/delivery", json={"paused": False}).raise_for_status()
    is_credited_once(student, time)
    assert [one["payment_status"] for one in student.payments] == ["completed"]


def test_a_declined_card_costs_nothing(student: Student, time: Time) -> None:
    """The owner may pay the same purchase otherwise, with the secret that is shown."""
    student.prefer(student.attach("pm_card_chargeCustomerFail"))
    failed = topped_up(student, "failed")
    assert failed["error_type"] == "card_error"
    assert (student.hours, student.charged) == ("0.00", [])
    assert confirm(student.stack, failed)["status"] == "succeeded"
    student.stack.wait_for(failed, "completed")
    is_credited_once(student, time)


@pytest.mark.parametrize("verdict", ["approve", "refuse"])
def test_a_bank_that_wants_to_see_its_customer(student: Student, time: Time, verdict: str) -> None:
    """The client gets what it needs to finish; what the bank says then decides."""
    student.prefer(student.attach_in_a_browser("pm_card_authenticationRequired"))
    failed = topped_up(student, "failed")
    assert failed["error_type"] == "authentication_required"
    assert (student.hours, student.charged) == ("0.00", [])
    asked = confirm(student.stack, failed, student.default_card)
    assert asked["status"] == "requires_action"
    student.stack.control.post(f"/3ds/{asked['id']}/{verdict}").raise_for_status()
    if verdict == "approve":
        student.stack.wait_for(failed, "completed")
        is_credited_once(student, time)
    else:
        time.settle()
        assert (student.stack.status(failed)["status"], student.hours, student.charged) == ("failed", "0.00", [])


@pytest.mark.parametrize("has_key", [True, False])
def test_twenty_clicks_at_once_are_one_charge(student: Student, time: Time, *, has_key: bool) -> None:
    headers = {**student.bearer, **keyed(f"click-{student.email}" if has_key else None)}
    barrier, answers = threading.Barrier(TOGETHER), list[httpx2.Response]()

    def click() -> None:
        with httpx2.Client(base_url=student.stack.url, timeout=40) as door:
            barrier.wait()
            answers.append(door.post(f"{PREFIX}/quick-topup/", json=WISH, headers=headers))

    threads = [threading.Thread(target=click) for _ in range(TOGETHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {200, 202}, [answer.text for answer in answers]
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    is_credited_once(student, time)


def test_two_wishes_with_two_keys_are_two_charges(student: Student) -> None:
    for number in (1, 2):
        topped_up(student, key=f"{student.email}-{number}")
    assert (student.hours, student.charged) == ("20.00", [PRICE, PRICE])


def test_news_that_come_before_the_answer_credit_once(student: Student, time: Time) -> None:
    """Stripe's answer takes its time, and its event does not."""
    late = {"match": INTENTS, "when": "after", "do": {"delay_seconds": 2}, "times": 1}
    student.stack.control.post("/faults", json=[late]).raise_for_status()
    asked = accepted(student)
    eventually(lambda: student.charged == [PRICE], 10)
    received = "SELECT count(*) FROM webhook_event WHERE type = :type AND position(CAST(:id AS bytea) IN body) > 0"
    (intent,) = intents(student)
    eventually(lambda: student.stack.scalar(received, type=PAID, id=intent.id.encode()) == 1, 10)
    assert student.stack.status(asked)["status"] == "queued"
    student.stack.wait_for(asked, "completed")
    is_credited_once(student, time)


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.1])
def test_news_that_come_with_the_answer_credit_once(student: Student, time: Time, seconds: float) -> None:
    """Answer and event at the same moment, each event twice and out of order."""
    plan = {"duplicates": 1, "reorder_seconds": seconds}
    student.stack.control.post("/delivery", json=plan).raise_for_status()
    late = {"match": INTENTS, "when": "after", "do": {"delay_seconds": seconds}, "times": 1}
    student.stack.control.post("/faults", json=[late]).raise_for_status()
    topped_up(student)
    is_credited_once(student, time)


def test_news_that_come_long_after_the_answer_credit_once(student: Student, time: Time) -> None:
    student.stack.control.post("/delivery", json={"delay_seconds": 1, "duplicates": 2}).raise_for_status()
    topped_up(student)
    assert student.stack.control.get("/deliveries").json()["pending"] > 0
    is_credited_once(student, time)


@pytest.mark.parametrize("trouble", [{"cut": True}, {"status": 503}])
def test_an_answer_that_is_lost_is_asked_for_again(student: Student, time: Time, trouble: Mapping[str, object]) -> None:
    """Charged, and we do not know it: the same key finds the payment, and no event has to help."""
    student.stack.control.post("/delivery", json={"paused": True}).raise_for_status()
    lost = {"match": INTENTS, "when": "after", "do": trouble, "times": 1}
    student.stack.control.post("/faults", json=[lost]).raise_for_status()
    topped_up(student)
    assert (student.hours, student.charged) == ("10.00", [PRICE])
    student.stack.control.post("/delivery", json={"paused": False}).raise_for_status()
    is_credited_once(student, time)


def test_a_worker_killed_after_stripe_s_answer_charges_once(student: Student, time: Time, tmp_path: Path) -> None:
    """Charged, and nothing of it is written down here: whoever follows sends the same key."""
    payments = student.stack.processes["payments"]
    command = payments.command
    payments.stop()
    dying = command.replace("workers.app", "tests.support.dying")
    payments.become(dying, DIE_AT="after Stripe's answer", DIE_ONCE=str(tmp_path / "died"))
    student.stack.start("payments")
    asked = accepted(student)
    eventually(lambda: not payments.is_running, 20, lambda: "nobody died")
    assert student.charged == [PRICE]
    payments.become(command)
    student.stack.start("payments")
    student.stack.wait_for(asked, "completed", seconds=30)
    is_credited_once(student, time)


def test_what_is_no_top_up_reaches_nobody(student: Student) -> None:
    """A subscription, a plan that is not, a price that was: no row, no call."""
    stack = student.stack
    stack.control.delete("/requests")
    for wish, refusal in (
        ({"plan_id": STUDENT}, (409, "topup_needs_a_package")),
        ({"plan_id": 99}, (400, "validation_error")),
        ({**WISH, "expected_price_eur": "1.00"}, (409, "price_changed")),
    ):
        assert student.refused("quick-topup/", wish) == refusal
    assert stack.control.get("/requests").json()["requests"] == []
    nobody = Student(stack)
    assert nobody.refused("quick-topup/", WISH) == (409, "no_payment_method")
    assert (student.hours, student.payments) == ("0.00", [])
