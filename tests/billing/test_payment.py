"""A purchase gets one intent at Stripe, whatever happens between the call and the commit."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from billing import ledger
from billing.db import Begin
from billing.deployment import MARK, Deployment
from billing.errors import LeaseLostError
from billing.gateway import (
    DeclinedError,
    GatewayError,
    Intent,
    InvalidRequestError,
    KeyReusedError,
    NotAskedError,
    OutcomeUnknownError,
    StoredCall,
    StripeBusyError,
    StripeCrowdedError,
    StripePausedError,
    StripeRefusedUsError,
)
from billing.ids import installation_mark, new_id
from billing.messages import PreparePayment, PurchaseChanged
from billing.purchases.payment import prepare_payment
from billing.secrets import Vault
from billing.states import PurchaseState
from tests.support.factories import STANDARD_MINUTES, minutes_left
from tests.support.gateway import FakeGateway
from tests.support.leases import UnrenewedLeases
from tests.support.office import Office, unreachable

P = PurchaseState


@pytest.fixture
def office(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Office:
    return Office(begin, deployment, vault, now)


def test_a_queued_purchase_gets_an_intent_of_its_frozen_price(office: Office, vault: Vault) -> None:
    """Amount, currency and mark come from the row; the secret is kept sealed."""
    done = office.work(office.buy())
    assert (done.state, done.payment_intent_id, done.due_at) == (P.PENDING, "pi_1", None)
    assert done.client_secret is not None
    assert vault.open(done.client_secret) == "pi_1_secret_x"
    assert b"secret" not in done.client_secret
    (call,) = office.gateway.creates
    assert (call.parameters["amount"], call.parameters["currency"]) == (14_000, "eur")
    mark = installation_mark(office.desk.deployment.installation, done.id)
    assert call.parameters["metadata"][MARK] == mark
    assert call.parameters["metadata"]["request_id"] == "request-of-a-test"


def test_nothing_personal_goes_to_stripe_with_an_intent(office: Office) -> None:
    office.work(office.buy(email="private.person@example.com"))
    assert "private.person" not in repr(office.gateway.creates)


def test_whoever_waits_for_a_payment_is_told(office: Office) -> None:
    """The intent, why it takes longer, or that there will be none: each is news to the buyer."""
    purchase = office.buy()
    changed = PurchaseChanged(purchase_id=purchase.id)
    office.fail_with(unreachable())
    hint = PreparePayment(purchase_id=purchase.id)
    assert prepare_payment(office.desk, hint) == [changed]
    assert office.load(purchase).error_type == "api_connection_error"
    with office.desk.begin() as session:
        session.execute(text("UPDATE purchase SET due_at = clock_timestamp()"))
    assert prepare_payment(office.desk, hint) == [changed]
    assert office.load(purchase).state is P.PENDING


def test_a_second_hint_for_a_prepared_purchase_calls_nobody(office: Office) -> None:
    """A message is a hint: doubled, late or forged, it does nothing more."""
    purchase = office.buy()
    office.work(purchase)
    office.work(purchase)
    prepare_payment(office.desk, PreparePayment(purchase_id=new_id()))
    assert len(office.gateway.creates) == 1


def test_a_worker_that_died_after_the_call_is_followed_by_the_same_call(office: Office) -> None:
    """Killed between Stripe and the commit: the same key and parameters give the same intent."""
    purchase = office.buy()
    office.leases = UnrenewedLeases(seconds=0.001)
    office.desk = replace(office.desk, leases=office.leases)
    office.gateway.lost = [Dead()]
    with pytest.raises(Dead):
        office.work(purchase)
    done = office.work(purchase)
    assert (done.state, len(office.gateway.intents)) == (P.PENDING, 1)
    first, second = office.gateway.creates
    assert first == second


def test_a_late_worker_records_nothing_over_the_one_that_took_over(office: Office) -> None:
    """A worker that froze in the call wakes when another has finished: its answer is dropped."""
    purchase = office.buy()
    office.desk = replace(office.desk, leases=UnrenewedLeases(seconds=0.001))
    other = replace(office.desk, leases=UnrenewedLeases())

    class Slow(FakeGateway):
        def create_intent(self, call: StoredCall) -> Intent:
            prepare_payment(other, PreparePayment(purchase_id=purchase.id))
            return replace(super().create_intent(call), id="pi_of_the_late_one")

    office.desk = replace(office.desk, gateway=Slow(office.desk.now))
    with pytest.raises(LeaseLostError):
        office.work(purchase)
    assert office.load(purchase).payment_intent_id == "pi_1"


def test_a_resend_uses_what_was_written_down_not_what_the_code_says_now(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deploy between two sends must not change the parameters of one key."""
    purchase = office.buy()
    office.fail_with(unreachable())
    office.work(purchase)
    monkeypatch.setattr("billing.purchases.calls._intent_parameters", lambda *_: {"amount": 1})
    monkeypatch.setattr(FakeGateway, "api_version", "2099-01-01.future")
    office.work(purchase)
    first, second = office.gateway.creates
    assert first == second


