"""Whose hours a purchase brings: the student of the address it was made for."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from billing.models import Purchase, Student


@dataclass(frozen=True, slots=True)
class Identity:
    """What a purchase says of the student: an address, and the platform's id where the caller proved the address."""

    email: str
    name: str
    external_id: str | None

    @classmethod
    def of(cls, purchase: Purchase) -> "Identity":
        """A verified caller who buys for the own address is that student; everybody else only names an address."""
        proven = purchase.caller_email_verified and purchase.caller_email == purchase.buyer_email
        return cls(purchase.buyer_email, purchase.buyer_name, purchase.caller_sub if proven else None)


def find_or_make(session: Session, identity: Identity, *, at: datetime) -> int:
    """The id of the student, made where there is none; the same one for all who ask at once."""
    find = _find_known if identity.external_id else _find_by_address
    found = find(session, identity)
    if found is None:
        _make(session, identity, at)
        found = find(session, identity)
    if found is None:  # the address is proven by another account of the platform: this account stands beside it
        _make(session, identity, at, email_verified=False)
        found = find(session, identity)
    if found is None:
        raise LookupError("a student that was just made is not there")
    return found


def _find_known(session: Session, identity: Identity) -> int | None:
    known = select(Student.id).where(Student.external_id == identity.external_id)
    return session.exec(known).first() or _adopt_guest(session, identity)


def _adopt_guest(session: Session, identity: Identity) -> int | None:
    """Give the guest of a proven address to the account that proved it."""
    of_address = select(Student).where(Student.email == identity.email, col(Student.external_id).is_(None))
    guest = session.exec(of_address.with_for_update()).first()
    if guest is None or _proven_by_another(session, identity):
        return None
    guest.external_id, guest.email_verified = identity.external_id, True
    session.flush()
    return guest.id


def _find_by_address(session: Session, identity: Identity) -> int | None:
    """The account that proved the address, else the guest who is known by it."""
    of_address = or_(col(Student.email_verified), col(Student.external_id).is_(None))
    statement = select(Student.id).where(Student.email == identity.email, of_address)
    return session.exec(statement.order_by(col(Student.email_verified).desc())).first()


def _proven_by_another(session: Session, identity: Identity) -> bool:
    proven = select(Student.id).where(Student.email == identity.email, col(Student.email_verified))
    return session.exec(proven).first() is not None


def _make(session: Session, identity: Identity, at: datetime, *, email_verified: bool | None = None) -> None:
    verified = identity.external_id is not None if email_verified is None else email_verified
    student = insert(Student).values(
        external_id=identity.external_id,
        email=identity.email,
        email_verified=verified,
        name=identity.name,
        created_at=at,
    )
    session.execute(student.on_conflict_do_nothing())
