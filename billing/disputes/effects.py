"""What each state of a dispute does to the hours and the money of its purchase, which is locked."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from billing import ledger, packages
from billing.disputes import freezing
from billing.disputes.postings import post, tell
from billing.models import Dispute, Purchase
from billing.purchases import lifecycle
from billing.purchases.news import Context
from billing.refunds.holding import lock_lot
from billing.refunds.shares import share_of
from billing.stale.marks import mark
from billing.states import DisputeState, EntryKind, Part, PurchaseState, StaleKind, Step

DECIDED = frozenset({DisputeState.WON, DisputeState.LOST, DisputeState.CLOSED})


def open_inquiry(session: Session, purchase: Purchase, dispute: Dispute, *, at: datetime) -> None:
    """No money has moved, so no hours do; staff should answer before it becomes a dispute."""
    tell(session, purchase, dispute, "dispute_inquiry", "a bank asks about this payment", at)


def freeze(session: Session, purchase: Purchase, dispute: Dispute, context: Context) -> None:
    """Nobody can spend what is left of exactly this purchase's lot; lessons booked from it are listed for staff."""
    lot, at = lock_lot(session, purchase), context.now
    dispute.frozen_at = at
    booked: Sequence[str] = []
    if lot is not None:
        booked = freezing.booked_sessions(session, lot)
        freezing.freeze(session, purchase, dispute, lot, source=_source(dispute, "frozen"), at=at)
    detail = f"{dispute.reason}, {dispute.amount_cents} cents; booked sessions: {', '.join(booked) or 'none'}"
    tell(session, purchase, dispute, "dispute_opened", detail, at)
    lifecycle.note_step(session, purchase, Step.DISPUTED, cause=dispute.stripe_dispute_id, at=at)


def win(session: Session, purchase: Purchase, dispute: Dispute, context: Context) -> None:
    """The minutes are back, also those that were lost before, and the days without them are added to their life."""
    lot, at = lock_lot(session, purchase), context.now
    restored = _restore(session, purchase, dispute, lot, at)
    if lot is not None:
        open_ones = _open_disputes(session, purchase)
        source = _source(dispute, f"{dispute.state}:thawed")
        back = restored + freezing.thaw(session, purchase, [dispute, *open_ones], lot, source=source, at=at)
        if open_ones:
            _keep(session, purchase, dispute, open_ones[0], lot, back, at)
        elif back:
            _give_days_back(session, dispute, lot, context)
    lifecycle.note_step(session, purchase, Step.DISPUTE_WON, cause=dispute.stripe_dispute_id, at=at)


def lose(session: Session, purchase: Purchase, dispute: Dispute, context: Context) -> None:
    """The money is gone, and its share of the hours with it; those that are not there any more are owed."""
    lot, at = lock_lot(session, purchase), context.now
    if lot is None:
        take_loss(session, purchase, dispute, None, at)
    else:
        open_ones = _open_disputes(session, purchase)
        source = _source(dispute, f"{dispute.state}:thawed")
        thawed = freezing.thaw(session, purchase, [dispute, *open_ones], lot, source=source, at=at)
        taken = take_loss(session, purchase, dispute, lot, at, thawed=thawed)
        if open_ones:
            _keep(session, purchase, dispute, open_ones[0], lot, thawed - taken, at)
    lifecycle.note_step(session, purchase, Step.DISPUTE_LOST, cause=dispute.stripe_dispute_id, at=at)


def lose_more(session: Session, purchase: Purchase, dispute: Dispute, at: datetime) -> None:
    """A refund that was on its way when it was lost has failed since: then its money is lost too."""
    take_loss(session, purchase, dispute, lock_lot(session, purchase), at)


def close(session: Session, purchase: Purchase, dispute: Dispute, context: Context) -> None:
    """An inquiry came to nothing; nothing was frozen, or it is given back."""
    if dispute.frozen_at is not None:
        win(session, purchase, dispute, context)


def take_loss(
    session: Session, purchase: Purchase, dispute: Dispute, lot: ledger.Lot | None, at: datetime, *, thawed: int = 0
) -> int:
    """Take what is not taken yet, as far as the price goes; returns the minutes.

    `thawed` ones are left again, though the lot in hand does not say so.
    """
    open_cents = purchase.price_cents - purchase.refunded_cents - purchase.refunding_cents
    cents = min(dispute.amount_cents - dispute.lost_cents, open_cents)
    if cents == 0:
        return 0
    dispute.lost_cents += cents
    taken = 0 if lot is None else _take_hours(session, purchase, dispute, lot, cents, at, thawed)
    purchase.refunded_cents += cents
    if purchase.refunded_cents == purchase.price_cents and lifecycle.can_move(purchase.state, PurchaseState.REFUNDED):
        lifecycle.move_to(purchase, PurchaseState.REFUNDED)
    return taken


