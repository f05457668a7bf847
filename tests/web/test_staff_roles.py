"""Who may knock where staff do: each route has its rule, and a route without one fails."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from billing.config import Settings
from billing.ids import new_id
from tests.web.support import API, Tokens
from web.app import create_app
from web.paths import PREFIXES

STAFF = frozenset({"staff", "admin"})
ADMIN = frozenset({"admin"})
SERVICE = frozenset({"service"})

RULES = {
    ("POST", "admin/packages/{transaction_id}/extend/"): STAFF,
    ("POST", "admin/bulk-extend-packages/"): STAFF,
    ("POST", "admin/process-expired-packages/"): STAFF,
    ("GET", "admin/expired-packages/"): STAFF,
    ("GET", "admin/packages-expiring-soon/"): STAFF,
    ("GET", "admin/payments/audit-log/"): STAFF,
    ("GET", "admin/payments/audit-log/{act_id}/"): STAFF | SERVICE,
    ("GET", "admin/payments/metrics/"): STAFF,
    ("GET", "admin/payments/transactions/"): STAFF,
    ("POST", "admin/payments/refunds/"): ADMIN,
    ("GET", "admin/payments/refunds/"): STAFF,
    ("GET", "admin/payments/refunds/quote/"): STAFF,
    ("GET", "admin/payments/refunds/{refund_id}/"): STAFF,
    ("GET", "admin/payments/disputes/"): STAFF,
    ("GET", "admin/payments/disputes/{dispute_id}/"): STAFF,
    ("POST", "admin/receipts/{receipt_id}/invoice/"): ADMIN | SERVICE,
    ("GET", "admin/webhooks/status/"): STAFF,
    ("POST", "admin/webhooks/{event_id}/replay/"): ADMIN,
    ("GET", "admin/dead-letters/"): STAFF,
    ("POST", "admin/dead-letters/{kind}/{subject}/replay/"): ADMIN,
    ("POST", "admin/dead-letters/{kind}/{subject}/park/"): ADMIN,
    ("POST", "admin/dead-letters/{kind}/{subject}/discard/"): ADMIN,
    ("GET", "admin/findings/"): STAFF,
    ("POST", "admin/findings/{finding_id}/close/"): ADMIN,
    ("GET", "admin/cases/"): STAFF,
    ("POST", "admin/cases/{case_id}/close/"): ADMIN,
    ("GET", "admin/system/health/"): STAFF,
    ("GET", "admin/system/history/"): STAFF,
    ("GET", "admin/plans/"): STAFF,
    ("POST", "admin/plans/"): ADMIN,
    ("GET", "admin/plans/{plan_id}/"): STAFF,
    ("PATCH", "admin/plans/{plan_id}/"): ADMIN,
    ("GET", "admin/plans/{plan_id}/preview/"): STAFF,
    ("POST", "admin/plans/bulk/"): ADMIN,
}
ROLES = ("student", "guardian", "service", "staff", "admin")
BODY = {
    "extension_days": 1,
    "transaction_ids": [999],
    "transaction_id": 999,
    "invoice_ref": "FT 1",
    "reason": "A test of who may.",
    "grace_hours": 8760,
    "note": "A test of who may.",
    "name": "Nobody's Package",
    "plan_type": "package",
    "hours_included": "1.00",
    "price_eur": "1.00",
    "validity_days": 1,
    "expected_version": 1,
    "plan_ids": [999],
}
ONLY_THERE = {"admin/plans/bulk/": {"is_featured": False}}
"""What would be wrong elsewhere."""


def routes_of_staff(settings: Settings) -> set[tuple[str, str]]:
    app: Any = create_app(settings)
    found = set()
    for route in app._app.routes:
        path = route.path.replace(":uuid}", "}").removeprefix(PREFIXES[0]).removeprefix(PREFIXES[1])
        if path.removeprefix("api/").startswith("admin/"):
            found |= {(method, path) for method in route.methods - {"HEAD"}}
    return found


def test_every_route_of_staff_has_its_rule(settings: Settings) -> None:
    """What is forgotten here would be open to everybody, or to nobody."""
    assert routes_of_staff(settings) == RULES.keys()


@pytest.mark.parametrize(("method", "path"), RULES)
def test_only_whom_the_rule_names_comes_in(shared_client: TestClient, tokens: Tokens, method: str, path: str) -> None:
    ids = {name: new_id() for name in ("act_id", "refund_id", "dispute_id", "receipt_id", "finding_id")}
    others = {"event_id": "evt_none", "kind": "webhook_event", "subject": 999, "case_id": 999, "plan_id": 999}
    address = API + path.format(transaction_id=999, **ids, **others)
    body = {**BODY, **ONLY_THERE.get(path, {})}
    asked: dict[str, Any] = {"json": body} if method in ("POST", "PATCH") else {"params": {"transaction_id": 999}}

    def status(headers: dict[str, str]) -> tuple[int, str]:
        answer = shared_client.request(method, address, headers=headers, **asked)
        return answer.status_code, answer.json().get("error_type", "")

    assert status({}) == (401, "authentication_required")
    assert status({"Authorization": "Bearer none"}) == (401, "authentication_required")
    assert status(tokens.of()) == (403, "permission_denied")
    for role in ROLES:
        code, word = status(tokens.of("somebody", roles=[role]))
        if role in RULES[method, path]:
            assert code in (200, 202, 404), role
        else:
            assert (code, word) == (403, "permission_denied"), role


def test_who_may_not_learns_nothing_of_what_is_there(shared_client: TestClient, tokens: Tokens) -> None:
    """Neither whether a package exists nor what is wrong with a body."""
    for transaction_id in ("1", "999", "x"):
        answer = shared_client.post(f"{API}admin/packages/{transaction_id}/extend/", json={}, headers=tokens.of())
        assert answer.status_code == 403
