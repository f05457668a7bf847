"""What a guest bought for an address belongs to the account that proves it."""

import asyncio
import threading
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlmodel import Session, select

from billing import db, ledger
from billing.db import Begin
from billing.deployment import Deployment
from billing.ids import new_id
from billing.messages import LinkStudent
from billing.models import Purchase, Student
from billing.purchases import completion
from billing.states import PurchaseState
from billing.student_links import follow_link, request_link
from tests.support.database import connect_async
from tests.support.factories import STANDARD_CENTS, STANDARD_MINUTES, add_purchase, add_student, minutes_left
from tests.support.leases import UnrenewedLeases

EMAIL = "ana@example.com"
SPEND = (
    text("""
        WITH entry AS (
            INSERT INTO hour_entry (student_id, kind, minutes, balance_after, source, at)
            SELECT student_id, 'consume', -:minutes, minutes_left - :minutes, 'session:1', now()
            FROM student_balance WHERE student_id = :student RETURNING id
        )
        INSERT INTO hour_allocation (entry_id, lot_id, minutes)
        SELECT entry.id, hour_lot.id, -:minutes FROM entry, hour_lot WHERE student_id = :student
    """),
    text("""
        UPDATE hour_lot SET minutes_left = minutes_left - :minutes, minutes_consumed = minutes_consumed + :minutes
        WHERE student_id = :student
    """),
    text("""
        UPDATE student_balance
        SET minutes_left = minutes_left - :minutes, minutes_consumed = minutes_consumed + :minutes
        WHERE student_id = :student
    """),
)
PAID = "SELECT paid_cents FROM student_balance WHERE student_id = :student"
CONSUMED = "SELECT minutes_consumed FROM student_balance WHERE student_id = :student"


