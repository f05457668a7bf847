"""Who may know whom: the packages among themselves, and each library where it belongs."""

import pytest
from importlinter import cli

from tests.rules.sources import ROOT, Module, modules, within

LIBRARIES = {
    "stripe": ("billing/stripe_line.py", "billing/stripe_gateway.py", "billing/stripe_events.py", "billing/sandbox/"),
    "celery": ("workers/", "web/queue.py"),
    "kombu": ("workers/", "web/queue.py"),
    "redis": ("workers/", "web/", "billing/brakes/", "billing/local/", "billing/cli/doctor/"),
    "starlette": ("web/", "billing/sandbox/"),
    "uvicorn": ("web/", "billing/sandbox/"),
    "typer": ("billing/cli/",),
    "rich": ("billing/cli/",),
    "alembic": ("billing/migrate.py", "billing/migrations/"),
    "psycopg": ("billing/db.py", "billing/local/"),
    "tenacity": ("billing/retry.py",),
    "cryptography": ("billing/secrets.py",),
    "dotenv": ("billing/config.py",),
    "reportlab": ("billing/receipts/",),
}
OUR_OWN = {
    "billing.sandbox": ("billing/sandbox/",),
    "billing.local": ("billing/local/", "billing/chaos/", "billing/cli/"),
    "billing.cli": ("billing/cli/",),
    "billing.stripe_gateway": ("workers/", "billing/cli/desk.py"),
    "billing.purchases.lifecycle": (
        "billing/purchases/",
        "billing/refunds/",
        "billing/disputes/",
        "billing/subscriptions/",
    ),
    "tests": (),
}


def strangers(package: str, places: tuple[str, ...], among: list[Module]) -> list[str]:
    return [module.path for module in among if within(module.imported(), package) and not module.is_in(places)]


def test_the_contracts_between_the_packages_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Web and workers stand on billing and never see each other: each can be changed, tested and deployed alone."""
    monkeypatch.chdir(ROOT)
    assert cli.lint_imports(config_filename="pyproject.toml", no_cache=True, no_logo=True) == 0


@pytest.mark.parametrize("package", LIBRARIES)
def test_a_library_is_known_where_it_belongs(package: str) -> None:
    """What is translated at one edge can be replaced there; Stripe's, Celery's and HTTP's words stop at theirs."""
    assert strangers(package, LIBRARIES[package], [*modules()]) == []


@pytest.mark.parametrize("package", OUR_OWN)
def test_a_part_of_ours_is_known_where_it_belongs(package: str) -> None:
    """The sandbox is imported by nothing, use cases know no command, production knows no test."""
    assert strangers(package, OUR_OWN[package], [*modules()]) == []


@pytest.mark.parametrize("line", ["import stripe", "from stripe import Webhook", "import stripe.params as p"])
def test_the_rule_sees_every_way_of_importing(line: str) -> None:
    """A rule that cannot fail proves nothing."""
    bad, good = Module("web/purchases.py", line), Module("billing/stripe_gateway.py", line)
    lookalike = Module("web/config.py", "from billing import stripe_events\nimport stripes")
    assert strangers("stripe", LIBRARIES["stripe"], [bad, good, lookalike]) == ["web/purchases.py"]
