"""Who a student is, and what somebody has to look at for him."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.whose import Whose

WHO = "WITH who AS ({who}) SELECT id, external_id, email, email_verified, name, created_at FROM who"
MOST_CASES = 50
CASES = """
    WITH who AS ({who})
    SELECT staff_case.id, staff_case.reason, staff_case.detail, staff_case.opened_at, purchase.transaction_id
    FROM staff_case JOIN purchase ON purchase.id = staff_case.purchase_id
    WHERE staff_case.state = 'open' AND purchase.student_id = (SELECT id FROM who)
    ORDER BY staff_case.id DESC LIMIT :most
"""


@dataclass(frozen=True, slots=True)
class StudentView:
    """`external_id` is the platform's; a guest has none."""

    id: int
    external_id: str | None
    email: str
    email_verified: bool
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CaseView:
    id: int
    reason: str
    detail: str
    opened_at: datetime
    transaction_id: int


async def find_student(connection: AsyncConnection, whose: Whose) -> StudentView | None:
    row = (await connection.execute(whose.statement(WHO), whose.values())).mappings().one_or_none()
    return None if row is None else StudentView(**{**row, "created_at": row["created_at"].astimezone(UTC)})


async def open_cases(connection: AsyncConnection, whose: Whose) -> Sequence[CaseView]:
    """The newest first."""
    rows = (await connection.execute(whose.statement(CASES), whose.values(most=MOST_CASES))).mappings()
    return [CaseView(**{**row, "opened_at": row["opened_at"].astimezone(UTC)}) for row in rows]
