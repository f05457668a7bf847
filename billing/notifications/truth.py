"""Whether what was noted is still true, of whom, and in which figures: asked when its mail is about to be written.

A lot may have been extended, emptied or handed over since, hours may have been bought, or its owner may want no mail.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping, text
from sqlmodel import Session

from billing.models import Notification
from billing.notifications.warn import LATEST, LITTLE, LOT_UNTIL, SPENDABLE, UNSWEPT
from billing.reads.packages import BOUGHT
from billing.states import NotificationKind

_N = NotificationKind
TIGHTER: Mapping[NotificationKind, tuple[NotificationKind, ...]] = {
    _N.EXPIRES_IN_A_WEEK: (_N.EXPIRES_IN_DAYS, _N.EXPIRES_TOMORROW),
    _N.EXPIRES_IN_DAYS: (_N.EXPIRES_TOMORROW,),
    _N.EXPIRES_TOMORROW: (),
}
"""Of the same end of the same lot: where one of these is noted, the looser one says nothing new."""

# The student is whoever has the lot now. Where that is not the one for whom this was noted, and the same was noted for
# the one who has it, that one is told by his own.
LOT = text(f"""
    SELECT hour_lot.expires_at, hour_lot.minutes_left, hour_lot.minutes_expired, {LOT_UNTIL} AS fact,
        coalesce(version.name, initcap(hour_lot.origin)) AS plan_name,
        student.name, student.email, student.is_warned,
        EXISTS (
            SELECT FROM notification AS other
            WHERE other.subject = :subject AND other.id <> :id AND (
                (other.topic = :topic AND other.student_id = hour_lot.student_id)
                OR other.topic = ANY(CAST(:tighter AS text[])))
        ) AS is_told_by_another
    FROM hour_lot JOIN student ON student.id = hour_lot.student_id {BOUGHT}
    WHERE hour_lot.id = :lot
""")  # noqa: S608  # our own words

# A guest whose lots were handed over has none any more, and is nobody to be told that.
BALANCE = text(f"""
    SELECT {SPENDABLE} AS minutes, 'credit\\:' || latest.id AS fact, student.name, student.email, student.is_warned
    FROM student
    JOIN student_balance AS balance ON balance.student_id = student.id
    CROSS JOIN LATERAL ({UNSWEPT}) AS unswept
    CROSS JOIN LATERAL ({LATEST}) AS latest
    WHERE student.id = :student AND EXISTS (SELECT FROM hour_lot WHERE hour_lot.student_id = student.id)
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Told:
    """What a mail says, and to whom; `expires_at` is of a lot, exclusive, and None where it is about a balance."""

    topic: NotificationKind
    name: str
    email: str
    minutes: int
    plan_name: str = ""
    expires_at: datetime | None = None


def what_is_true(session: Session, noted: Notification, *, now: datetime) -> Told | None:
    """None where it is not true any more, is told otherwise, or is not wanted."""
    if noted.topic in (NotificationKind.LOW_BALANCE, NotificationKind.EMPTY_BALANCE):
        return _of_balance(session, noted, now)
    return _of_lot(session, noted, now)


def _of_lot(session: Session, noted: Notification, now: datetime) -> Told | None:
    given = {
        "id": noted.id,
        "topic": noted.topic.value,
        "subject": noted.subject,
        "lot": noted.facts["lot_id"],
        "tighter": [topic.value for topic in TIGHTER.get(noted.topic, ())],
    }
    lot = session.execute(LOT, given).mappings().one_or_none()
    if lot is None or not lot["is_warned"] or lot["is_told_by_another"] or lot["expires_at"] is None:
        return None
    minutes = _lost(lot, noted.facts, now) if noted.topic is NotificationKind.EXPIRED else _at_stake(lot, noted, now)
    if minutes <= 0:
        return None
    expires_at = lot["expires_at"].astimezone(UTC)
    return Told(noted.topic, lot["name"], lot["email"], minutes, lot["plan_name"], expires_at)


def _at_stake(lot: RowMapping, noted: Notification, now: datetime) -> int:
    """What is left of a lot that still ends when it was noted to end."""
    return int(lot["minutes_left"]) if lot["fact"] == noted.subject and lot["expires_at"] > now else 0


def _lost(lot: RowMapping, facts: Mapping[str, Any], now: datetime) -> int:
    """What was written off, unless it was given back, or the lot was extended."""
    is_lost = lot["expires_at"] <= now and lot["minutes_expired"] >= facts["minutes"]
    return int(facts["minutes"]) if is_lost else 0


def _of_balance(session: Session, noted: Notification, now: datetime) -> Told | None:
    student = session.execute(BALANCE, {"student": noted.student_id, "now": now}).mappings().one_or_none()
    if student is None or not student["is_warned"] or student["fact"] != noted.subject:
        return None
    minutes = int(student["minutes"])
    is_true = 0 < minutes < LITTLE if noted.topic is NotificationKind.LOW_BALANCE else minutes <= 0
    return Told(noted.topic, student["name"], student["email"], minutes) if is_true else None
