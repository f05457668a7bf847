"""Claims are renewed by processes that live, for as long as they hold them, within a bound."""

import threading
import time
from datetime import datetime

import pytest

from billing import work
from billing.db import Begin
from billing.errors import DatabaseUnavailableError
from billing.models import Purchase
from tests.support.factories import add_purchase, load_purchase
from tests.support.stack import eventually
from workers import leases as module
from workers.leases import RenewingLeases

SHORT = work.LeaseTerms(seconds=0.4)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEWED_EVERY_SECONDS", 0.1)


def claimed(begin: Begin, now: datetime) -> work.Claim[Purchase]:
    purchase = add_purchase(begin, at=now)
    with begin() as session:
        claim = work.claim(session, Purchase, purchase.id, SHORT)
    assert claim is not None
    return claim


def is_free(begin: Begin, claim: work.Claim[Purchase]) -> bool:
    with begin() as session:
        return work.claim(session, Purchase, claim.row.id, SHORT) is not None


def test_a_claim_that_is_held_outlives_its_lease(begin: Begin, now: datetime) -> None:
    claim = claimed(begin, now)
    with RenewingLeases(begin, SHORT).held(claim.token):
        time.sleep(3 * SHORT.seconds)
        assert not is_free(begin, claim)
        assert load_purchase(begin, claim.row.id).lease_token == claim.token
    eventually(lambda: is_free(begin, claim), 2)


def test_many_claims_are_renewed_at_once(begin: Begin, now: datetime) -> None:
    claims = [claimed(begin, now) for _ in range(3)]
    leases = RenewingLeases(begin, SHORT)
    with leases.held(claims[0].token), leases.held(claims[1].token), leases.held(claims[2].token):
        time.sleep(2 * SHORT.seconds)
        assert not any(is_free(begin, claim) for claim in claims)


def test_a_claim_is_not_held_for_ever(begin: Begin, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a worker hangs in, after a minute somebody else may try."""
    monkeypatch.setattr(module, "LONGEST_SECONDS", 0.3)
    claim = claimed(begin, now)
    with RenewingLeases(begin, SHORT).held(claim.token):
        eventually(lambda: is_free(begin, claim), 3)


def test_no_thread_runs_before_the_first_claim(begin: Begin, now: datetime) -> None:
    """A thread started before a fork is not there after it."""
    before = threading.active_count()
    leases = RenewingLeases(begin, SHORT)
    assert threading.active_count() == before
    with leases.held(claimed(begin, now).token):
        assert threading.active_count() == before + 1


def test_an_outage_of_the_database_does_not_end_the_renewal(
    begin: Begin, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = [DatabaseUnavailableError("away"), DatabaseUnavailableError("away")]
    renew = work.renew

    def once_away(*arguments: object, **more: object) -> None:
        if troubles:
            raise troubles.pop()
        renew(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "renew", once_away)
    claim = claimed(begin, now)
    with RenewingLeases(begin, work.LeaseTerms(seconds=0.8)).held(claim.token):
        time.sleep(1.5)
        assert not troubles
        assert load_purchase(begin, claim.row.id).lease_token == claim.token
        assert not is_free(begin, claim)
