"""Thousands of paid purchases whose events wait: made in a few statements, as the door and Stripe would have."""

from sqlalchemy import text

from billing.config import Settings
from billing.db import Begin
from billing.deployment import MARK, Deployment
from tests.support.factories import STANDARD_CENTS, STANDARD_MINUTES

STUDENTS = text("""
    INSERT INTO student (email, email_verified, name, created_at)
    SELECT :name || n || '@example.com', false, 'Ana', now() FROM generate_series(1, :students) AS n
    RETURNING id
""")
PURCHASES = text("""
    INSERT INTO purchase (
        id, scope, request_id, caller_email_verified, buyer_name, buyer_email, student_id, plan_version_id, plan_type,
        price_cents, currency, minutes, validity_days, state, payment_intent_id, accepted_at, give_up_at
    )
    SELECT gen_random_uuid(), 'guest:x', CAST(:name AS text), false, 'Ana', 'x@example.com',
        (CAST(:ids AS bigint[]))[1 + n % :students], 2, 'package', :cents, 'eur', :minutes, 45, 'pending',
        'pi_' || :name || '_' || n, now(), now()
    FROM generate_series(1, :events) AS n
""")
EVENTS = text("""
    INSERT INTO webhook_event (stripe_event_id, type, body, request_id, state, received_at, due_at, hint_at)
    SELECT 'evt_' || payment_intent_id, 'payment_intent.succeeded',
        convert_to(json_build_object(
            'id', 'evt_' || payment_intent_id, 'object', 'event', 'type', 'payment_intent.succeeded',
            'created', extract(epoch FROM now())::int, 'livemode', false, 'data', json_build_object('object',
                json_build_object('id', payment_intent_id, 'object', 'payment_intent', 'amount', price_cents,
                    'amount_received', price_cents, 'currency', currency, 'livemode', false,
                    'metadata', json_build_object(CAST(:mark AS text), CAST(:installation AS text) || '\\:' || id)))
        )::text, 'UTF8'),
        'backlog', 'received', now(), now(), now()
    FROM purchase WHERE request_id = :name
""")


def add_backlog(
    begin: Begin, settings: Settings, *, events: int, students: int, name: str = "backlog"
) -> dict[int, int]:
    """The minutes that each student has when all events are applied."""
    installation = str(Deployment.of(settings, begin).installation)
    with begin() as session:
        ids = list(session.execute(STUDENTS, {"students": students, "name": name}).scalars())
        facts = {"name": name, "ids": ids, "students": students, "events": events}
        session.execute(PURCHASES, {**facts, "cents": STANDARD_CENTS, "minutes": STANDARD_MINUTES})
        session.execute(EVENTS, {"mark": MARK, "installation": installation, "name": name})
    expected = dict.fromkeys(ids, 0)
    for number in range(1, events + 1):
        expected[ids[number % students]] += STANDARD_MINUTES
    return expected
