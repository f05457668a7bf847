"""Sessions of the admin: begun by a sign-in, believed while their row says so, and ended in every browser at once.

Instants are the machine's: a session is as long as people sit before it, wherever business time was moved to.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Who signs in again leaves the former session of that browser. The clocks of two doors may differ by a little.
BEGIN = text("""
    WITH former AS (
        UPDATE staff_sign_in SET signed_out_at = greatest(:signed_in_at, signed_in_at)
        WHERE id = :former AND signed_out_at IS NULL AND until > :signed_in_at
    )
    INSERT INTO staff_sign_in (id, sub, name, roles, signed_in_at, until)
    VALUES (:id, :sub, :name, CAST(:roles AS text[]), :signed_in_at, :until)
    ON CONFLICT (id) DO NOTHING
""")
FIND = text("""
    SELECT id, sub, name, roles, signed_in_at, until FROM staff_sign_in
    WHERE id = :id AND signed_out_at IS NULL AND until > :now
""")
END = text("""
    UPDATE staff_sign_in SET signed_out_at = greatest(:now, signed_in_at) WHERE id = :id AND signed_out_at IS NULL
""")


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who signed in, with which roles of the token, and the first instant at which that counts no more."""

    id: UUID
    sub: str
    name: str
    roles: tuple[str, ...]
    signed_in_at: datetime
    until: datetime


async def begin_sign_in(connection: AsyncConnection, sign_in: SignIn, *, former: UUID | None) -> None:
    """The same one again, after a connection was lost, finds itself there."""
    values = {
        "id": sign_in.id,
        "sub": sign_in.sub,
        "name": sign_in.name,
        "roles": [*sign_in.roles],
        "signed_in_at": sign_in.signed_in_at,
        "until": sign_in.until,
        "former": former,
    }
    await connection.execute(BEGIN, values)


async def find_sign_in(connection: AsyncConnection, sign_in_id: UUID, *, now: datetime) -> SignIn | None:
    """None where there is none of that id, or where it has ended."""
    row = (await connection.execute(FIND, {"id": sign_in_id, "now": now})).mappings().first()
    return None if row is None else SignIn(**{**row, "roles": tuple(row["roles"])})


async def end_sign_in(connection: AsyncConnection, sign_in_id: UUID, *, now: datetime) -> None:
    """Whoever has a copy of its cookie is out as well."""
    await connection.execute(END, {"id": sign_in_id, "now": now})
