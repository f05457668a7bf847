"""Every kind of open row has one effect, whoever dies over it, sleeps over it or hears of it twice."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import pytest

from billing.errors import LeaseLostError
from billing.work import OPEN_KINDS
from tests.attack.open_rows import KINDS, make
from tests.attack.works import OpenRow, Works
from tests.support.leases import UnrenewedLeases
from tests.support.points import AFTER_THE_CLAIM, POISON, Dead, Reached, reach

WORKERS, HINTS_EACH = 4, 10
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def every_sum_holds(works: Works) -> Iterator[None]:
    yield
    works.prove()


@pytest.fixture
def claim(monkeypatch: pytest.MonkeyPatch, kind: str) -> Reached:
    """Where a worker has committed its claim, and has done nothing else."""
    return reach(monkeypatch, AFTER_THE_CLAIM[kind])


def die() -> None:
    raise Dead


def test_every_kind_is_attacked() -> None:
    assert {kind.model.kind for kind in OPEN_KINDS} == set(KINDS)


@each_kind
def test_a_row_whose_worker_was_killed_is_hinted_and_taken_when_its_lease_ends(
    works: Works, kind: str, claim: Reached
) -> None:
    """Not before: nobody knows that it died. Not much later: nobody else will tell."""
    row = make(works, kind)
    claim.do(die)
    with pytest.raises(Dead):
        works.work(row.hint)
    left = works.columns(row)
    works.work(row.hint)
    assert works.columns(row) == left
    assert left["lease_token"] is not None
    assert abs(left["hint_at"] - left["lease_until"]) < timedelta(seconds=0.1)
    works.end_lease(row)
    assert works.hints_of(row) == 1
    works.work(row.hint)
    assert row.effects() == row.done
    assert works.columns(row)["lease_token"] is None


@each_kind
def test_a_worker_that_wakes_after_its_lease_changes_nothing(works: Works, kind: str, claim: Reached) -> None:
    """Another has taken the row over and finished it: the token says so, whatever the clock says."""
    row = make(works, kind)
    found: list[object] = []

    def sleep_long() -> None:
        works.end_lease(row)
        works.work(row.hint, UnrenewedLeases())
        found.extend((works.columns(row), row.effects()))

    claim.do(sleep_long)
    with pytest.raises(LeaseLostError):
        works.work(row.hint)
    assert found == [works.columns(row), row.done]
    assert row.effects() == row.done


@each_kind
def test_a_worker_that_wakes_while_another_works_leaves_it_the_row(works: Works, kind: str, claim: Reached) -> None:
    """The other one is not finished yet: its claim, and not the first one's, decides."""
    row = make(works, kind)

    def sleep_long() -> None:
        works.end_lease(row)
        claim.do(lambda: found.append(works.columns(row)))
        claim.do(die)
        with suppress(Dead):
            works.work(row.hint, UnrenewedLeases())
        found.append(works.columns(row))

    found: list[object] = []
    claim.do(sleep_long)
    with pytest.raises(LeaseLostError):
        works.work(row.hint)
    assert found == [works.columns(row)]
    works.make_due(row)
    works.work(row.hint)
    assert row.effects() == row.done or works.is_given_up(row, lost=2)


@each_kind
def test_many_hints_at_once_have_one_effect(works: Works, kind: str) -> None:
    """The sweeper and the door both hint, brokers deliver twice, and several workers hear it in the same moment."""
    row = make(works, kind)
    at_once(lambda: hint(works, row, HINTS_EACH))
    assert row.effects() == row.done
    left = works.columns(row)
    assert left["attempts"] + left.get("asks", 0) == 1, "one worker had it, once"


def test_ten_thousand_hints_for_one_purchase_make_one_intent(works: Works) -> None:
    """A queue that is full of copies costs time, and nothing else."""
    row = make(works, "purchase")
    calls = len(works.gateway.creates)
    at_once(lambda: hint(works, row, 10_000 // WORKERS))
    assert row.effects() == row.done
    assert (len(works.gateway.creates) - calls, works.columns(row)["attempts"]) == (1, 1)


@each_kind
def test_a_row_that_kills_its_workers_is_given_up_and_others_proceed(
    works: Works, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can mend it by trying; whoever waits behind it must not wait for that."""
    poison, leases = make(works, kind), UnrenewedLeases(lost_claims=3)
    kills = reach(monkeypatch, POISON[kind])

    def die_of_it() -> None:
        kills.do(die_of_it)
        if is_leased(works, poison):
            raise Dead

    def work(row: OpenRow) -> None:
        kills.do(die_of_it)
        with suppress(Dead):
            works.work(row.hint, leases)
        kills.do(None)

    work(poison)
    neighbour = make(works, kind)
    for _ in range(leases.terms.lost_claims + 1):
        works.end_lease(poison)
        work(neighbour)
        work(poison)
    assert neighbour.effects() == neighbour.done
    lost = works.columns(poison)
    assert (lost["due_at"], lost["gave_up_at"] is not None) == (None, True)
    assert lost["attempts"] <= leases.terms.lost_claims + 1
    assert is_listed(works, poison)


def hint(works: Works, row: OpenRow, times: int) -> None:
    for _ in range(times):
        works.work(row.hint, UnrenewedLeases())


def is_leased(works: Works, row: OpenRow) -> bool:
    lease_until = works.columns(row)["lease_until"]
    return lease_until is not None and lease_until > works.one("SELECT clock_timestamp()")


def is_listed(works: Works, row: OpenRow) -> bool:
    letter = "SELECT count(*) FROM dead_letter WHERE kind = :kind AND subject = :subject"
    return bool(works.one(letter, kind=row.table, subject=str(row.id)) == 1)


def at_once(work: Callable[[], object]) -> None:
    troubles: list[BaseException] = []
    barrier = threading.Barrier(WORKERS)

    def run() -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            troubles.append(error)

    threads = [threading.Thread(target=run) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
