"""The one customer of a student at Stripe, made by whoever needs it first.

The row is written first, and with it the key of the call: whoever calls, and however often, makes the same customer.
Where a call was never answered and its key is no longer to be trusted, the customer is looked for; only when it is
certainly not there does the next attempt begin, with another key.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from billing.gateway import CLOCKS_DIFFER, OutcomeUnknownError
from billing.ids import installation_mark, new_id, stripe_key
from billing.models import StripeCustomer
from billing.purchases.calls import KEY_LIFE
from billing.purchases.desk import Desk
from billing.recurring import CustomerThere

CREATE_CUSTOMER = "customer.create"
TRUSTED = timedelta(minutes=5)
"""A key that has no answer after so long may never get one, for Stripe repeats a failure for as long as it knows the
key: from then on a failed call is followed by a look."""
ROUNDS = 4
"""One to look, one to call with the next key, one to read what somebody else kept, and one more."""


def ensure_customer(desk: Desk, student_id: int) -> str:
    """The id of the student's customer at Stripe, which is made now where there is none. Call it in no transaction.

    However many ask at once, they get the same one. Raises GatewayError.
    """
    for _ in range(ROUNDS):
        with desk.begin() as session:
            row = _prepared(session, student_id, at=desk.now)
        if row.stripe_customer_id is not None:
            return row.stripe_customer_id
        making = _Making(desk, row)
        customer = making.customer()
        with desk.begin() as session:
            making.keep(session, customer)
    raise OutcomeUnknownError("The payment service's answers contradict each other; we go on trying.")


def _prepared(session: Session, student_id: int, *, at: datetime) -> StripeCustomer:
    """Somebody else's row, where it was written first."""
    known = session.get(StripeCustomer, student_id)
    if known is not None:
        return known
    row = insert(StripeCustomer).values(student_id=student_id, id=new_id(), attempt=1, prepared_at=at)
    session.execute(row.on_conflict_do_nothing(index_elements=["student_id"]))
    return session.get_one(StripeCustomer, student_id)


@dataclass(frozen=True, slots=True)
class _Making:
    """One attempt at a customer, as its row was when it began."""

    desk: Desk
    row: StripeCustomer

    def customer(self) -> CustomerThere | None:
        """The one of this attempt; None is the certainty that there is none."""
        age = self.desk.now - self.row.prepared_at
        if age >= KEY_LIFE:
            return self._look()
        try:
            return self.desk.gateway.create_customer(self._mark, self._key)
        except OutcomeUnknownError:
            if age < TRUSTED:
                raise
        return self._look()

    def keep(self, session: Session, customer: CustomerThere | None) -> None:
        """Does nothing where somebody else has kept a customer, or has begun another attempt."""
        kept: dict[str, object] = {"attempt": self.row.attempt + 1, "prepared_at": self.desk.now}
        if customer is not None:
            kept = {"stripe_customer_id": customer.id, "made_at": self.desk.now}
        session.execute(
            update(StripeCustomer)
            .where(
                col(StripeCustomer.student_id) == self.row.student_id,
                col(StripeCustomer.attempt) == self.row.attempt,
                col(StripeCustomer.stripe_customer_id).is_(None),
            )
            .values(**kept)
        )

    def _look(self) -> CustomerThere | None:
        then, now = self.row.prepared_at, self.desk.now  # in that order, unless a clock was set back meanwhile
        since, until = min(then, now) - CLOCKS_DIFFER, max(then, now) + CLOCKS_DIFFER
        return self.desk.gateway.find_customer(self._mark, since, until)

    @property
    def _mark(self) -> str:
        return installation_mark(self._installation, self.row.id)

    @property
    def _key(self) -> str:
        return stripe_key(self._installation, CREATE_CUSTOMER, self.row.id, self.row.attempt)

    @property
    def _installation(self) -> UUID:
        return self.desk.deployment.installation
