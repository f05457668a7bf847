"""What gave up: worked anew after a look at what that would do, put aside, or done with."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.deadletters.names import LetterName
from billing.deadletters.preview import Preview, Terms, preview
from billing.errors import NotFoundError, RefusedError
from billing.staff.wishes import Discard, Park, Replay, Wish
from web.admin.acts.form import REASON, Act, Input, Subject, Table
from web.admin.lists.fields import place_of
from web.staff.bodies import ReasonBody

LETTER = text("""
    SELECT state, reason, attempts, at FROM dead_letter WHERE kind = :kind AND subject = :subject
""")


def name_of(of: Sequence[str]) -> LetterName | None:
    kind, _, subject = of[0].partition(":")
    return LetterName.of(kind, subject) if len(of) == 1 else None


class WorkAnew(Act):
    """Of anything that has a row of work: what gave up, and an event that was ignored or put aside."""

    name, title, button = "replay", "Replay", "Work it anew"
    needs_recent_sign_in = True

    async def find(self, of: Sequence[str], now: datetime) -> Subject | None:
        name = name_of(of)
        if name is None:
            return None
        terms = Terms(self.door.settings.livemode, self.door.settings.zone, now)
        back = place_of(str(name)) or "/admin/letter/list"
        try:
            seen = await self.door.change(lambda connection: preview(connection, name, terms))
        except NotFoundError:
            return None
        except RefusedError as error:
            return Subject(str(name), {}, hindrance=str(error), back=back, loaded=name)
        return Subject(str(name), _facts(seen), _tables(seen), back=back, loaded=name)

    def inputs(self, subject: Subject) -> Sequence[Input]:
        return (REASON,)

    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        name: LetterName = subject.loaded
        return Replay(kind=name.kind, subject=name.subject), ReasonBody.of(given).reason


def _facts(seen: Preview) -> dict[str, str]:
    facts = {"It would be": str(seen.result), "What it would do": seen.says}
    return {**facts, "Its handler would break": seen.error} if seen.error else facts


def _tables(seen: Preview) -> Sequence[Table]:
    """What would be written, a table for each kind of row."""
    return [
        Table(
            what.replace("_", " ").capitalize(),
            [name.replace("_", " ") for name in rows[0]],
            [[str(value) for value in row.values()] for row in rows],
        )
        for what, rows in seen.effects.items()
        if rows
    ]


class OfLetter(Act):
    async def find(self, of: Sequence[str], now: datetime) -> Subject | None:
        name = name_of(of)
        if name is None:
            return None

        async def query(connection: AsyncConnection) -> Any:
            given = {"kind": name.kind, "subject": name.subject}
            return (await connection.execute(LETTER, given)).one_or_none()

        found = await self.door.ask(query)
        if found is None:
            return None
        facts = {"State": found.state, "Why it gave up": found.reason or "", "Attempts": str(found.attempts)}
        return Subject(str(name), facts, back="/admin/letter/list", loaded=name)

    def inputs(self, subject: Subject) -> Sequence[Input]:
        return (REASON,)


class PutAside(OfLetter):
    name, title, button = "park", "Put aside", "Put it aside"

    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        name: LetterName = subject.loaded
        return Park(kind=name.kind, subject=name.subject), ReasonBody.of(given).reason


class BeDoneWith(OfLetter):
    name, title, button = "discard", "Discard", "Never work it"

    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        name: LetterName = subject.loaded
        return Discard(kind=name.kind, subject=name.subject), ReasonBody.of(given).reason
