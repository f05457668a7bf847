"""`billing students warnings`."""

import json
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.cli.reading import NothingFoundError, ask
from billing.config import Settings
from billing.notifications.wishes import set_warnings, wants_warnings
from billing.reads.whose import Whose, of_address, of_id

Who = Annotated[str, typer.Argument(metavar="EMAIL|ID", help="An address, our id, or the platform's id.")]
On = Annotated[bool | None, typer.Option("--on/--off", help="Neither: only say what is wished.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def warnings(who: Who, is_on: On = None, as_json: AsJson = False) -> None:
    """Whether mail about hours that expire or run out is wanted."""
    given = who.strip()
    whose = of_address(given.lower()) if "@" in given else of_id(given)
    found = ask(Settings.load(), lambda connection: _wish(connection, whose, is_on))
    if found is None:
        raise NothingFoundError(f"no student has the address or id {who}; `billing students show` takes either")
    if as_json:
        typer.echo(json.dumps({"warnings": found}))
    else:
        typer.echo("warnings are on" if found else "warnings are off")


async def _wish(connection: AsyncConnection, whose: Whose, is_on: bool | None) -> bool | None:
    if is_on is None:
        return await wants_warnings(connection, whose)
    return await set_warnings(connection, whose, is_warned=is_on)
