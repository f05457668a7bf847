"""Claims on open rows: taken, renewed, resumed, and the three ways in which they end.

A claim is a lease with a token. Its time only says when others may try; safety rests on the token, which each ending
looks for under the row's lock. The instants are the database's `clock_timestamp()`, never a worker's clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Update, func, or_, select, update
from sqlalchemy import cast as sql_cast
from sqlmodel import Session, col

from billing.db import Begin
from billing.errors import LeaseLostError
from billing.ids import new_id
from billing.models import OpenWork
from billing.work.kinds import OPEN_KINDS
from billing.work.leases import LeaseTerms

Row = TypeVar("Row", bound=OpenWork)
ERROR_LENGTH = 500
HINTED_BY_ITS_MAKER = timedelta(seconds=2)
"""How long whoever makes a row due has to hint it himself, before the sweeper does."""


@dataclass(frozen=True, slots=True)
class Claim(Generic[Row]):
    """Rows as they were when taken, and the token by which they are ours."""

    rows: Sequence[Row]
    token: UUID

    @property
    def row(self) -> Row:
        return self.rows[0]


def database_now(wait: timedelta = timedelta()) -> ColumnElement[Any]:
    return sql_cast(func.clock_timestamp(), DateTime(timezone=True)) + wait


def claim(session: Session, model: type[Row], row_id: object, terms: LeaseTerms) -> Claim[Row] | None:
    """Take one row by its id; None where it is done, not due, or in other hands."""
    return _taken(session, _take(model, terms).where(_id(model) == row_id, _is_free(model)))


def claim_unless_worn_out(session: Session, model: type[Row], row_id: object, terms: LeaseTerms) -> Claim[Row] | None:
    """As `claim`; a row that has cost too many workers becomes a dead letter instead, and is None too."""
    taken = claim(session, model, row_id, terms)
    if taken is not None and is_worn_out(taken.row, terms):
        give_up(taken.row, taken.row.last_error or "lost by every worker that had it")
        return None
    return taken


def claim_batch(session: Session, model: type[Row], limit: int, terms: LeaseTerms) -> Claim[Row] | None:
    """Take the rows that have waited longest and were never tried: what was tried once is worked alone."""
    return _taken(session, _take_first(model, limit, terms, col(model.attempts) == 0))


def claim_tried(session: Session, model: type[Row], terms: LeaseTerms) -> Claim[Row] | None:
    """Take one row that was tried before: whatever became of its worker cannot happen to others with it."""
    return _taken(session, _take_first(model, 1, terms, col(model.attempts) > 0))


def renew(begin: Begin, tokens: Sequence[UUID], seconds: float) -> None:
    """Lengthen every claim that is still ours."""
    until = database_now(timedelta(seconds=seconds))
    with begin() as session:
        for kind in OPEN_KINDS:
            mine = col(kind.model.lease_token).in_(tokens)
            session.execute(_quiet(update(kind.model).where(mine).values(lease_until=until, hint_at=until)))


def resume(session: Session, taken: Claim[Row]) -> list[Row]:
    """Lock the rows of a claim, in the order of their ids.

    Raises LeaseLostError where none is ours any more; rows that others took meanwhile are left out.
    """
    model = type(taken.row)
    mine = select(model).where(col(model.lease_token) == taken.token).order_by(_id(model))
    rows = list(session.scalars(mine.with_for_update().execution_options(populate_existing=True)))
    if not rows:
        raise LeaseLostError(f"{model.kind}: the claim is in other hands")
    return rows


def is_worn_out(row: OpenWork, terms: LeaseTerms) -> bool:
    """Whether so many claims of this row were lost that it must be what kills its workers."""
    return row.attempts - 1 - row.deferrals >= terms.lost_claims


def close(row: OpenWork) -> None:
    """There is nothing left to do for this row."""
    row.due_at = row.hint_at = None
    row.lease_until = row.lease_token = None
    row.hints = 0


def put_off(row: OpenWork, wait: timedelta, reason: str) -> None:
    """Hand the row back: it is due again after `wait`."""
    row.due_at = row.hint_at = database_now(wait)  # type: ignore[assignment]  # an expression, until it is flushed
    row.lease_until = row.lease_token = None
    row.hints = 0
    row.deferrals += 1
    row.troubled_since = row.troubled_since or database_now()  # type: ignore[assignment]  # as above
    row.last_error = reason[:ERROR_LENGTH]


def hand_back(row: OpenWork, wait: timedelta, reason: str) -> None:
    """It could not be tried at all: due again after `wait`, and nothing of this is counted."""
    put_off(row, wait, reason)
    row.attempts -= 1
    row.deferrals -= 1


def rest(row: OpenWork, wait: timedelta) -> None:
    """Nothing was wrong, and after `wait` it is looked at again: its counts begin anew."""
    row.due_at = row.hint_at = database_now(wait)  # type: ignore[assignment]  # an expression, until it is flushed
    row.lease_until = row.lease_token = None
    row.hints = row.attempts = row.deferrals = 0
    row.troubled_since = row.last_error = None


def put_off_or_give_up(row: OpenWork, wait: timedelta | None, reason: str) -> None:
    """`wait` None: it has been put off as often as it may be."""
    if wait is None:
        give_up(row, reason)
    else:
        put_off(row, wait, reason)


def wake(session: Session, model: type[Row], which: ColumnElement[bool]) -> Sequence[Any]:
    """What was put off is due at once and its waits begin anew; the ids of these rows, which are to be hinted.

    A row that somebody holds is left out: he looks at what has changed before he hands it back, or marks it anew.
    """
    asleep = select(_id(model)).where(which, col(model.due_at) > database_now(), col(model.lease_token).is_(None))
    first = asleep.with_for_update(skip_locked=True).cte("asleep")
    due = update(model).values(
        due_at=database_now(),
        hint_at=database_now(HINTED_BY_ITS_MAKER),
        attempts=model.attempts - model.deferrals,
        deferrals=0,
    )
    return session.scalars(_quiet(due.where(_id(model) == first.c.id).returning(_id(model)))).all()


def break_up(session: Session, taken: Claim[Row]) -> None:
    """A batch that broke as a whole: its rows are tried now, and what was tried is worked alone."""
    for row in resume(session, taken):
        put_off(row, timedelta(), "its batch broke")


def give_up(row: OpenWork, reason: str) -> None:
    """Close the row as a dead letter: found, shown and replayed by people."""
    close(row)
    row.gave_up_at = database_now()  # type: ignore[assignment]  # an expression, until it is flushed
    row.last_error = reason[:ERROR_LENGTH]


def _id(model: type[OpenWork]) -> Any:
    return model.__table__.c.id  # type: ignore[attr-defined]  # every kind of open work has an id of its own type


def _is_free(model: type[OpenWork]) -> ColumnElement[bool]:
    unleased = or_(col(model.lease_until).is_(None), col(model.lease_until) < database_now())
    return (col(model.due_at) <= database_now()) & unleased


def _take(model: type[Row], terms: LeaseTerms) -> Update:
    until = database_now(timedelta(seconds=terms.seconds))
    return update(model).values(
        attempts=model.attempts + 1, lease_token=new_id(), lease_until=until, hint_at=until, hints=0
    )


def _take_first(model: type[Row], limit: int, terms: LeaseTerms, which: ColumnElement[bool]) -> Update:
    waiting = select(_id(model)).where(_is_free(model), which).order_by(col(model.due_at), _id(model)).limit(limit)
    first = waiting.with_for_update(skip_locked=True).cte("first")  # a subquery could be run, and lock, more than once
    return _take(model, terms).where(_id(model) == first.c.id)


def _taken(session: Session, statement: Update) -> Claim[Any] | None:
    model = statement.entity_description["entity"]
    rows = session.scalars(_quiet(statement.returning(model))).all()
    if not rows:
        return None
    token = rows[0].lease_token
    return Claim(sorted(rows, key=lambda row: row.id), token)


def _quiet(statement: Any) -> Any:
    """No object of the session is to be brought up to date: rows of a claim are read anew when it is resumed."""
    return statement.execution_options(synchronize_session=False, populate_existing=True)
