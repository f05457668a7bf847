"""Whether a student wants to be told."""

from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reads.whose import Whose

WISH = "WITH who AS ({who}) SELECT is_warned FROM who"
SET_WISH = """
    WITH who AS ({who})
    UPDATE student SET is_warned = :is_warned FROM who WHERE student.id = who.id RETURNING student.is_warned
"""


async def wants_warnings(connection: AsyncConnection, whose: Whose) -> bool | None:
    """None where there is no such student."""
    found = await connection.execute(whose.statement(WISH), whose.values())
    return found.scalar_one_or_none()


async def set_warnings(connection: AsyncConnection, whose: Whose, *, is_warned: bool) -> bool | None:
    """What is wished from now on; mail that waits already is skipped when its turn comes. None: no such student."""
    found = await connection.execute(whose.statement(SET_WISH), whose.values(is_warned=is_warned))
    return found.scalar_one_or_none()
