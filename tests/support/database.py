"""A migrated database with the default plans, from which each test's own is copied."""

from datetime import UTC, datetime
from functools import partial

from billing import db, migrate, plans
from tests.support.environment import make_settings

TEMPLATE = "billing_template"


def fill_template(url: str) -> None:
    settings = make_settings(url, "redis://127.0.0.1:1/0")
    migrate.upgrade(settings)
    engine = db.connect(url, "tests")
    plans.load_defaults(partial(db.begin, engine), force=False, now=datetime(2026, 1, 1, tzinfo=UTC))
    engine.dispose()