@pytest.mark.parametrize(
    "error",
    [unreachable(), OutcomeUnknownError(), StripeBusyError()],
    ids=lambda error: type(error).__name__,
)
def test_trouble_that_may_pass_keeps_the_purchase_queued_and_says_why(office: Office, error: GatewayError) -> None:
    """The buyer sees what is going on from the first failure on, and the purchase goes on by itself."""
    purchase = office.buy()
    office.fail_with(error)
    waiting = office.work(purchase)
    assert (waiting.state, waiting.error_type) == (P.QUEUED, error.error_type)
    assert waiting.error_message
    done = office.work(purchase)
    assert (done.state, done.error_type, done.error_message) == (P.PENDING, None, None)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (DeclinedError("Declined."), "card_error"),
        (InvalidRequestError("No."), "invalid_request_error"),
    ],
)
def test_a_refusal_is_final_and_shown(office: Office, error: GatewayError, shown: str) -> None:
    purchase = office.buy()
    office.fail_with(error)
    failed = office.work(purchase)
    assert (failed.state, failed.error_type, failed.due_at) == (P.FAILED, shown, None)
    assert office.calls() == [("refused", 1, 1)]


def test_a_key_that_was_used_for_something_else_is_looked_at_by_people(office: Office) -> None:
    """It is our own fault, and an intent may exist: nobody retries that blindly."""
    office.fail_with(KeyReusedError())
    failed = office.work(office.buy())
    with office.desk.begin() as session:
        assert session.execute(text("SELECT reason FROM staff_case")).scalar_one() == "key_reused"
    assert failed.state is P.FAILED


def test_a_wrong_key_of_ours_does_not_use_up_the_buyers_time(office: Office) -> None:
    """401 and 403 are ours to mend, however long that takes."""
    purchase = office.buy()
    for _ in range(5):
        office.fail_with(StripeRefusedUsError())
        before = office.load(purchase).give_up_at
        waiting = office.work(purchase)
        assert waiting.give_up_at > before
    assert (waiting.state, waiting.error_type) == (P.QUEUED, "authentication_error")


def test_a_purchase_whose_time_is_up_fails_when_nothing_is_at_stripe(office: Office) -> None:
    """After the limit it is failed, and Stripe was asked first."""
    purchase = office.buy()
    office.fail_with(unreachable())
    office.work(purchase)
    office.pass_time(16)
    failed = office.work(purchase)
    assert (failed.state, failed.error_type, failed.due_at) == (P.FAILED, "api_connection_error", None)
    assert (office.gateway.looks, len(office.gateway.creates)) == (1, 1)


def test_a_purchase_whose_time_is_up_cancels_what_is_at_stripe(office: Office) -> None:
    """The create had been done and its answer lost: nobody may pay for a failed purchase."""
    purchase = office.buy()
    office.gateway.lost = [unreachable()]
    office.work(purchase)
    office.pass_time(16)
    failed = office.work(purchase)
    (intent,) = office.gateway.intents.values()
    assert (failed.state, failed.due_at, intent.status) == (P.FAILED, None, "canceled")


def test_a_purchase_that_was_paid_meanwhile_is_credited(office: Office) -> None:
    """Money that reached Stripe becomes hours, even after the limit."""
    purchase = office.buy()
    office.gateway.lost = [unreachable()]
    office.work(purchase)
    (intent,) = office.gateway.intents.values()
    office.gateway.change(intent.id, status="succeeded", amount_received_cents=14_000)
    office.pass_time(16)
    done = office.work(purchase)
    assert done.state is P.COMPLETED
    assert done.student_id is not None
    assert minutes_left(office.desk.begin, done.student_id) == STANDARD_MINUTES
    assert ledger.violations(office.desk.begin) == []


def test_a_purchase_whose_time_is_up_while_stripe_is_away_is_looked_for_when_it_is_back(office: Office) -> None:
    """The buyer is told at the limit; the object is cancelled as soon as that is possible."""
    purchase = office.buy()
    office.gateway.lost = [unreachable()]
    office.work(purchase)
    office.pass_time(16)
    office.fail_with(unreachable())
    failed = office.work(purchase)
    assert failed.state is P.FAILED
    assert failed.due_at is not None
    office.pass_time(60)
    closed = office.work(purchase)
    (intent,) = office.gateway.intents.values()
    assert (closed.state, closed.due_at, intent.status) == (P.FAILED, None, "canceled")


def test_the_last_wait_ends_when_the_time_is_up(office: Office) -> None:
    """A purchase is failed at its limit, not a growing wait after it."""
    purchase = office.buy(deferrals=9, attempts=9)
    office.pass_time(14.9)
    office.fail_with(unreachable())
    office.work(purchase)
    with office.desk.begin() as session:
        statement = text("SELECT extract(epoch FROM due_at - clock_timestamp()) FROM purchase")
        assert 0 < session.execute(statement).scalar_one() <= 6


