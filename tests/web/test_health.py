"""Ready means: what is accepted here is kept, and somebody works on it."""

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.config import AppEnv, Settings
from billing.db import Begin
from billing.migrate import is_migrated, newest_revision
from tests.support.factories import add_purchase
from tests.web.support import Tokens
from web.app import create_app

LOOPBACK = ("127.0.0.1", 4711)


def details(settings: Settings) -> tuple[int, dict[str, object]]:
    with TestClient(create_app(settings), client=LOOPBACK) as client:
        answer = client.get("/readyz")
    return answer.status_code, answer.json()


def test_live_asks_nobody(shared_client: TestClient) -> None:
    assert shared_client.get("/healthz").json() == {"status": "live"}


def test_ready_when_database_schema_and_work_are_well(settings: Settings) -> None:
    status, body = details(settings)
    assert (status, body["status"]) == (200, "ready")
    assert body["checks"] == {"database": True, "migrations": True, "durability": True, "work": True}
    assert (body["revision"], body["oldest_overdue_seconds"]) == (newest_revision(), 0)


def test_strangers_learn_no_details(client: TestClient) -> None:
    assert client.get("/readyz").json() == {"status": "ready"}
    forwarded = client.get("/readyz", headers={"X-Forwarded-For": "127.0.0.1"})
    assert forwarded.json() == {"status": "ready"}


def test_a_service_learns_them_by_its_role(shared_client: TestClient, tokens: Tokens) -> None:
    for roles, knows in ((["service"], True), (["admin"], False)):
        assert ("checks" in shared_client.get("/readyz", headers=tokens.of(roles=roles)).json()) is knows


@pytest.mark.parametrize(("seconds", "status"), [(100, 200), (130, 503)])
def test_work_that_nobody_takes_is_red(settings: Settings, begin: Begin, seconds: int, status: int) -> None:
    with begin() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
    add_purchase(begin, at=now)
    with begin() as session:
        statement = text("UPDATE purchase SET due_at = clock_timestamp() - make_interval(secs => :seconds)")
        session.execute(statement, {"seconds": seconds})
    found, body = details(settings)
    assert found == status
    assert body["oldest_overdue_seconds"] == pytest.approx(seconds, abs=5)


def test_work_of_later_is_not_overdue(settings: Settings, begin: Begin) -> None:
    with begin() as session:
        now = session.execute(text("SELECT now()")).scalar_one()
    add_purchase(begin, at=now)
    with begin() as session:
        session.execute(text("UPDATE purchase SET due_at = clock_timestamp() + interval '1 h'"))
    assert details(settings)[1]["oldest_overdue_seconds"] == 0


def test_an_older_schema_than_the_codes_is_not_ready(settings: Settings, begin: Begin) -> None:
    changes = {
        "UPDATE alembic_version SET version_num = '0' || version_num": (
            "UPDATE alembic_version SET version_num = substr(version_num, 2)"
        ),
        "ALTER TABLE alembic_version RENAME TO gone": "ALTER TABLE gone RENAME TO alembic_version",
    }
    for change, mend in changes.items():
        with begin() as session:
            session.execute(text(change))
        status, body = details(settings)
        with begin() as session:
            session.execute(text(mend))
        assert (status, body["status"]) == (503, "unavailable")


def test_what_would_not_survive_a_power_cut_is_ready_in_development_only(settings: Settings) -> None:
    """The tests' own server writes with fsync off."""
    staging = settings.model_copy(update={"app_env": AppEnv.STAGING})
    status, body = details(staging)
    assert status == 503
    assert body["checks"] == {"database": True, "migrations": True, "durability": False, "work": True}


def test_a_broker_that_is_away_is_reported_and_makes_nobody_unready(settings: Settings) -> None:
    away = settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    with TestClient(create_app(away), client=LOOPBACK) as client:
        answers = [client.get("/readyz") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert answers[-1].json()["broker_reachable"] is not True


@pytest.mark.parametrize(("revision", "is_enough"), [(None, False), ("0001", False), ("9999", True)])
def test_a_schema_of_a_later_release_is_enough(revision: str | None, is_enough: bool) -> None:
    """While a release is deployed its schema is there before its code: doors that still serve must stay in service."""
    assert is_migrated(revision) is is_enough
    assert is_migrated(newest_revision())