def freeze_returned(
    session: Session, purchase: Purchase, lot: ledger.Lot, minutes: int, *, source: str, at: datetime
) -> None:
    """Minutes that came back to a lot whose payment is disputed are frozen like the others."""
    open_ones = _open_disputes(session, purchase)
    if open_ones and minutes:
        dispute = open_ones[0]
        dispute.minutes_frozen += minutes
        post(session, purchase, lot, [(EntryKind.FREEZE, source, -minutes, Part.FROZEN)], at)


def ask_about_losses(session: Session, purchase: Purchase, *, request_id: str, at: datetime) -> None:
    """Money that did not go after all may be lost to a dispute that found it on its way: that one is asked for."""
    lost = select(Dispute.stripe_dispute_id).where(
        Dispute.purchase_id == purchase.id,
        col(Dispute.state) == DisputeState.LOST,
        col(Dispute.lost_cents) < col(Dispute.amount_cents),
    )
    for dispute_id in session.exec(lost.order_by(col(Dispute.id))).all():
        mark(session, StaleKind.DISPUTE, dispute_id, purchase_id=purchase.id, request_id=request_id, at=at)


Effect = Callable[[Session, Purchase, Dispute, Context], None]
EFFECTS: Mapping[DisputeState, Effect] = {
    DisputeState.OPEN: freeze,
    DisputeState.WON: win,
    DisputeState.LOST: lose,
    DisputeState.CLOSED: close,
}


def _give_days_back(session: Session, dispute: Dispute, lot: ledger.Lot, context: Context) -> None:
    """The day on which so much time is over is theirs as well, as every last day is."""
    if dispute.frozen_at is not None and lot.expires_at is not None:
        due = lot.expires_at + (context.now - dispute.frozen_at)
        end = packages.end_of_day(due, context.deployment.zone)
        source = _source(dispute, f"{dispute.state}:extended")
        ledger.extend(session, [ledger.Extension(lot.id, end)], source=source, at=context.now)


def _open_disputes(session: Session, purchase: Purchase) -> Sequence[Dispute]:
    """Locked with their purchase: nobody else changes them."""
    theirs = select(Dispute).where(Dispute.purchase_id == purchase.id, col(Dispute.state) == DisputeState.OPEN)
    return session.exec(theirs.order_by(col(Dispute.opened_at), col(Dispute.id))).all()


def _keep(
    session: Session,
    purchase: Purchase,
    decided: Dispute,
    still_open: Dispute,
    lot: ledger.Lot,
    minutes: int,
    at: datetime,
) -> None:
    """What one dispute leaves stays frozen for another one that is open, as long as it was already."""
    freezing.freeze(
        session, purchase, still_open, lot, source=_source(decided, f"{decided.state}:kept"), at=at, more=minutes
    )
    if decided.frozen_at is not None and still_open.frozen_at is not None:
        still_open.frozen_at = min(decided.frozen_at, still_open.frozen_at)


def _source(dispute: Dispute, word: str) -> str:
    return f"dispute:{dispute.stripe_dispute_id}:{word}"


def _take_hours(
    session: Session, purchase: Purchase, dispute: Dispute, lot: ledger.Lot, cents: int, at: datetime, thawed: int
) -> int:
    share = share_of(session, purchase, lot, cents, at=at, frozen=thawed)
    dispute.minutes_lost += share.minutes
    dispute.minutes_short += share.short
    # Named after the sum, for a dispute can lose more later.
    source = _source(dispute, f"lost:{dispute.lost_cents}")
    post(session, purchase, lot, [(EntryKind.REFUND, source, -share.minutes, Part.REFUNDED)], at)
    ledger.return_money(session, lot.student_id, cents=cents, minutes_owed=share.short)
    if share.short:
        detail = f"{share.short} minutes were used before the dispute was lost"
        tell(session, purchase, dispute, "dispute_of_used_hours", detail, at)
    return share.minutes


def _restore(session: Session, purchase: Purchase, dispute: Dispute, lot: ledger.Lot | None, at: datetime) -> int:
    """Undo a loss: won after all. Returns the minutes."""
    cents, minutes, short = dispute.lost_cents, dispute.minutes_lost, dispute.minutes_short
    if cents == 0:
        return 0
    dispute.lost_cents = dispute.minutes_lost = dispute.minutes_short = 0
    purchase.refunded_cents -= cents
    lifecycle.take_money_back(purchase)
    if lot is None:
        return 0
    source = _source(dispute, "restored")
    post(session, purchase, lot, [(EntryKind.REFUND, source, minutes, Part.REFUNDED)], at)
    ledger.return_money(session, lot.student_id, cents=-cents, minutes_owed=-short)
    return minutes
