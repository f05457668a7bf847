"""Undoing a sweep."""

from datetime import datetime

from sqlalchemy import update
from sqlmodel import Session, col, select

from billing.errors import RefusedError
from billing.ledger.expiries import Restored, restore_run
from billing.models import SweepRun
from billing.states import SweepState


class SweepUnknownError(RefusedError):
    """There is no sweep of that number."""

    error_type = "not_found"


class SweepRunningError(RefusedError):
    """What is not finished cannot be undone yet."""

    error_type = "invalid_state"


class SweepUndoneError(RefusedError):
    """It was undone before."""

    error_type = "invalid_state"


def undo_sweep(session: Session, run_id: int, *, at: datetime) -> Restored:
    """Give back what a finished run wrote off, as much as is still expired in each lot.

    The lots stay expired by their date: nobody can spend them, and the next sweep takes them again unless they are
    extended or the grace is made longer before. Raises SweepUnknownError, SweepRunningError or SweepUndoneError.
    """
    wanted = select(SweepRun).where(SweepRun.id == run_id).with_for_update()
    run = session.exec(wanted.execution_options(populate_existing=True)).one_or_none()
    if run is None:
        raise SweepUnknownError(f"there is no sweep {run_id}")
    if run.state is SweepState.RUNNING:
        raise SweepRunningError(f"sweep {run_id} is not finished")
    if run.state is SweepState.UNDONE:
        raise SweepUndoneError(f"sweep {run_id} was undone already")
    restored = restore_run(session, run_id, at=at)
    session.execute(update(SweepRun).where(col(SweepRun.id) == run_id).values(state=SweepState.UNDONE, undone_at=at))
    return restored
