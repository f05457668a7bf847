"""Why a balance was what it was: told for any instant, long afterwards, as it was told at that instant.

Each test lets something happen to a student's hours and asks at every instant what can be spent; then it asks again
for all of these instants, knowing what came later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from billing import ledger
from billing.cli.reading import ask_at
from billing.db import Begin
from billing.deployment import Deployment
from billing.gateway import InvalidRequestError
from billing.ledger import Move, Posting
from billing.models import SweepRun
from billing.reads.balances import BalanceView, balance_of
from billing.reads.ledger import Explanation, explain
from billing.reads.packages import PackageView
from billing.reads.pages import Slice
from billing.reads.purchased import purchased_by
from billing.reads.whose import of_id
from billing.secrets import Vault
from billing.staff.wishes import BulkExtend, Correct, Extend, UndoSweep
from billing.states import EntryKind, Part
from tests.support.factories import add_student
from tests.support.office import Returns, intent_of
from tests.support.records import bought, credited
from tests.support.staff import StaffRoom
from tests.support.statements import counted
from tests.support.sweeps import move

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
A_MOMENT = timedelta(milliseconds=1)


@dataclass
class Witness:
    """What was told at each instant, and what is told of it now."""

    room: StaffRoom
    student_id: int
    told: dict[datetime, int] = field(default_factory=dict)

    def go_to(self, days: float) -> None:
        self.room.now = NOON + days * DAY

    def move(self, lot_id: int, minutes: int, part: Part, kind: EntryKind) -> None:
        move(self.room.begin, lot_id, minutes, part, kind, at=self.room.now)

    def capture(self, lot_id: int, held: int, taken: int) -> None:
        """As a captured hold is written: released and taken at one instant."""
        moves = [Move(lot_id, held, Part.HELD), Move(lot_id, -taken, Part.CONSUMED)]
        kinds = (EntryKind.RELEASE, EntryKind.CONSUME)
        postings = [
            Posting(self.student_id, kind, f"capture:{kind}", [one], self.room.now)
            for kind, one in zip(kinds, moves, strict=True)
        ]
        with self.room.begin() as session:
            ledger.lock_accounts(session, [self.student_id])
            ledger.post(session, postings)

    def look(self, minutes: int) -> None:
        """So many can be spent at this instant, says the balance."""
        self.told[self.room.now] = minutes
        assert self.balance(self.room.now).minutes_remaining == minutes

    def balance(self, now: datetime) -> BalanceView:
        found = ask_at(self.room.url, lambda connection: balance_of(connection, of_id(str(self.student_id)), now=now))
        assert found is not None
        return found

    def explained(self, at: datetime) -> Explanation:
        whose = of_id(str(self.student_id))
        return ask_at(self.room.url, lambda connection: explain(connection, whose, Slice(), at))[1]

    def confirm(self) -> None:
        """The same is told of every instant now, the entries prove it, and no rule of the ledger is broken."""
        now_told = {at: self.explained(at) for at in self.told}
        assert {at: explanation.minutes_remaining for at, explanation in now_told.items()} == self.told
        with self.room.begin() as session:
            statement = text("SELECT coalesce(sum(minutes), 0) FROM hour_entry WHERE student_id = :id AND at <= :at")
            for at, explanation in now_told.items():
                given = {"id": self.student_id, "at": at}
                assert explanation.minutes == session.execute(statement, given).scalar_one()
        assert ledger.violations(self.room.begin) == []


@pytest.fixture
def witness(begin: Begin, database_url: str) -> Witness:
    """Of a student with a package that ends ten days from noon."""
    student_id = add_student(begin, at=NOON, external_id="user-1")
    bought(begin, student_id, at=NOON, expires_at=NOON + 10 * DAY)
    return Witness(StaffRoom(begin, database_url, NOON), student_id)


def test_before_everything_there_was_nothing(witness: Witness) -> None:
    """The first instant of a payment counts as after it."""
    assert witness.explained(NOON - A_MOMENT).minutes_by_kind == {}
    assert witness.explained(NOON).minutes_by_kind == {EntryKind.CREDIT: 600}


def test_what_is_held_was_not_there_between_hold_and_capture(witness: Witness) -> None:
    """A student who wonders why nothing could be booked on Tuesday hears of the hold, which is long over."""
    witness.look(600)
    witness.go_to(1)
    witness.move(1, -90, Part.HELD, EntryKind.HOLD)
    witness.look(510)
    witness.go_to(2)
    witness.look(510)
    witness.go_to(3)
    witness.capture(1, held=90, taken=60)
    witness.look(540)
    witness.confirm()
    assert witness.explained(NOON + 2 * DAY).minutes_by_kind == {EntryKind.CREDIT: 600, EntryKind.HOLD: -90}
    assert witness.explained(NOON + 3 * DAY).minutes_by_kind == {
        EntryKind.CREDIT: 600,
        EntryKind.CONSUME: -60,
        EntryKind.HOLD: -90,
        EntryKind.RELEASE: 90,
    }


def test_a_lesson_that_was_given_back_was_taken_until_then(witness: Witness) -> None:
    """What comes back does so from the day on which it comes back."""
    witness.go_to(1)
    witness.move(1, -90, Part.CONSUMED, EntryKind.CONSUME)
    witness.look(510)
    witness.go_to(2)
    witness.move(1, 30, Part.CONSUMED, EntryKind.RESTORE)
    witness.look(540)
    witness.confirm()


def test_expired_hours_are_gone_from_their_end_on_swept_or_not(witness: Witness) -> None:
    """Whether the sweep came that night or a week late is no business of the student's."""
    credited(witness.room.begin, witness.student_id, at=NOON, expires_at=None, minutes=60)
    witness.go_to(10 - 1e-6)
    witness.look(660)
    witness.go_to(10)
    witness.look(60)
    assert witness.explained(witness.room.now).minutes_expired_unwritten == 600
    witness.go_to(12)
    witness.look(60)
    witness.go_to(13)
    witness.room.sweep()
    witness.look(60)
    assert witness.explained(witness.room.now).minutes_expired_unwritten == 0
    witness.confirm()
    assert witness.explained(NOON + 12 * DAY).minutes_expired_unwritten == 600


