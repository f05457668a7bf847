"""An account that proved an address gets what guests bought for it: wished at the door, done by a worker.

Where the platform's account is new here, the guest becomes it; where both are known, the guest's lots and purchases
move to the account. An address that another account proved before stays with that one.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import structlog
from sqlalchemy import and_, or_, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Session, col, select

from billing import ledger, work
from billing.consumptions.hand_over import hand_over as hand_over_consumptions
from billing.customers.hand_over import hand_over_subscriptions
from billing.db import Begin, repeated
from billing.messages import LinkStudent, Message
from billing.models import Purchase, Student, StudentLink

log = structlog.get_logger(__name__)

REQUEST = text("""
    INSERT INTO student_link (id, external_id, email, name, request_id, requested_at, due_at, hint_at)
    VALUES (:id, :external_id, :email, :name, :request_id, :now,
        clock_timestamp(), clock_timestamp() + interval '2 seconds')
    ON CONFLICT (external_id, email) DO UPDATE
    SET requested_at = excluded.requested_at, due_at = coalesce(student_link.due_at, excluded.due_at),
        hint_at = coalesce(student_link.hint_at, excluded.hint_at), gave_up_at = NULL
    RETURNING id
""")


# A guest of a proven address, unless there is nothing left to hand over or another account proved the address before.
NEED = text("""
    SELECT CASE
        WHEN EXISTS (SELECT FROM student WHERE email = :email AND email_verified AND external_id <> :external_id)
            THEN 'none'
        WHEN NOT EXISTS (SELECT FROM student WHERE external_id = :external_id) THEN 'adoption'
        WHEN EXISTS (SELECT FROM hour_lot WHERE student_id = guest.id)
            OR EXISTS (SELECT FROM purchase WHERE student_id = guest.id) THEN 'hand_over'
        ELSE 'none' END
    FROM student AS guest WHERE guest.external_id IS NULL AND guest.email = :email
""")
IS_FOLLOWED = text("SELECT due_at IS NULL FROM student_link WHERE id = :id")


class Need(StrEnum):
    """What an account lacks of the hours that guests bought for its proven address."""

    NONE = "none"
    ADOPTION = "adoption"
    """The account is new here: the guest is to become it, and can be shown as it already."""
    HAND_OVER = "hand_over"
    """Both are known: until the guest's lots have moved, the account does not show them."""


async def link_need(connection: AsyncConnection, *, external_id: str, email: str) -> Need:
    asked = await connection.execute(NEED, {"external_id": external_id, "email": email})
    return Need(asked.scalar_one_or_none() or Need.NONE)


async def is_link_followed(connection: AsyncConnection, link_id: UUID) -> bool:
    return bool((await connection.execute(IS_FOLLOWED, {"id": link_id})).scalar_one_or_none())


async def request_link(
    connection: AsyncConnection,
    *,
    link_id: UUID,
    external_id: str,
    email: str,
    name: str,
    request_id: str,
    now: datetime,
) -> UUID:
    """Note that a verified caller was here whose address has guests' hours; the id of what a worker will see to."""
    given = {"id": link_id, "external_id": external_id, "email": email, "name": name}
    wish = await connection.execute(REQUEST, {**given, "request_id": request_id, "now": now})
    found: UUID = wish.scalar_one()
    return found


def follow_link(begin: Begin, leases: work.Leases, message: LinkStudent, *, now: datetime) -> list[Message]:
    """See to one wish; for one that was seen to it does nothing."""
    with begin() as session:
        claim = work.claim_unless_worn_out(session, StudentLink, message.link_id, leases.terms)
    if claim is not None:
        taken = claim
        with leases.held(taken.token):
            repeated(begin, lambda session: _follow(session, taken, now))
    return []


def _follow(session: Session, claim: work.Claim[StudentLink], now: datetime) -> None:
    (link,) = work.resume(session, claim)
    account, guest = _lock_both(session, link)
    if _is_proven_by_another(session, link):
        log.warning("address_of_another_account", link_id=str(link.id))
    elif account is None and guest is not None:
        guest.external_id, guest.email_verified = link.external_id, True
    elif account is not None:
        account.email, account.email_verified = link.email, True
        if guest is not None:
            _hand_over(session, guest, account, now)
    work.close(link)


def _lock_both(session: Session, link: StudentLink) -> tuple[Student | None, Student | None]:
    of_guest = and_(col(Student.external_id).is_(None), col(Student.email) == link.email)
    either = select(Student).where(or_(col(Student.external_id) == link.external_id, of_guest))
    # Without the key: rows that refer to these students, credits above all, need not wait for us, nor we for them.
    locked = either.order_by(col(Student.id)).with_for_update(key_share=True)
    found: Sequence[Student] = session.exec(locked).all()
    account = next((student for student in found if student.external_id), None)
    guest = next((student for student in found if not student.external_id), None)
    return account, guest


def _is_proven_by_another(session: Session, link: StudentLink) -> bool:
    proven = select(Student.external_id).where(Student.email == link.email, col(Student.email_verified))
    return session.exec(proven).first() not in (None, link.external_id)


def _hand_over(session: Session, guest: Student, account: Student, now: datetime) -> None:
    """Subscriptions, purchases and consumptions, balances, lots: the order in which everybody locks."""
    if guest.id is not None and account.id is not None:
        hand_over_subscriptions(session, guest.id, account.id)
    theirs = select(Purchase).where(Purchase.student_id == guest.id).order_by(col(Purchase.id)).with_for_update()
    for purchase in session.exec(theirs.execution_options(populate_existing=True)):
        purchase.student_id = account.id
    session.flush()
    if guest.id is not None and account.id is not None:
        hand_over_consumptions(session, guest.id, account.id, at=now)
        ledger.transfer_all(session, guest.id, account.id, at=now)
    log.info("guest_handed_over", guest=guest.id, student=account.id)
