"""What holds calls to Stripe back at this moment: a pause, or a rate that Stripe made us lower."""

from billing.brakes import BrakesAwayError, BrakesView, Limits, SharedBrakes
from billing.cli.doctor.findings import Finding, Findings, doubtful, red, well
from billing.config import Settings

SUBJECT = "calls to Stripe"
KEY = "take STRIPE_SECRET_KEY from Stripe's dashboard again and restart the workers; they go on by themselves"
TROUBLE = "wait: workers ask every few seconds and go on by themselves; status.stripe.com says what Stripe knows"


def brake_findings(settings: Settings) -> Findings:
    """Nothing where Valkey is away: that has a line of its own."""
    limits = Limits.of(settings)
    brakes = SharedBrakes(settings.redis_url, limits)
    try:
        yield _judged(brakes.view(), limits.all_calls.per_second)
    except BrakesAwayError:
        return
    finally:
        brakes.close()


def _judged(view: BrakesView, per_second: float) -> Finding:
    rate = f"{per_second * view.rate_share:.3g} a second"
    if view.is_paused and view.reason == "refused":
        return red(SUBJECT, f"paused for {view.paused_seconds:.0f} s: Stripe does not take the workers' key", KEY)
    if view.is_paused:
        return doubtful(SUBJECT, f"paused for {view.paused_seconds:.0f} s: too many of them failed", TROUBLE)
    if view.rate_share < 1:
        told = f"slowed to {rate}: Stripe was asked too much, or was away until just now"
        return doubtful(SUBJECT, told, "wait: the full rate comes back within seconds")
    return well(SUBJECT, f"go out at up to {rate}, {view.failures} of the last {view.calls} failed")
