"""Settings: each wrong one, and those that are legal and still cannot work."""

import re
from collections.abc import Sequence

from billing.cli.doctor.findings import Finding, Findings, doubtful, red, well
from billing.config import SANDBOX_WEBHOOK_SECRET, STRIPE_API, Settings

WHOLE_SECRET = re.compile(r"whsec_[A-Za-z0-9_+/=-]{18,}")
"""Stripe's own have more than thirty characters; a shorter one was cut when it was copied."""

README = "the table of settings in README.md says what it takes"


def complaints(lines: Sequence[str]) -> Findings:
    """From the lines by which a boot is refused: name, what is wrong, and, where there is one, the mend."""
    for line in lines:
        name, _, told = line.partition(": ")
        wrong, _, mend = told.partition("; ")
        yield red(name, wrong, mend or README)


def settings_findings(settings: Settings) -> Findings:
    stripe = "sandbox" if settings.is_sandbox else "live" if settings.livemode else "test mode"
    yield well("settings", f"all valid: {settings.app_env}, Stripe {stripe}")
    yield _webhook_secret(settings)
    if settings.is_sandbox and settings.stripe_api_base == STRIPE_API:
        mend = "start it with `make run`, or set your own STRIPE_SECRET_KEY"
        yield red("STRIPE_API_BASE", "the sandbox's key would be sent to Stripe itself", mend)


def _webhook_secret(settings: Settings) -> Finding:
    subject, secrets = "STRIPE_WEBHOOK_SECRET", settings.stripe_webhook_secret
    endpoint = "take the secret of the endpoint from Stripe's dashboard"
    if not settings.is_sandbox and SANDBOX_WEBHOOK_SECRET in secrets:
        return red(subject, "the sandbox's own: anybody could sign events of your account", endpoint)
    if not all(WHOLE_SECRET.fullmatch(secret) for secret in secrets):
        return red(subject, "one of them is cut off or has something else in it", endpoint)
    if len(set(secrets)) < len(secrets):
        return doubtful(subject, "one is there twice", "name each once")
    count = "one secret" if len(secrets) == 1 else f"{len(secrets)} secrets, as while one is rotated"
    return well(subject, count)
