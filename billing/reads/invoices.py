"""Whether there is a receipt that an invoice's name can be printed on."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

ISSUED = text("SELECT EXISTS (SELECT FROM receipt WHERE id = :id AND issued_at IS NOT NULL)")


async def is_issued(connection: AsyncConnection, receipt_id: UUID) -> bool:
    return bool((await connection.execute(ISSUED, {"id": receipt_id})).scalar_one())
