"""Alarms for disputes whose evidence is due soon: a case 7, 3 and 1 days ahead, each once."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from billing import cases
from billing.db import Begin
from billing.messages import FollowUp
from billing.models import Dispute

DAYS_AHEAD = (1, 3, 7)
UNANSWERED = ("needs_response", "warning_needs_response")
"""Stripe, "The Dispute object": statuses that wait for evidence of ours."""


def watch_disputes(begin: Begin, *, now: datetime) -> Sequence[FollowUp]:
    """The nearest alarm of each dispute only: late news is told once, not three times."""
    with begin() as session:
        for dispute in _due(session, now):
            _alarm(session, dispute, now)
    return []


def _due(session: Session, now: datetime) -> Sequence[Dispute]:
    soon = (
        col(Dispute.decided_at).is_(None),
        col(Dispute.status).in_(UNANSWERED),
        col(Dispute.evidence_due_at) > now,
        col(Dispute.evidence_due_at) <= now + timedelta(days=max(DAYS_AHEAD)),
    )
    return session.exec(select(Dispute).where(*soon).order_by(col(Dispute.evidence_due_at))).all()


def _alarm(session: Session, dispute: Dispute, now: datetime) -> None:
    """Once for each date: an inquiry that becomes a dispute has another one."""
    due = dispute.evidence_due_at
    if due is None:
        return
    days = next(days for days in DAYS_AHEAD if due - now <= timedelta(days=days))
    cases.open_case(
        session,
        "evidence_due",
        f"{dispute.stripe_dispute_id}:{due:%Y-%m-%d}:{days}",
        purchase_id=dispute.purchase_id,
        detail=f"evidence is due at {due:%Y-%m-%d %H:%M} UTC",
        at=now,
    )