def test_a_purchase_that_found_no_worker_in_time_is_tried_once(office: Office) -> None:
    """Workers that were down for an hour do not fail what Stripe was never asked for."""
    purchase = office.buy()
    office.pass_time(60)
    assert office.work(purchase).state is P.PENDING


def test_after_five_sends_without_an_answer_the_object_is_looked_for(office: Office) -> None:
    """Unknown is an outcome: when repeating does not help, ask, and adopt what is there."""
    purchase = office.buy()
    office.gateway.lost = [unreachable()]
    office.work(purchase)
    office.gateway.troubles = [unreachable() for _ in range(4)]
    for _ in range(4):
        office.work(purchase)
    assert office.gateway.looks == 0
    done = office.work(purchase)
    assert (done.state, done.payment_intent_id) == (P.PENDING, "pi_1")
    assert (office.gateway.looks, len(office.gateway.creates)) == (1, 5)


def test_what_is_not_found_is_sent_again_under_the_same_key(office: Office) -> None:
    purchase = office.buy()
    office.gateway.troubles = [unreachable() for _ in range(5)]
    for _ in range(5):
        office.work(purchase)
    done = office.work(purchase)
    assert done.state is P.PENDING
    assert len({call.idempotency_key for call in office.gateway.creates}) == 1


def test_a_key_older_than_a_day_is_never_sent_again(office: Office) -> None:
    """Stripe may have forgotten it: the object is looked for, and only then a new attempt has a new key."""
    purchase = office.buy(give_up_at=office.desk.now + timedelta(days=3))
    office.fail_with(unreachable())
    office.work(purchase)
    office.pass_time(24 * 60)
    done = office.work(purchase)
    first, second = office.gateway.creates
    assert done.state is P.PENDING
    assert first.idempotency_key != second.idempotency_key
    assert office.calls() == [("lapsed", 1, 1), ("answered", 2, 1)]


def test_a_purchase_that_kills_its_workers_fails_and_is_a_dead_letter(office: Office) -> None:
    office.desk = replace(office.desk, leases=UnrenewedLeases(seconds=0.001, lost_claims=3))
    purchase = office.buy()
    office.gateway.troubles = [Dead() for _ in range(3)]
    for _ in range(3):
        with pytest.raises(Dead):
            office.work(purchase)
    failed = office.work(purchase)
    assert (failed.state, failed.error_type, failed.due_at) == (P.FAILED, "api_error", None)
    assert failed.gave_up_at is not None


def test_purchases_of_one_guest_share_one_student(office: Office) -> None:
    students: set[int | None] = {office.work(office.buy()).student_id for _ in range(3)}
    assert len(students) == 1


def test_a_claim_is_held_while_stripe_is_asked(office: Office) -> None:
    """Only a living worker renews; it must know what it holds."""
    held: list[UUID] = []

    class Watching(FakeGateway):
        def create_intent(self, call: StoredCall) -> Intent:
            held.extend(office.leases.holding)
            return super().create_intent(call)

    office.desk = replace(office.desk, gateway=Watching(office.desk.now))
    office.work(office.buy())
    assert len(held) == 1
    assert office.leases.holding == []


class Dead(BaseException):
    """What a SIGKILL looks like from inside: nothing after it runs."""


@pytest.mark.parametrize("error", [StripePausedError, StripeCrowdedError])
def test_a_try_that_never_left_costs_the_buyer_neither_time_nor_a_send(
    office: Office, error: type[NotAskedError]
) -> None:
    """An open breaker and a crowd before the line are our own waits: the purchase goes on when they end."""
    purchase = office.buy()
    office.fail_with(error())
    waiting = office.work(purchase)
    assert (waiting.state, waiting.error_type, waiting.error_message) == (P.QUEUED, error.error_type, error.message)
    assert waiting.give_up_at > purchase.give_up_at
    assert office.calls() == [("open", 1, 0)]
    assert office.work(purchase).state is P.PENDING
    assert office.calls() == [("answered", 1, 1)]


def test_a_look_that_never_left_is_not_counted(office: Office) -> None:
    purchase = office.buy()
    office.fail_with(*[unreachable()] * 5)
    for _ in range(5):
        office.work(purchase)
    office.fail_with(StripePausedError())
    office.work(purchase)
    with office.desk.begin() as session:
        assert session.execute(text("SELECT sends, looks FROM stripe_call")).one() == (5, 0)


def test_a_resend_says_what_was_written_down_whatever_the_code_has_become(office: Office) -> None:
    """Stripe refuses a key that comes with other parameters: a deploy between two sends must not change them."""
    purchase = office.buy()
    office.fail_with(unreachable())
    office.work(purchase)
    with office.desk.begin() as session:
        written = """UPDATE stripe_call SET api_version = '2020-01-01',
            parameters = parameters || '{"description": "as an earlier release wrote it"}'"""
        session.execute(text(written))
    office.work(purchase)
    resent = office.gateway.creates[-1]
    assert (resent.parameters["description"], resent.api_version) == ("as an earlier release wrote it", "2020-01-01")