class Platform:
    """Accounts that prove addresses, and guests who buy for them."""

    def __init__(self, begin: Begin, url: str, deployment: Deployment, now: datetime) -> None:
        self.begin, self.url, self.deployment, self.now = begin, url, deployment, now

    def paid_guest(self, purchases: int = 1) -> int:
        guest = add_student(self.begin, EMAIL, at=self.now)
        for _ in range(purchases):
            self.pay(add_purchase(self.begin, at=self.now, state=PurchaseState.PENDING, student_id=guest))
        return guest

    def pay(self, purchase: Purchase) -> None:
        def run(session: Session) -> None:
            sold = completion.lock_by_intent(session, [purchase.payment_intent_id or ""])
            payments = [completion.Payment(one, self.now, "test") for one in sold.values()]
            completion.complete(session, payments, self.deployment, now=self.now)

        db.repeated(self.begin, run)

    def wish(self, external_id: str = "ana", email: str = EMAIL) -> UUID:
        async def run() -> UUID:
            engine = connect_async(self.url)
            try:
                async with db.begin_async(engine) as connection:
                    return await request_link(
                        connection,
                        link_id=new_id(),
                        external_id=external_id,
                        email=email,
                        name="Ana",
                        request_id="r",
                        now=self.now,
                    )
            finally:
                await engine.dispose()

        return asyncio.run(run())

    def link(self, external_id: str = "ana", email: str = EMAIL) -> None:
        self.follow(self.wish(external_id, email))

    def follow(self, link_id: UUID) -> None:
        follow_link(self.begin, UnrenewedLeases(), LinkStudent(link_id=link_id), now=self.now + timedelta(days=1))

    def account(self, external_id: str = "ana") -> Student | None:
        with self.begin() as session:
            return session.exec(select(Student).where(Student.external_id == external_id)).first()

    def rows(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        with self.begin() as session:
            return [tuple(row) for row in session.execute(text(statement), values)]

    def spend(self, student_id: int, minutes: int) -> None:
        """As consumption does it, in the first lot of the student."""
        with self.begin() as session:
            for statement in SPEND:
                session.execute(statement, {"student": student_id, "minutes": minutes})


@pytest.fixture
def platform(begin: Begin, database_url: str, deployment: Deployment, now: datetime) -> Platform:
    return Platform(begin, database_url, deployment, now)


def test_the_guest_becomes_the_account_that_is_new_here(platform: Platform) -> None:
    guest = platform.paid_guest()
    platform.link()
    account = platform.account()
    assert account is not None
    assert (account.id, account.email_verified) == (guest, True)
    assert minutes_left(platform.begin, guest) == STANDARD_MINUTES


def test_the_guests_lots_move_to_an_account_that_is_known(platform: Platform) -> None:
    """With their expiry, their value and what was paid; the entries on both sides say so."""
    account = add_student(platform.begin, "old@example.com", at=platform.now, external_id="ana")
    guest = platform.paid_guest(purchases=2)
    expiry = platform.rows("SELECT expires_at FROM hour_lot ORDER BY id")
    platform.link()
    assert (minutes_left(platform.begin, guest), minutes_left(platform.begin, account)) == (0, 2 * STANDARD_MINUTES)
    assert platform.rows("SELECT expires_at FROM hour_lot ORDER BY id") == expiry
    assert platform.rows(PAID, student=account) == [(2 * STANDARD_CENTS,)]
    moved = "SELECT student_id, minutes, balance_after FROM hour_entry WHERE kind = 'transfer' ORDER BY id"
    assert platform.rows(moved) == [(guest, -600, 600), (account, 600, 600), (guest, -600, 0), (account, 600, 1200)]
    assert ledger.violations(platform.begin) == []


def test_the_purchases_move_with_their_hours(platform: Platform) -> None:
    """Also those that are not paid yet: their hours then come to the account."""
    account = add_student(platform.begin, EMAIL, at=platform.now, external_id="ana")
    guest = platform.paid_guest()
    pending = add_purchase(platform.begin, at=platform.now, state=PurchaseState.PENDING, student_id=guest)
    platform.link()
    platform.pay(pending)
    assert minutes_left(platform.begin, account) == 2 * STANDARD_MINUTES
    assert ledger.violations(platform.begin) == []


def test_what_was_used_moves_as_used(platform: Platform) -> None:
    account = add_student(platform.begin, EMAIL, at=platform.now, external_id="ana")
    guest = platform.paid_guest()
    platform.spend(guest, 90)
    platform.link()
    assert minutes_left(platform.begin, account) == STANDARD_MINUTES - 90
    assert platform.rows(CONSUMED, student=account) == [(90,)]
    assert ledger.violations(platform.begin) == []


def test_a_wish_that_comes_again_moves_nothing_twice(platform: Platform) -> None:
    account = add_student(platform.begin, EMAIL, at=platform.now, external_id="ana")
    platform.paid_guest()
    first = platform.wish()
    platform.follow(first)
    platform.follow(first)
    assert platform.wish() == first
    platform.follow(first)
    assert minutes_left(platform.begin, account) == STANDARD_MINUTES
    assert ledger.violations(platform.begin) == []


def test_an_address_stays_with_the_account_that_proved_it_first(platform: Platform) -> None:
    """A second account with the same proven address is a question for the platform, not for us to decide."""
    guest = platform.paid_guest()
    platform.link("ana")
    platform.link("eve")
    assert platform.account("eve") is None
    assert minutes_left(platform.begin, guest) == STANDARD_MINUTES


def test_an_account_without_guests_learns_its_proven_address(platform: Platform) -> None:
    add_student(platform.begin, "old@example.com", at=platform.now, external_id="ana")
    platform.link()
    account = platform.account()
    assert account is not None
    assert (account.email, account.email_verified) == (EMAIL, True)


def test_a_wish_without_anything_to_link_is_closed(platform: Platform) -> None:
    platform.link()
    assert platform.rows("SELECT due_at FROM student_link") == [(None,)]
    assert platform.account() is None


def test_payments_during_the_hand_over_lose_nothing(platform: Platform) -> None:
    """Credits and the hand-over lock in one order, so they neither deadlock nor pass each other."""
    account = add_student(platform.begin, EMAIL, at=platform.now, external_id="ana")
    guest = platform.paid_guest()
    pending = [
        add_purchase(platform.begin, at=platform.now, state=PurchaseState.PENDING, student_id=guest) for _ in range(12)
    ]
    link = platform.wish()
    threads = [threading.Thread(target=platform.pay, args=(purchase,)) for purchase in pending]
    threads.insert(6, threading.Thread(target=platform.follow, args=(link,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert minutes_left(platform.begin, account) == 13 * STANDARD_MINUTES
    assert minutes_left(platform.begin, guest) == 0
    assert ledger.violations(platform.begin) == []


def test_a_wish_that_kills_its_workers_becomes_a_dead_letter(platform: Platform) -> None:
    link = platform.wish()
    with platform.begin() as session:
        session.execute(text("UPDATE student_link SET attempts = 6"))
    platform.follow(link)
    assert platform.rows("SELECT kind FROM dead_letter") == [("student_link",)]
