"""What people have at hand when they look for something: an address, a name, a number, an id of ours or of Stripe's."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, any_, false, func, or_, select
from sqlmodel import Session, col

from billing.models import Purchase, PurchaseTransition, Student, WebhookEvent

MOST_STUDENTS = 200
LARGEST = 2**63 - 1
TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+", re.ASCII)
REQUEST = re.compile(r"[0-9a-f]{32}", re.ASCII)
OF_STRIPE = re.compile(r"(evt|pi|in|ch|re|pyr|du|dp|sub|cus|pm|price|prod|txn)_[A-Za-z0-9_]+", re.ASCII)

Clause = ColumnElement[bool]


def number_of(term: str) -> int | None:
    """With or without a sign before it that people write."""
    digits = term.removeprefix("#")
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= len(str(LARGEST))
    return int(digits) if is_number and int(digits) <= LARGEST else None


def uuid_of(term: str) -> UUID | None:
    try:
        return UUID(term) if len(term) >= 32 else None
    except ValueError:
        return None


def of_purchase(column: Any) -> Callable[[str], Iterator[Clause]]:
    """Rows of a purchase, by its transaction, its task, or Stripe's ids of its payment."""

    def clauses(term: str) -> Iterator[Clause]:
        number, task = number_of(term), uuid_of(term)
        if number is not None:
            yield column == select(col(Purchase.id)).where(col(Purchase.transaction_id) == number).scalar_subquery()
        if task is not None:
            yield column == task
        if OF_STRIPE.fullmatch(term):
            yield column == _paid_by(term).scalar_subquery()

    return clauses


def _paid_by(term: str) -> Select[Any]:
    column = Purchase.stripe_invoice_id if term.startswith("in_") else Purchase.payment_intent_id
    return select(col(Purchase.id)).where(col(column) == term)


def _among(column: Any, found: Select[Any]) -> Clause:
    """As an array, for beside other conditions PostgreSQL takes no index for a subquery."""
    among: Clause = column == any_(func.array(found.scalar_subquery(), type_=ARRAY(column.type)))
    return among


def moved_by_event(term: str) -> Iterator[Clause]:
    """Purchases that an event of Stripe moved."""
    if term.startswith("evt_"):
        moved = select(col(PurchaseTransition.purchase_id)).where(col(PurchaseTransition.cause) == term)
        yield _among(col(Purchase.id), moved)


def of_type(term: str) -> Iterator[Clause]:
    """Events of a type, which has a dot as nothing else has; no index is by it, so that others are not looked for."""
    if TYPE.fullmatch(term):
        yield col(WebhookEvent.type) == term


def of_request(term: str) -> Iterator[Clause]:
    """Events by the request that brought them, whose id is written without hyphens as our own are; as with types."""
    if REQUEST.fullmatch(term):
        yield col(WebhookEvent.request_id) == term


def moved_purchase(term: str) -> Iterator[Clause]:
    """Events that moved a purchase."""
    number, task = number_of(term), uuid_of(term)
    which: Clause | None = None
    if number is not None:
        which = col(Purchase.transaction_id) == number
    elif task is not None:
        which = col(Purchase.id) == task
    elif OF_STRIPE.fullmatch(term) and not term.startswith("evt_"):
        which = or_(col(Purchase.payment_intent_id) == term, col(Purchase.stripe_invoice_id) == term)
    if which is not None:
        causes = (
            select(col(PurchaseTransition.cause))
            .join(Purchase, col(Purchase.id) == col(PurchaseTransition.purchase_id))
            .where(which)
        )
        yield _among(col(WebhookEvent.stripe_event_id), causes)


@dataclass(frozen=True)
class Search:
    """Columns by how they are searched: `exact` ones by the whole text, `beginnings` of words and addresses anywhere.

    `whose` is the column of the student's number; `more` are conditions that a table has of its own.
    """

    exact: Sequence[Any] = ()
    numbers: Sequence[Any] = ()
    uuids: Sequence[Any] = ()
    texts: Sequence[Any] = ()
    whose: Any = None
    more: Sequence[Callable[[str], Iterator[Clause]]] = ()

    def students(self, session: Session, term: str) -> Sequence[int]:
        """Whom the term names. They are found first: their rows then are by an index, however many others there are."""
        words = cleaned(term)
        names_nobody = number_of(words) is not None or uuid_of(words) is not None or OF_STRIPE.fullmatch(words)
        if self.whose is None or names_nobody:
            return ()
        theirs = or_(false(), *_texts([col(Student.email), col(Student.name)], words))
        return session.execute(select(col(Student.id)).where(theirs).limit(MOST_STUDENTS)).scalars().all()

    def clause(self, term: str, students: Sequence[int]) -> Clause:
        """Of rows that fit, or are of one of these students; nothing fits a term that no column can hold."""
        found = [*self._clauses(cleaned(term))]
        if students:
            found.append(self.whose.in_(students))
        return or_(false(), *found)

    def _clauses(self, term: str) -> Iterator[Clause]:
        number, uuid = number_of(term), uuid_of(term)
        if number is not None:
            yield from (column == number for column in self.numbers)
        if uuid is not None:
            yield from (column == uuid for column in self.uuids)
        if " " not in term and "@" not in term:  # no name of a program looks like an address
            yield from (column == term for column in self.exact)
        if number is None and uuid is None and not OF_STRIPE.fullmatch(term):
            yield from _texts(self.texts, term)
        for conditions in self.more:
            yield from conditions(term)


def cleaned(term: str) -> str:
    """No text of the database has the character that is left out."""
    return term.strip().replace("\0", "")


def _texts(columns: Sequence[Any], term: str) -> Iterator[Clause]:
    """Not a pattern: what people write may hold its characters."""
    for column in columns if term else ():
        yield func.strpos(func.lower(column), term.lower()) > 0
