"""Hours that nobody paid for, and hours that should never have been there."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from billing.lists.search import number_of
from billing.reads.balances import BalanceView, balance_of
from billing.reads.whose import of_id
from billing.reads.written import hours
from billing.staff.wishes import Correct, Grant, Wish
from web.admin.acts.form import REASON, Act, Input, Subject
from web.admin.lists.fields import page_of
from web.hour_schemas import Hours
from web.schemas import Body
from web.staff.bodies import Days, Reason


class GrantBody(Body):
    hours: Hours
    """Held in minutes, once it is read."""
    validity_days: Days
    reason: Reason


class CorrectBody(Body):
    hours: Hours
    reason: Reason


class OfStudent(Act):
    needs_recent_sign_in = True

    async def find(self, of: Sequence[str], now: datetime) -> Subject | None:
        if len(of) != 1 or number_of(of[0]) is None:
            return None

        async def query(connection: AsyncConnection) -> BalanceView | None:
            return await balance_of(connection, of_id(of[0]), now=now)

        balance = await self.door.ask(query)
        return None if balance is None or balance.student_id is None else self._shown(balance, balance.student_id)

    def _shown(self, balance: BalanceView, student_id: int) -> Subject:
        facts = {
            "Student": f"{balance.name}, {balance.email}",
            "Hours that can be spent": hours(balance.minutes_remaining),
        }
        return Subject(f"Student {student_id}", facts, back=page_of("student", student_id), loaded=student_id)


class GrantHours(OfStudent):
    name, title, button = "grant", "Grant hours", "Grant these hours"

    def inputs(self, subject: Subject) -> Sequence[Input]:
        return (
            Input("hours", "Hours", hint="A whole number of minutes, such as 1.50."),
            Input("validity_days", "Days", "number", "How long they last, today included.", "30"),
            REASON,
        )

    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        body = GrantBody.of(given)
        wish = Grant(student_id=subject.loaded, minutes=body.hours, validity_days=body.validity_days)
        return wish, body.reason


class TakeHoursBack(OfStudent):
    name, title, button = "correct", "Take hours back", "Take these hours back"

    def inputs(self, subject: Subject) -> Sequence[Input]:
        return (Input("hours", "Hours", hint="A whole number of minutes, such as 1.50."), REASON)

    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        body = CorrectBody.of(given)
        return Correct(student_id=subject.loaded, minutes=body.hours), body.reason
