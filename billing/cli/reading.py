"""The door's reads, for the time of one command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from billing import db
from billing.cli.database import PATIENCE
from billing.config import Settings
from billing.errors import PermanentError

T = TypeVar("T")


class NothingFoundError(PermanentError):
    """What a command was asked about is not there."""


class NotMigratedError(PermanentError):
    """A table is missing that this version reads."""


def ask(settings: Settings, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    try:
        return ask_at(settings.database_url, query)
    except ProgrammingError as error:
        raise NotMigratedError("the schema is not the one of this version; run `billing migrate`") from error


def ask_at(url: str, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Errors that are about the statement stay the driver's."""
    return asyncio.run(_ask(url, query))


async def _ask(url: str, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    engine = db.connect_async(url, "command", pool_size=1, **PATIENCE)
    try:
        async with db.begin_async(engine) as connection:
            return await query(connection)
    finally:
        await engine.dispose()


def table(rows: list[tuple[str, ...]], indent: str = "") -> None:
    """Columns as wide as what is in them."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        typer.echo(f"{indent}{'  '.join(cells)}".rstrip())
