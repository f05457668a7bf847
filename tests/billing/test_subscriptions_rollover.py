"""What a period leaves unused is lost at its end, except for so much as the plan lets live on in the next one."""

from datetime import datetime, timedelta

import pytest

from billing.db import Begin
from billing.deployment import Deployment
from billing.expiry.sweep import start_sweep, sweep_lots
from billing.ledger.expiries import write_off
from billing.models import HourLot
from billing.secrets import Vault
from billing.states import SweepTrigger
from billing.work import LeaseTerms
from tests.support.records import bought
from tests.support.subscribers import FAMILY, STUDENT, Subscribed, Subscribers

MINUTES = 900


@pytest.fixture
def subscribers(begin: Begin, deployment: Deployment, vault: Vault, now: datetime) -> Subscribers:
    return Subscribers(begin, deployment, vault, now)


def ends(subscribers: Subscribers, one: Subscribed) -> list[tuple[int, int, int]]:
    """Month of the end, minutes left and minutes lost of each lot."""
    return [(month_of(lot), lot.minutes_left, lot.minutes_expired) for lot in subscribers.lots(one)]


def month_of(lot: HourLot) -> int:
    assert lot.expires_at is not None
    return lot.expires_at.month


def test_a_plan_without_a_cap_leaves_everything_to_the_sweep(subscribers: Subscribers) -> None:
    one = subscribers.subscribe()
    subscribers.renew(one)
    assert ends(subscribers, one) == [(4, MINUTES, 0), (5, MINUTES, 0)]
    subscribers.prove()


def test_what_is_under_the_cap_lives_on_and_the_rest_is_written_off(subscribers: Subscribers) -> None:
    subscribers.allow_rollover(STUDENT, 120)
    one = subscribers.subscribe()
    subscribers.renew(one)
    assert ends(subscribers, one) == [(5, 120, MINUTES - 120), (5, MINUTES, 0)]
    subscribers.prove()


def test_less_than_the_cap_lives_on_wholly(subscribers: Subscribers) -> None:
    subscribers.allow_rollover(STUDENT, 120)
    one = subscribers.subscribe()
    subscribers.use(one, MINUTES - 100)
    subscribers.renew(one)
    assert ends(subscribers, one) == [(5, 100, 0), (5, MINUTES, 0)]
    subscribers.prove()


def test_what_was_used_up_is_left_alone(subscribers: Subscribers) -> None:
    subscribers.allow_rollover(STUDENT, 120)
    one = subscribers.subscribe()
    subscribers.use(one, MINUTES)
    subscribers.renew(one)
    assert ends(subscribers, one) == [(4, 0, 0), (5, MINUTES, 0)]


def test_the_cap_is_for_all_that_is_left_and_the_oldest_is_lost_first(subscribers: Subscribers) -> None:
    """Hours that were carried over once are not carried on beside a whole new period's."""
    subscribers.allow_rollover(STUDENT, 120)
    one = subscribers.subscribe()
    for _ in range(2):
        subscribers.renew(one)
    assert ends(subscribers, one) == [(5, 0, MINUTES), (6, 120, MINUTES - 120), (6, MINUTES, 0)]
    subscribers.prove()


def test_the_cap_reaches_back_over_several_periods_where_little_is_left(subscribers: Subscribers) -> None:
    subscribers.allow_rollover(STUDENT, 120)
    one = subscribers.subscribe()
    subscribers.use(one, MINUTES - 90)
    subscribers.renew(one)
    subscribers.use(one, MINUTES - 50, place=1)
    subscribers.renew(one)
    assert ends(subscribers, one) == [(6, 70, 20), (6, 50, 0), (6, MINUTES, 0)]
    subscribers.prove()


def test_two_renewals_that_are_heard_of_at_once_end_as_two_that_are_not(subscribers: Subscribers) -> None:
    subscribers.allow_rollover(STUDENT, 120)
    one = subscribers.subscribe()
    for _ in range(2):
        subscribers.gateway.renew(one.stripe_id)
    subscribers.hear_of(one)
    assert ends(subscribers, one) == [(5, 0, MINUTES), (6, 120, MINUTES - 120), (6, MINUTES, 0)]


def test_a_second_answer_rolls_nothing_over(subscribers: Subscribers) -> None:
    subscribers.allow_rollover(STUDENT, 120)
    one = subscribers.subscribe()
    subscribers.renew(one)
    before = ends(subscribers, one)
    subscribers.hear_of(one)
    assert ends(subscribers, one) == before


def test_the_plan_of_the_new_period_says_how_much(subscribers: Subscribers) -> None:
    """Who changes to a plan with a cap is promised it for the hours he has."""
    subscribers.allow_rollover(FAMILY, 600)
    one = subscribers.subscribe(STUDENT)
    subscribers.gateway.change_subscription_there(one.stripe_id, price_id=subscribers.price(FAMILY))
    subscribers.renew(one)
    assert ends(subscribers, one) == [(5, 600, MINUTES - 600), (5, 3000, 0)]


def test_hours_of_packages_and_of_others_are_not_touched(subscribers: Subscribers, begin: Begin, now: datetime) -> None:
    """A package has its own end, however close to that of a period."""
    subscribers.allow_rollover(STUDENT, 120)
    one, other = subscribers.subscribe(), subscribers.subscribe()
    package = bought(begin, one.student_id, at=now, expires_at=now + timedelta(days=3))
    subscribers.renew(one)
    assert ends(subscribers, other) == [(4, MINUTES, 0)]
    (lot,) = (lot for lot in subscribers.lots(one) if lot.purchase_id == package.id)
    assert (lot.minutes_left, lot.expires_at) == (600, now + timedelta(days=3))
    subscribers.prove()


def test_hours_whose_time_is_not_over_are_not_touched(subscribers: Subscribers, now: datetime) -> None:
    """Staff have made them live longer: they need no help."""
    subscribers.allow_rollover(STUDENT, 120)
    one = subscribers.subscribe()
    subscribers.run("UPDATE hour_lot SET expires_at = :later", later=now + timedelta(days=90))
    subscribers.renew(one)
    assert ends(subscribers, one) == [(5, MINUTES, 0), (5, MINUTES, 0)]


def test_what_a_sweep_wrote_off_stays_written_off(subscribers: Subscribers, begin: Begin) -> None:
    subscribers.allow_rollover(STUDENT, 120)
    one = subscribers.subscribe()
    (message,) = start_sweep(begin, SweepTrigger.COMMAND, grace_hours=0, now=subscribers.desk.now)
    sweep_lots(begin, LeaseTerms(8, 6), message, now=subscribers.desk.now)
    subscribers.renew(one)
    assert ends(subscribers, one) == [(4, 0, MINUTES), (5, MINUTES, 0)]
    subscribers.prove()


def test_what_lived_on_is_swept_at_its_new_end(subscribers: Subscribers, begin: Begin) -> None:
    """It is a second expiry of that lot, with a source of its own."""
    subscribers.allow_rollover(STUDENT, 120)
    one = subscribers.subscribe()
    subscribers.renew(one)
    (message,) = start_sweep(begin, SweepTrigger.COMMAND, grace_hours=0, now=subscribers.desk.now)
    sweep_lots(begin, LeaseTerms(8, 6), message, now=subscribers.desk.now)
    assert ends(subscribers, one) == [(5, 0, MINUTES), (5, 0, MINUTES)]
    subscribers.prove()


def test_nothing_to_write_off_is_nothing_done(begin: Begin, now: datetime) -> None:
    with begin() as session:
        write_off(session, {}, at=now)
