"""A worker that dies, breaks or sleeps at any point of its work: the sums hold, and the next one finishes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from billing.errors import BillingError
from billing.expiry import sweep
from billing.exports import write
from tests.attack.open_rows import KINDS, make
from tests.attack.works import OpenRow, Works
from tests.support.leases import UnrenewedLeases
from tests.support.points import POINTS, Dead, Point, reach
from tests.support.sweeps import in_chunks_of

MOST_RUNS = 6
"""So many hints without a fault must be enough, whatever happened before."""


def die(*_: object) -> None:
    raise Dead


def break_down(*_: object) -> None:
    raise RuntimeError("a defect")


def lose_the_database(*_: object) -> None:
    raise OperationalError("COMMIT", None, Exception("the connection was cut"))


def sleep_past_the_lease(works: Works, row: OpenRow) -> None:
    """Another worker takes the row over and finishes it, or does what is left, before this one goes on."""
    works.end_lease(row)
    works.work(row.hint, UnrenewedLeases())


Fault = Callable[[Works, OpenRow], None]
OUTSIDE: Mapping[str, Fault] = {"killed": die, "broken": break_down, "asleep": sleep_past_the_lease}
INSIDE: Mapping[str, Fault] = {"killed": die, "broken": break_down, "cut off": lose_the_database}
"""Who sleeps with rows locked is cut off: the database ends a transaction that is idle for long."""


def cases() -> Iterator[Any]:
    for kind in KINDS:
        for point in POINTS[kind]:
            for name, fault in (INSIDE if point.is_inside else OUTSIDE).items():
                yield pytest.param(kind, point, [fault], id=f"{kind}-{point}-{name}")
                if fault is die or fault is sleep_past_the_lease or (point.is_inside and fault is break_down):
                    yield pytest.param(kind, point, [die, fault], id=f"{kind}-{point}-killed, {name}")


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    in_chunks_of(monkeypatch, 1)
    monkeypatch.setattr(write, "PART_ROWS", 2)


def test_every_kind_has_points() -> None:
    assert set(POINTS) == set(KINDS)
    assert sweep.FIRST == 1


@pytest.mark.parametrize(("kind", "point", "faults"), list(cases()))
def test_a_fault_at_any_point_costs_time_and_nothing_else(
    works: Works, monkeypatch: pytest.MonkeyPatch, kind: str, point: Point, faults: Sequence[Fault]
) -> None:
    """On its first run or, once the first worker was killed at that point, on its second."""
    row = make(works, kind)
    reached = reach(monkeypatch, point)
    for number, strike in enumerate(faults):
        works.make_due(row)
        reached.do(partial(strike, works, row))
        with suppress(Dead, RuntimeError, OperationalError, BillingError):
            works.work(row.hint)
        assert number or not reached.is_waiting, "the point was not reached"
        reached.do(None)
        works.prove()
    finish(works, row, lost=len(faults))
    works.prove()


def finish(works: Works, row: OpenRow, *, lost: int) -> None:
    """Without faults it comes to its end, and that is the one end there is."""
    for _ in range(MOST_RUNS):
        if row.effects() == row.done or works.is_given_up(row, lost=lost):
            break
        works.make_due(row)
        works.work(row.hint)
    assert row.effects() == row.done or works.is_given_up(row, lost=lost)
    works.work(row.hint)
    assert row.effects() == row.done or works.is_given_up(row, lost=lost)
