"""What a guest is at Stripe goes to the account that proved the guest's address."""

from sqlalchemy import text
from sqlmodel import Session

SUBSCRIPTIONS = text("""
    WITH theirs AS (SELECT id FROM subscription WHERE student_id = :guest ORDER BY id FOR UPDATE)
    UPDATE subscription SET student_id = :account FROM theirs WHERE subscription.id = theirs.id
""")
# An account that is a customer already keeps its own one, and the guest's cards stay with the guest's.
CUSTOMER = text("""
    UPDATE stripe_customer SET student_id = :account
    WHERE student_id = :guest AND NOT EXISTS (SELECT FROM stripe_customer AS own WHERE own.student_id = :account)
    RETURNING id
""")
CARDS = text("UPDATE payment_method SET student_id = :account WHERE student_id = :guest")


def hand_over_subscriptions(session: Session, guest_id: int, account_id: int) -> None:
    """Subscriptions go on with the customer that pays them; call it before purchases are locked."""
    given = {"guest": guest_id, "account": account_id}
    session.execute(SUBSCRIPTIONS, given)
    if session.execute(CUSTOMER, given).first() is not None:
        session.execute(CARDS, given)
