"""The line to the database breaks at a commit: whether it was done is unknown, and doing it again ends alike."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

import pytest
from sqlalchemy import text

from billing import db, ledger
from billing.db import Begin
from billing.deployment import Deployment
from billing.errors import DatabaseUnavailableError
from billing.messages import PreparePayment
from billing.purchases.desk import Desk
from billing.purchases.payment import prepare_payment
from billing.secrets import Vault
from billing.states import PurchaseState
from billing.webhooks.drain import drain
from tests.support.cutting import Cut, CuttingLine, cutting_line
from tests.support.database import connect
from tests.support.factories import (
    STANDARD_MINUTES,
    add_event,
    add_purchase,
    add_student,
    event_body,
    intent_body,
    load_purchase,
    minutes_left,
)
from tests.support.gateway import FakeGateway
from tests.support.hints import KeptHints
from tests.support.leases import UnrenewedLeases

COMMITS_OF_A_PAYMENT = 2
"""The claim with what will be called, and what came of it."""

COMMITS_OF_A_BATCH = 2


@pytest.fixture
def line(database_url: str) -> Iterator[CuttingLine]:
    with cutting_line(database_url) as line:
        yield line


@pytest.fixture
def begin_over(line: CuttingLine) -> Iterator[Begin]:
    """Transactions over the line that breaks; one has passed it already."""
    engine = connect(line.url, pool_size=2)
    begin: Begin = partial(db.begin, engine)
    with begin() as session:
        session.execute(text("SELECT 1"))
    yield begin
    engine.dispose()


def let_leases_end(begin: Begin, table: str) -> None:
    with begin() as session:
        free = text(f"UPDATE {table} SET lease_until = NULL, lease_token = NULL WHERE due_at IS NOT NULL")  # noqa: S608
        session.execute(free)


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("after_commits", range(COMMITS_OF_A_PAYMENT))
def test_a_payment_whose_commit_was_not_heard_of_has_one_intent(
    begin: Begin,
    begin_over: Begin,
    line: CuttingLine,
    vault: Vault,
    deployment: Deployment,
    now: datetime,
    after_commits: int,
    cut: Cut,
) -> None:
    gateway = FakeGateway(now)
    desk = Desk(begin_over, gateway, UnrenewedLeases(), vault, deployment, now)
    purchase = add_purchase(begin, at=now)
    line.cut_next(cut, after_commits=after_commits)
    with pytest.raises(DatabaseUnavailableError):
        prepare_payment(desk, PreparePayment(purchase_id=purchase.id))
    assert line.cuts == 1
    let_leases_end(begin, "purchase")
    prepare_payment(desk, PreparePayment(purchase_id=purchase.id))
    assert load_purchase(begin, purchase.id).state is PurchaseState.PENDING
    assert len(gateway.intents) == len({call.idempotency_key for call in gateway.creates}) == 1


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("after_commits", range(COMMITS_OF_A_BATCH))
def test_a_credit_whose_commit_was_not_heard_of_is_there_once(
    begin: Begin,
    begin_over: Begin,
    line: CuttingLine,
    deployment: Deployment,
    now: datetime,
    after_commits: int,
    cut: Cut,
) -> None:
    student = add_student(begin, at=now)
    for purchase in [add_purchase(begin, at=now, state=PurchaseState.PENDING, student_id=student) for _ in range(3)]:
        paid = event_body("payment_intent.succeeded", intent_body(purchase, deployment), at=now)
        add_event(begin, paid, at=now)
    line.cut_next(cut, after_commits=after_commits)
    work = partial(drain, begin_over, UnrenewedLeases(), KeptHints(), deployment=deployment, now=now)
    with pytest.raises(DatabaseUnavailableError):
        work()
    assert line.cuts == 1
    is_done = cut is Cut.AFTER and after_commits == COMMITS_OF_A_BATCH - 1
    assert minutes_left(begin, student) == (3 * STANDARD_MINUTES if is_done else 0)
    let_leases_end(begin, "webhook_event")
    for _ in range(4):  # what was tried before is worked one by one
        work()
    assert minutes_left(begin, student) == 3 * STANDARD_MINUTES
    assert ledger.violations(begin) == []
