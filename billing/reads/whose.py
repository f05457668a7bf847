"""Whose records a read is about: the one place that finds the student of a caller."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import TextClause, text

OF_CALLER = """
    SELECT * FROM student WHERE external_id = :sub OR (external_id IS NULL AND email = :email)
    ORDER BY external_id NULLS LAST LIMIT 1
"""
OF_ADDRESS = """
    SELECT * FROM student WHERE (email = :email AND email_verified) OR (email = :email AND external_id IS NULL)
    ORDER BY email_verified DESC LIMIT 1
"""
OF_ID = """
    SELECT * FROM student WHERE id = CAST(:student_id AS bigint) OR external_id = :external_id
    ORDER BY id IS NOT DISTINCT FROM CAST(:student_id AS bigint) DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Whose:
    """At most one student: `who` selects it by what is `given`.

    `caller` is the platform's id of a student who reads for himself; None is somebody who may see everything.
    """

    who: str
    given: Mapping[str, str | int | None]
    caller: str | None = None

    def statement(self, template: str) -> TextClause:
        """The template with our student in place of `{who}`."""
        return _statement(template, self.who)

    def values(self, **more: Any) -> dict[str, Any]:
        return {**self.given, **more}


@cache
def _statement(template: str, who: str) -> TextClause:
    return text(template.replace("{who}", who))


def of_caller(sub: str, verified_email: str | None) -> Whose:
    """The student that the platform knows by `sub`, else the guest student of the verified address."""
    return Whose(OF_CALLER, {"sub": sub, "email": verified_email}, caller=sub)


def of_address(email: str) -> Whose:
    """The student who has verified this address, else the guest student of it."""
    return Whose(OF_ADDRESS, {"email": email})


def of_id(given: str) -> Whose:
    """The student of this id, else the one that the platform knows by it."""
    is_ours = given.isascii() and given.isdigit() and len(given) < 19
    return Whose(OF_ID, {"student_id": int(given) if is_ours else None, "external_id": given})
