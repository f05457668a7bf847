"""An alarm sees that nobody can pay before a buyer writes about it."""

import time

import pytest
from starlette.testclient import TestClient

from billing.brakes import Lane, Limits, SharedBrakes
from billing.brakes.words import Asked, Outcome
from billing.config import Settings
from tests.support.servers import running_valkey
from tests.web.test_metrics import LOOPBACK, measured
from web.app import create_app

FEW = {"stripe_calls_per_second": 25, "stripe_calls_per_endpoint": 25}


def few(settings: Settings) -> Settings:
    return settings.model_copy(update=FEW)


def test_a_service_at_rest_may_call_at_its_full_rate(settings: Settings) -> None:
    values = measured(few(settings))
    assert values["billing_stripe_paused_seconds"] == 0
    assert values["billing_stripe_recent_calls"] == 0
    assert values["billing_stripe_failing_share"] == 0
    assert values["billing_stripe_calls_per_second"] == pytest.approx(18.75)
    for lane in Lane:
        assert values[f'billing_stripe_recent_waits{{lane="{lane}"}}'] == 0
        assert values[f'billing_stripe_recent_put_off{{lane="{lane}"}}'] == 0


def test_a_pause_and_a_crowd_are_seen(settings: Settings) -> None:
    """What workers did a moment ago, from whichever door is asked."""
    shared = SharedBrakes(settings.redis_url, Limits.of(few(settings)))
    asked = Asked("create", Lane.PURCHASE, 0, is_first=True)
    verdicts = [shared.ask(asked) for _ in range(30)]
    for outcome in (Outcome.FINE, Outcome.BUSY, Outcome.FINE, Outcome.REFUSED):
        shared.tell(verdicts[0], outcome)
    values = measured(few(settings))
    assert 0 < values["billing_stripe_paused_seconds"] < 60
    assert (values["billing_stripe_recent_calls"], values["billing_stripe_failing_share"]) == (4, 0.25)
    assert 18.75 / 2 <= values["billing_stripe_calls_per_second"] < 18.75
    assert values['billing_stripe_recent_waits{lane="purchase"}'] > 0
    assert values['billing_stripe_recent_put_off{lane="purchase"}'] > 0
    assert values['billing_stripe_recent_put_off{lane="webhook"}'] == 0


@pytest.mark.parametrize("trouble", ["killed", "frozen"])
def test_without_valkey_the_other_figures_are_told_all_the_same(settings: Settings, trouble: str) -> None:
    """What nobody knows is left out, and nobody waits for it."""
    with running_valkey() as server:
        alone = settings.model_copy(update={"redis_url": server.url(), "broker_url": server.url()})
        with TestClient(create_app(alone), client=LOOPBACK) as client:
            assert "billing_stripe_recent_calls" in client.get("/metrics").text
            if trouble == "killed":
                server.kill()
            else:
                server.freeze()
            began = time.monotonic()
            answer = client.get("/metrics")
            assert time.monotonic() - began < 2
            server.thaw()
    assert answer.status_code == 200
    assert "billing_stripe_recent_calls" not in answer.text
    assert "billing_open_work" in answer.text
