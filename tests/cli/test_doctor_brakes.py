"""The doctor says that calls to Stripe are paused or slowed, why, and what to do."""

from collections.abc import Callable

import pytest

from billing.brakes import Lane, Limits, SharedBrakes
from billing.brakes.words import Asked, Outcome
from billing.cli.doctor.brakes import SUBJECT, brake_findings
from billing.cli.doctor.findings import Finding, Health
from billing.config import Settings

Tell = Callable[..., Finding]


@pytest.fixture
def after(settings: Settings) -> Tell:
    """The finding after calls with these outcomes."""
    shared = SharedBrakes(settings.redis_url, Limits.of(settings))

    def tell(*outcomes: Outcome) -> Finding:
        for outcome in outcomes:
            shared.tell(shared.ask(Asked("create", Lane.PURCHASE, 2, is_first=True)), outcome)
        (finding,) = brake_findings(settings)
        assert finding.subject == SUBJECT
        return finding

    return tell


def test_calls_that_go_out_are_well(after: Tell) -> None:
    finding = after(Outcome.FINE, Outcome.FAILED)
    assert finding.health is Health.OK
    assert "1 of the last 2 failed" in finding.detail


def test_a_key_that_is_refused_is_red_and_to_be_mended(after: Tell) -> None:
    """Nobody can pay until somebody puts the new key where the workers read it."""
    finding = after(Outcome.REFUSED)
    assert finding.health is Health.RED
    assert "STRIPE_SECRET_KEY" in finding.mend


def test_an_outage_of_stripes_is_waited_for(after: Tell) -> None:
    finding = after(*[Outcome.FAILED] * 10)
    assert finding.health is Health.WARNING
    assert "paused" in finding.detail
    assert "wait" in finding.mend


def test_a_lowered_rate_is_told(after: Tell) -> None:
    finding = after(Outcome.BUSY)
    assert finding.health is Health.WARNING
    assert "slowed" in finding.detail


def test_a_valkey_that_is_away_has_its_own_line(settings: Settings) -> None:
    away = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    assert list(brake_findings(away)) == []
