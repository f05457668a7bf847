"""What is on sale is shown fast, and a change of it soon."""

import time

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from billing.db import Begin
from billing.errors import DatabaseUnavailableError
from tests.web.support import API

PLANS = f"{API}pricing-plans/"


def test_plans_are_listed_in_their_order(client: TestClient) -> None:
    plans = client.get(PLANS).json()
    assert [plan["display_order"] for plan in plans] == [1, 2, 3, 4, 5, 6, 7]
    assert plans[1] == {
        "id": 2,
        "name": "Standard Package",
        "description": "Ten hours for a steady month and a half.",
        "plan_type": "package",
        "hours_included": "10.00",
        "price_eur": "140.00",
        "validity_days": 45,
        "price_per_hour": "14.00",
        "plan_type_display": "Package",
        "display_order": 2,
        "is_featured": True,
        "currency": "eur",
    }
    assert (plans[4]["plan_type"], plans[4]["validity_days"]) == ("subscription", None)


def test_an_unchanged_list_is_not_sent_twice(client: TestClient) -> None:
    first = client.get(PLANS)
    again = client.get(PLANS, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == "public, no-cache"
    for other in ('"another"', "", "rubbish", first.headers["ETag"].strip('"')):
        assert client.get(PLANS, headers={"If-None-Match": other}).status_code == 200


def test_every_way_of_naming_what_one_has_is_understood(client: TestClient) -> None:
    etag = client.get(PLANS).headers["ETag"]
    for named in (etag, f"W/{etag}", f'"x", {etag}', f'W/"x",{etag} , "y"', "*"):
        assert client.get(PLANS, headers={"If-None-Match": named}).status_code == 304
    split = [("If-None-Match", '"x"'), ("If-None-Match", etag)]
    assert client.get(PLANS, headers=split).status_code == 304


def test_head_tells_what_get_would_send(client: TestClient) -> None:
    head, get = client.head(PLANS), client.get(PLANS)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "cache-control", "content-type", "content-length"):
        assert head.headers[name] == get.headers[name]
    assert client.head(PLANS, headers={"If-None-Match": get.headers["ETag"]}).status_code == 304


def test_a_bad_token_is_refused_though_none_is_needed(client: TestClient) -> None:
    """Who sends one believes to be somebody."""
    assert client.get(PLANS, headers={"Authorization": "Bearer rubbish"}).status_code == 401


def test_a_change_shows_within_two_seconds(client: TestClient, begin: Begin) -> None:
    before = client.get(PLANS)
    for active in (False, True):
        with begin() as session:
            session.execute(text("UPDATE pricing_plan SET is_active = :active WHERE id = 1"), {"active": active})
        changed = time.monotonic()
        while (len(client.get(PLANS).json()) == 7) is not active:
            assert time.monotonic() - changed < 2
            time.sleep(0.02)
        assert (client.get(PLANS).headers["ETag"] == before.headers["ETag"]) is active


def test_the_list_is_served_on_while_the_database_is_away(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """People may look while they cannot buy."""

    async def away(*_: object) -> None:
        raise DatabaseUnavailableError("away")

    before = client.get(PLANS)
    monkeypatch.setattr("web.plans.plans_on_sale", away)
    monkeypatch.setattr("web.plans.FRESH_SECONDS", 0.0)
    assert client.get(PLANS).content == before.content
    monkeypatch.setattr("web.plans.STALE_SECONDS", 0.0)
    assert client.get(PLANS).status_code == 503


def test_the_list_is_served_on_while_a_migration_holds_the_table(
    client: TestClient, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = client.get(PLANS)
    monkeypatch.setattr("web.plans.FRESH_SECONDS", 0.0)
    monkeypatch.setattr("web.plans.SLOW_SECONDS", 5.0)
    with begin() as session:
        session.execute(text("LOCK TABLE pricing_plan IN ACCESS EXCLUSIVE MODE"))
        held = client.get(PLANS)
    assert (held.status_code, held.content) == (200, before.content)
