"""Many acts on one set of locked consumptions and accounts: each sees what those before it did, all is written once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from sqlmodel import Session

from billing.consumptions import records
from billing.consumptions.decisions import DECISIONS, Fault, Plan
from billing.consumptions.records import Record
from billing.consumptions.shortages import Shortages
from billing.ledger import Account, Move, Posting
from billing.models import ConsumptionAct
from billing.reads.bookings import NoBooking
from billing.states import ConsumptionActKind, ConsumptionState

Refusal = Fault | NoBooking


@dataclass(slots=True)
class Reckoning:
    """What is locked, as it is after the acts performed so far; `groups` holds the ids of each group's consumptions."""

    records: dict[UUID, Record]
    groups: Mapping[UUID, Sequence[UUID]]
    accounts: Mapping[int, Account]
    shortages: Shortages
    now: datetime
    postings: list[Posting] = field(default_factory=list)
    changed: set[UUID] = field(default_factory=set)

    @classmethod
    def locked(cls, session: Session, groups: Iterable[UUID], *, now: datetime) -> "Reckoning":
        """With every consumption of these groups, and then every account that they touch, under lock."""
        found = records.lock_groups(session, groups)
        members: defaultdict[UUID, list[UUID]] = defaultdict(list)
        for record in found:
            members[record.group_id].append(record.id)
        accounts = records.lock_accounts(session, found)
        shortages = Shortages(session, sorted(accounts), now=now)
        return cls({record.id: record for record in found}, dict(members), accounts, shortages, now)

    def perform(self, act: ConsumptionAct) -> Refusal | None:
        """Do an act to all consumptions that it is about, or to none of them and say why.

        Raises LookupError where it is about none.
        """
        members = self._members(act)
        plans = [self._plan(act, record) for record in members]
        faults = {record.id: plan for record, plan in zip(members, plans, strict=True) if isinstance(plan, Fault)}
        good = [plan for plan in plans if isinstance(plan, Plan)]
        if not faults:
            self._keep(good)
            return None
        self._undo(good)
        refusals = {record.id: self._refusal(record, faults) for record in members if record.id in faults}
        first = next(iter(refusals.values()))
        if act.act is ConsumptionActKind.BOOK:
            self._refuse(members, refusals, first)
        return first

    def written(self) -> Sequence[Record]:
        """What was changed, in the order of the ids."""
        return [self.records[record_id] for record_id in sorted(self.changed)]

    def lowered(self) -> Sequence[int]:
        """Students who have less to spend than before."""
        sums: Counter[int] = Counter()
        for posting in self.postings:
            sums[posting.student_id] += sum(move.minutes for move in posting.moves)
        return sorted(student_id for student_id, minutes in sums.items() if minutes < 0)

    def _members(self, act: ConsumptionAct) -> Sequence[Record]:
        ids = self.groups[act.group_id] if act.consumption_id is None else [act.consumption_id]
        return [self.records[record_id] for record_id in ids]

    def _plan(self, act: ConsumptionAct, record: Record) -> Plan | Fault:
        """What is planned moves at once: two of a group may have one account, since a guest's lots were handed over."""
        plan = DECISIONS[act.act](act, record, self.accounts[record.owner_id], self.now)
        if isinstance(plan, Plan):
            for posting in plan.postings:
                self.accounts[posting.student_id].apply(posting.moves)
        return plan

    def _undo(self, plans: Sequence[Plan]) -> None:
        for posting in (posting for plan in plans for posting in plan.postings):
            back = (Move(move.lot_id, -move.minutes, move.part) for move in posting.moves)
            self.accounts[posting.student_id].apply(back)

    def _keep(self, plans: Sequence[Plan]) -> None:
        for plan in plans:
            self.postings.extend(plan.postings)
            self._change(plan.after)

    def _refusal(self, record: Record, faults: Mapping[UUID, Fault]) -> Refusal:
        fault = faults[record.id]
        return self.shortages.word_for(record.owner_id) if fault is Fault.SHORT else fault

    def _refuse(self, members: Sequence[Record], refusals: Mapping[UUID, Refusal], first: Refusal) -> None:
        """Those at fault with their own word, the others of the group with the first of these."""
        for record in members:
            if record.state is ConsumptionState.REQUESTED:
                word = refusals.get(record.id, first).value
                self._change(replace(record, state=ConsumptionState.REFUSED, error_type=word))

    def _change(self, record: Record) -> None:
        self.records[record.id] = record
        self.changed.add(record.id)
