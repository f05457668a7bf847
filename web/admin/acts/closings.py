"""Differences and cases that somebody has looked at: closed with a note."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.lists.search import number_of, uuid_of
from billing.reads.written import euros
from billing.staff.wishes import CloseCase, CloseFinding, Wish
from web.admin.acts.form import Act, Input, Subject
from web.admin.lists.fields import page_of
from web.staff.bodies import NoteBody

FINDING = text("SELECT id, kind AS what, state, detail, ours_cents, theirs_cents FROM finding WHERE id = :id")
CASE = text("""
    SELECT id, reason AS what, state, detail, CAST(NULL AS integer) AS ours_cents,
        CAST(NULL AS integer) AS theirs_cents
    FROM staff_case WHERE id = :id
""")
NOTE = Input("note", "Note", "textarea", "What was found; it stays with it, and is the reason of the act.")


class Closing(Act):
    button = "Close it"

    async def _find(self, statement: TextClause, key: object, kind: str) -> Subject | None:
        async def query(connection: AsyncConnection) -> Any:
            return (await connection.execute(statement, {"id": key})).one_or_none()

        found = await self.door.ask(query)
        if found is None:
            return None
        facts = {"About": found.what, "State": found.state, "In words": found.detail}
        if found.ours_cents is not None or found.theirs_cents is not None:
            facts |= {"Here (€)": _amount(found.ours_cents), "There (€)": _amount(found.theirs_cents)}
        hindrance = "It is closed already." if found.state == "closed" else None
        return Subject(f"{kind.capitalize()} {key}", facts, hindrance=hindrance, back=page_of(kind, key), loaded=key)  # type: ignore[arg-type]

    def inputs(self, subject: Subject) -> Sequence[Input]:
        return (NOTE,)


class CloseOneFinding(Closing):
    name, title = "close-finding", "Close a finding"

    async def find(self, of: Sequence[str], now: datetime) -> Subject | None:
        key = uuid_of(of[0]) if len(of) == 1 else None
        return None if key is None else await self._find(FINDING, key, "finding")

    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        return CloseFinding(finding_id=subject.loaded), NoteBody.of(given).note


class CloseOneCase(Closing):
    name, title = "close-case", "Close a case"

    async def find(self, of: Sequence[str], now: datetime) -> Subject | None:
        key = number_of(of[0]) if len(of) == 1 else None
        return None if key is None else await self._find(CASE, key, "case")

    def wish(self, subject: Subject, given: Mapping[str, Any]) -> tuple[Wish, str]:
        return CloseCase(case_id=subject.loaded), NoteBody.of(given).note


def _amount(cents: int | None) -> str:
    return "" if cents is None else euros(cents)
