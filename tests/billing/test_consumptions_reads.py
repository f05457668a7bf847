"""What a package shows of the lessons that were paid from it."""

from datetime import datetime

from billing.db import Begin
from billing.expiry.sweep import start_sweep, sweep_lots
from billing.expiry.undo import undo_sweep
from billing.reads.pages import Slice
from billing.reads.purchased import purchased_by
from billing.reads.whose import of_address
from billing.states import SweepTrigger
from tests.billing.test_reads import ask
from tests.support.hours import Lessons


def test_a_package_shows_lessons_and_not_what_its_expiry_did(database_url: str, begin: Begin, now: datetime) -> None:
    """Hours come back from a lesson and from an expiry by the same kind of entry; only one of them is consumption."""
    lessons = Lessons(begin, now)
    lessons.give(100, days=1)
    consumed, held = lessons.consumed(30), lessons.held(20)
    lessons.refund(consumed, 10)
    lessons.release(held)
    lessons.work()
    lessons.pass_time(days=2)
    (sweep,) = start_sweep(begin, SweepTrigger.NIGHTLY, grace_hours=0, now=lessons.now)
    sweep_lots(begin, lessons.leases.terms, sweep, now=lessons.now)
    with begin() as session:
        undo_sweep(session, sweep.run_id, at=lessons.now)

    whose = of_address("ana@example.com")
    page, _ = ask(
        database_url,
        lambda connection: purchased_by(connection, whose, Slice(), now=lessons.now, with_consumption=True),
    )
    (row,) = page.rows
    assert row.taken is not None
    moved = sorted((str(entry.kind), entry.minutes) for entry in row.taken)
    assert moved == [("consume", -30), ("hold", -20), ("release", 20), ("restore", 10)]
