"""Sweeps that staff start, and take back."""

from dataclasses import asdict

from sqlmodel import Session

from billing.expiry.sweep import open_run
from billing.expiry.undo import undo_sweep
from billing.models import StaffAct
from billing.staff.effects import Context, Effect
from billing.staff.wishes import ProcessExpired, UndoSweep
from billing.states import SweepTrigger


def process_expired(session: Session, act: StaffAct, context: Context) -> Effect:
    """Open a run; what it writes off is in its row, and grows with each chunk."""
    wish = ProcessExpired.model_validate(act.parameters)
    hints = open_run(session, SweepTrigger.STAFF, grace_hours=wish.grace_hours, now=context.now, act_id=act.id)
    (run_id,) = (hint.run_id for hint in hints)
    return Effect(None, {"run_id": run_id, "grace_hours": wish.grace_hours}, hints)


def take_back_sweep(session: Session, act: StaffAct, context: Context) -> Effect:
    """What the run wrote off comes back, as far as it is still expired."""
    wish = UndoSweep.model_validate(act.parameters)
    restored = undo_sweep(session, wish.run_id, at=context.now)
    return Effect({"run_id": wish.run_id}, {"run_id": wish.run_id, **asdict(restored)})