def test_what_comes_back_to_an_expired_package_was_never_there(witness: Witness) -> None:
    """A hold that lapses, or a lesson that is given back, after the end: it expires at once, and again in the sweep."""
    witness.move(1, -90, Part.HELD, EntryKind.HOLD)
    witness.move(1, -60, Part.CONSUMED, EntryKind.CONSUME)
    witness.look(450)
    witness.go_to(11)
    witness.move(1, 90, Part.HELD, EntryKind.RELEASE)
    witness.look(0)
    witness.go_to(12)
    witness.room.sweep()
    witness.look(0)
    witness.go_to(13)
    witness.move(1, 60, Part.CONSUMED, EntryKind.RESTORE)
    witness.look(0)
    assert witness.explained(witness.room.now).minutes_expired_unwritten == 60
    witness.go_to(14)
    witness.room.sweep()
    witness.look(0)
    witness.confirm()
    assert witness.explained(witness.room.now).minutes_by_kind[EntryKind.EXPIRE] == -600


def test_a_package_that_was_extended_in_time_never_ended(witness: Witness) -> None:
    witness.go_to(9)
    witness.room.do(Extend(transaction_id=1, extension_days=7))
    witness.look(600)
    witness.go_to(12)
    witness.look(600)
    witness.go_to(18)
    witness.look(0)
    witness.confirm()


def test_a_package_that_was_extended_after_its_end_had_ended_until_then(witness: Witness) -> None:
    """The lesson that was refused on Thursday was refused for a reason, though Friday's extension hides it."""
    witness.go_to(11)
    witness.look(0)
    witness.go_to(12)
    witness.room.do(Extend(transaction_id=1, extension_days=7))
    witness.look(600)
    witness.confirm()
    assert witness.explained(NOON + 11 * DAY).minutes_expired_unwritten == 600


