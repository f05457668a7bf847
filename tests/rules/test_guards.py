"""The catalogue of guards is of this code: a guard that was moved or renamed must not drop out of it unseen."""

import pytest

from tests.guards.catalogue import GUARDS
from tests.guards.removal import Guard
from tests.rules.sources import ROOT

ASKED_FOR = (
    "event unique key",
    "purchase key scope",
    "ledger source unique key",
    "purchase lock",
    "balance lock",
    "lease token in finish",
    "attempts committed before work",
    "second attempt alone",
    "hint key deleted before select",
    "hint_at pushed before hint",
    "sweeper",
    "reconciliation",
    "cursor overlap",
    "derived Stripe key",
    "stored parameters on resend",
    "unknown never re-created",
    "amount, currency and mode checks",
    "owner check",
    "monotone states",
    "cancel stores the intent",
    "own-refund mark",
    "refund cap",
    "earliest-expiry order",
    "expired lots unspendable",
    "signature",
    "past tolerance",
    "future tolerance",
    "entries trigger",
)


def test_every_guard_has_its_place() -> None:
    assert [guard.name for guard in GUARDS] == list(ASKED_FOR)


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_can_be_taken_away_and_is_promised_by_tests(guard: Guard) -> None:
    """`python -m tests.guards` takes each one away and sees these tests fail."""
    assert [edit.path for edit in guard.edits if not edit.is_possible(ROOT)] == []
    assert [test for test in guard.tests if not (ROOT / test).is_file()] == []
