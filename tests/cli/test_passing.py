"""What a moved clock leaves to workers is not left to the sweeper of overdue work."""

from datetime import datetime, timedelta

from sqlalchemy import text

from billing import work
from billing.cli.passing import hint_at_once
from billing.db import Begin
from billing.models import Notification
from billing.notifications.warn import warn_of_expiry
from tests.support.factories import add_student
from tests.support.records import DAY, bought

IN_SECONDS = "SELECT extract(epoch FROM hint_at - clock_timestamp()) FROM notification"


def hinted_in(begin: Begin) -> float:
    with begin() as session:
        return float(session.execute(text(IN_SECONDS)).scalar_one())


def noted(begin: Begin, now: datetime) -> None:
    student = add_student(begin, "ana@example.com", at=now)
    bought(begin, student, at=now, expires_at=now + 3 * DAY)
    warn_of_expiry(begin, now=now)


def test_what_was_noted_is_hinted_by_the_next_round(begin: Begin, now: datetime) -> None:
    """Two seconds for each night with a mail would be a minute for a month of them."""
    noted(begin, now)
    assert hinted_in(begin) > 1
    hint_at_once(begin)
    assert hinted_in(begin) <= 0


def test_what_a_worker_has_is_left_to_it(begin: Begin, now: datetime) -> None:
    noted(begin, now)
    with begin() as session:
        assert work.claim_batch(session, Notification, 1, work.LeaseTerms()) is not None
    hint_at_once(begin)
    assert hinted_in(begin) > timedelta(seconds=1).total_seconds()