def test_what_an_extension_brought_back_was_written_off_until_then(witness: Witness) -> None:
    """Ended, swept, extended: each day has its own balance, and the entries of the end show why."""
    witness.move(1, -90, Part.CONSUMED, EntryKind.CONSUME)
    for days, minutes in ((9, 510), (11, 0)):
        witness.go_to(days)
        witness.look(minutes)
    witness.go_to(12)
    witness.room.sweep()
    witness.look(0)
    witness.go_to(13)
    witness.room.do(Extend(transaction_id=1, extension_days=3, extend_from_now=True))
    witness.look(510)
    witness.go_to(18)
    witness.look(0)
    witness.room.sweep()
    witness.look(0)
    witness.confirm()
    assert witness.explained(NOON + 18 * DAY).minutes_by_kind == {
        EntryKind.CREDIT: 600,
        EntryKind.CONSUME: -90,
        EntryKind.EXPIRE: -1020,
        EntryKind.RESTORE: 510,
    }


def test_every_extension_of_many_is_remembered(witness: Witness) -> None:
    """One package of a bulk, extended twice after its end: of each instant the end counts that was known then."""
    other = add_student(witness.room.begin, "eva@example.com", at=NOON)
    bought(witness.room.begin, other, at=NOON, expires_at=NOON + 10 * DAY)
    witness.go_to(11)
    witness.look(0)
    witness.room.do(BulkExtend(transaction_ids=(1, 2), extension_days=3))
    witness.look(600)
    witness.go_to(15)
    witness.look(0)
    witness.go_to(16)
    witness.room.do(BulkExtend(transaction_ids=(1, 2), extension_days=9))
    witness.look(600)
    witness.go_to(17)
    witness.room.do(Extend(transaction_id=2, extension_days=1))
    witness.look(600)
    witness.go_to(30)
    witness.look(0)
    witness.confirm()
    Witness(witness.room, other, dict(witness.told)).confirm()


def test_hours_that_a_dispute_froze_had_ended_until_it_was_won(
    witness: Witness, deployment: Deployment, vault: Vault
) -> None:
    """They end while nobody can spend them, and live again from the day of the bank's decision: not a day before."""
    returns = Returns(witness.room.begin, deployment, vault, NOON)
    purchase = returns.sold(lasts_days=2, student_id=witness.student_id)
    made = returns.gateway.raise_dispute(intent_of(purchase), 14_000)
    returns.hear_of_dispute(made.id, "charge.dispute.created")
    witness.look(600)
    witness.go_to(3)
    witness.look(600)
    returns.desk = replace(returns.desk, now=witness.room.now)
    returns.gateway.change_dispute(made.id, "won")
    returns.hear_of_dispute(made.id, "charge.dispute.closed")
    witness.look(1200)
    for days, minutes in ((5, 1200), (6, 600), (11, 0)):
        witness.go_to(days)
        witness.look(minutes)
    witness.confirm()


def test_hours_of_a_refund_that_failed_after_their_end_live_from_then_on(
    witness: Witness, deployment: Deployment, vault: Vault
) -> None:
    """Held in time, given back too late: until then they were not there, and from then on for a week."""
    returns = Returns(witness.room.begin, deployment, vault, NOON)
    purchase = returns.sold(lasts_days=1, student_id=witness.student_id)
    refund_id = returns.hold(purchase)
    witness.look(600)
    witness.go_to(2)
    witness.look(600)
    returns.desk = replace(returns.desk, now=witness.room.now)
    returns.fail_with(InvalidRequestError())
    returns.send(refund_id)
    witness.look(1200)
    witness.go_to(9.4)
    witness.look(1200)
    witness.go_to(9.5)
    witness.look(600)
    witness.confirm()


