"""What a campaign calls lost, doubled and conserved; and that a seed names a plan."""

from dataclasses import replace

import pytest
import typer

from billing.chaos.books import AtStripe, Intent, Ours
from billing.chaos.plan import EVERY_SECONDS, SECONDS, FaultKind, plan
from billing.chaos.report import Money, Report
from billing.chaos.witness import Seen
from billing.cli.chaos import chaos, kinds_of
from billing.errors import ConfigurationError

LEASE_SECONDS = 8

CLEAN = Report(
    seed=1, seconds=20, drop_share=0, promised={"purchases": 1}, missing=[], paid=1, credited=1, lost=[], doubled=[],
    duplicates=[], unpaid=[], violations=[], looks=20, audit_holds=True, money=Money(14_000, 14_000),
    served_seconds=2.0, settled_seconds=3.0, unfinished=None,
    faults={"kill": 1}, deaths={"web": 1}, dropped=0, dead_letters={},
    answers={202: 1}, ends={"paid": 1}, odd=[],
)  # fmt: skip


def paid(purchase_id: str, name: str = "pi_1", status: str = "succeeded") -> Intent:
    return Intent(name, purchase_id, status, 14_000 if status == "succeeded" else 0)


def test_a_payment_without_a_credit_is_lost() -> None:
    stripe = AtStripe([paid("a", "pi_a"), paid("b", "pi_b"), paid("c", "pi_c", "canceled")], 0)
    assert Ours(14_000, {"a": 1, "b": 0, "c": 0}).lost(stripe) == ["pi_b"]
    assert Ours(14_000, {}).lost(stripe) == ["pi_a", "pi_b"]


def test_a_second_credit_is_doubled_and_one_without_payment_is_unpaid() -> None:
    ours = Ours(0, {"a": 2, "b": 1, "c": 0})
    assert ours.doubled() == ["a"]
    assert ours.unpaid(AtStripe([paid("a")], 0)) == ["b"]


def test_two_intents_that_can_be_paid_are_duplicates() -> None:
    """One that was cancelled can never be paid: it is none."""
    twice = [paid("a", "pi_1"), paid("a", "pi_2", "requires_payment_method")]
    replaced = [paid("b", "pi_3", "canceled"), paid("b", "pi_4")]
    assert AtStripe([*twice, *replaced], 0).duplicates() == ["a"]


def test_what_went_back_is_not_kept() -> None:
    assert AtStripe([paid("a"), paid("b", "pi_2", "processing")], 4_000).kept_cents == 10_000


def test_a_clean_campaign_passes() -> None:
    assert CLEAN.passed
    assert CLEAN.as_json()["passed"] is True
    assert ("verdict", "passed") in CLEAN.rows()


@pytest.mark.parametrize(
    "broken",
    [
        replace(CLEAN, lost=["pi_1"]),
        replace(CLEAN, doubled=["a"]),
        replace(CLEAN, duplicates=["a"]),
        replace(CLEAN, missing=["a"]),
        replace(CLEAN, unpaid=["a"]),
        replace(CLEAN, violations=[Seen(3.0, "balance is not the sum of its entries", "7")]),
        replace(CLEAN, audit_holds=False),
        replace(CLEAN, money=Money(14_000, 13_999)),
    ],
)
def test_whatever_is_broken_fails_it(broken: Report) -> None:
    """A verdict that cannot be `failed` proves nothing."""
    assert not broken.passed
    assert ("verdict", "FAILED") in broken.rows()


def test_a_seed_names_a_plan() -> None:
    """What failed once can be looked at again."""
    assert plan(7, 60, [*FaultKind]) == plan(7, 60, [*FaultKind])
    assert plan(7, 60, [*FaultKind]) != plan(8, 60, [*FaultKind])


@pytest.mark.parametrize("seed", range(20))
def test_every_fault_happens_and_ends_with_the_campaign(seed: int) -> None:
    seconds = 60.0
    planned = plan(seed, seconds, [*FaultKind])
    assert {fault.kind for fault in planned} == set(FaultKind)
    assert all(fault.begins <= fault.ends <= seconds for fault in planned)
    stops = [fault.ends - fault.begins for fault in planned if fault.kind is FaultKind.STOP]
    assert min(stops) > LEASE_SECONDS, "a worker that wakes within its lease proves nothing"
    assert len(planned) > seconds / EVERY_SECONDS[1] / 2


def test_only_the_wanted_kinds_happen() -> None:
    assert {fault.kind for fault in plan(1, 30, [FaultKind.KILL])} == {FaultKind.KILL}
    assert plan(1, 30, []) == []
    assert set(SECONDS) < set(FaultKind)


def test_an_unknown_fault_is_named() -> None:
    assert kinds_of("kill, stop") == (FaultKind.KILL, FaultKind.STOP)
    with pytest.raises(typer.BadParameter, match="no such fault: earthquake"):
        kinds_of("kill,earthquake")


def test_it_is_for_development_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever means to break a deployment has another tool for it."""
    monkeypatch.setenv("APP_ENV", "production")
    with pytest.raises(ConfigurationError, match="APP_ENV"):
        chaos()