def test_a_sweep_that_was_undone_gave_back_from_that_day_on(witness: Witness) -> None:
    """Undone alone it gives nothing to spend, for the end has passed; what was written off is shown as such no more."""
    witness.go_to(11)
    witness.room.sweep()
    witness.look(0)
    witness.go_to(12)
    with witness.room.begin() as session:
        run_id = session.execute(text("SELECT max(id) FROM sweep_run")).scalar_one()
        assert session.get_one(SweepRun, run_id).minutes == 600
    witness.room.do(UndoSweep(run_id=run_id))
    witness.look(0)
    assert witness.explained(witness.room.now).minutes_by_kind[EntryKind.RESTORE] == 600
    witness.confirm()


def test_what_staff_took_back_was_there_until_then(witness: Witness) -> None:
    """A correction corrects from now on; it does not rewrite what was shown."""
    witness.look(600)
    witness.go_to(1)
    witness.room.do(Correct(student_id=witness.student_id, minutes=120))
    witness.look(480)
    witness.confirm()
    assert witness.explained(witness.room.now).minutes_by_kind == {EntryKind.CREDIT: 600, EntryKind.CORRECT: -120}


def test_hours_that_changed_hands_are_explained_on_either_side(witness: Witness) -> None:
    """A guest had them until the account proved the address, and the account from then on."""
    account = Witness(witness.room, add_student(witness.room.begin, "b@example.com", at=NOON, external_id="user-2"))
    witness.move(1, -90, Part.HELD, EntryKind.HOLD)
    witness.look(510)
    witness.go_to(1)
    with witness.room.begin() as session:
        session.execute(text("UPDATE purchase SET student_id = :id"), {"id": account.student_id})
        ledger.transfer_all(session, witness.student_id, account.student_id, at=witness.room.now)
    for one, minutes in ((witness, 0), (account, 510)):
        one.look(minutes)
    witness.go_to(11)
    for one in (witness, account):
        one.look(0)
    witness.go_to(12)
    witness.room.do(Extend(transaction_id=1, extension_days=9))
    for one, minutes in ((witness, 0), (account, 510)):
        one.look(minutes)
        one.confirm()


def test_a_day_with_everything_in_it_adds_up(witness: Witness) -> None:
    """All of it at one instant: the entries of that instant are all in, or all out."""
    witness.move(1, -30, Part.CONSUMED, EntryKind.CONSUME)
    witness.move(1, -50, Part.HELD, EntryKind.HOLD)
    witness.capture(1, held=50, taken=20)
    witness.move(1, 10, Part.CONSUMED, EntryKind.RESTORE)
    witness.room.do(Correct(student_id=witness.student_id, minutes=60))
    witness.look(500)
    witness.told[NOON - A_MOMENT] = 0
    witness.confirm()


@pytest.mark.parametrize("lots", [1, 500])
def test_however_many_lots_there_are_one_statement_tells(begin: Begin, database_url: str, lots: int) -> None:
    """A family that has bought for years waits no longer than a newcomer."""
    student_id = add_student(begin, at=NOON, external_id="user-1")
    for number in range(lots):
        credited(begin, student_id, at=NOON, expires_at=NOON + number * DAY, minutes=10, source=f"grant:{number}")
    whose, now = of_id(str(student_id)), NOON + lots * DAY / 2
    with counted() as explaining:
        explanation = ask_at(database_url, lambda connection: explain(connection, whose, Slice(), now))[1]
    with counted() as showing:
        balance = ask_at(database_url, lambda connection: balance_of(connection, whose, now=now))
    with counted() as listing:
        ask_at(database_url, lambda connection: purchased_by(connection, whose, Slice(), now=now))
    assert [len(asked) for asked in (explaining, showing, listing)] == [1, 1, 1]
    assert balance is not None
    assert explanation.minutes_remaining == balance.minutes_remaining
    assert explanation.minutes == 10 * lots
    assert _living(balance.packages)


def _living(packages: Sequence[PackageView]) -> bool:
    return all(package.minutes_remaining == (0 if package.is_expired else 10) for package in packages)
