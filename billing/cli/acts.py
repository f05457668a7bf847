"""Acts of staff by command: accepted and done by the same use case as the door's, in this process."""

import getpass
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from billing import work
from billing.cli.database import connected
from billing.cli.reading import ask
from billing.clock import utc_now
from billing.config import Settings
from billing.errors import PermanentError
from billing.ids import new_id
from billing.messages import PerformStaffAct
from billing.reads.staff_acts import ActView, find_act
from billing.reads.written import hours, instant
from billing.staff.accept import AcceptedAct, ActRequest, accept_act
from billing.staff.perform import perform_act
from billing.staff.refunds import policy_of
from billing.staff.wishes import MOST_MINUTES, Wish
from billing.states import ActState

REASON_LENGTH = 500

PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each try: a worker may have it in hand, or it broke and is due again in a moment."""

Accept = Callable[[AsyncConnection, ActRequest], Awaitable[AcceptedAct]]


class ActRefusedError(PermanentError):
    """The rules do not allow it; the refusal is in the audit log."""


class ActWaitsError(PermanentError):
    """It is accepted, and somebody else has it in hand."""


class OwnLease:
    """Nobody renews it: it is longer than any statement may take, and the command ends with the act."""

    terms = work.LeaseTerms(seconds=30)

    @contextmanager
    def held(self, token: UUID) -> Iterator[None]:
        yield


def perform(settings: Settings, wish: Wish, reason: str, accept: Accept = accept_act) -> ActView:
    """The act when it is done. Raises ActRefusedError, or ActWaitsError where it is not decided."""
    request = _request(wish, reason)
    act_id = ask(settings, lambda connection: accept(connection, request)).id
    message, zone, refunds = PerformStaffAct(act_id=act_id), settings.zone, policy_of(settings)
    with connected(settings) as begin:
        for pause in PAUSES:
            time.sleep(pause)
            perform_act(begin, OwnLease(), message, zone=zone, refunds=refunds, now=utc_now())
            act = ask(settings, lambda connection: find_act(connection, act_id))
            if act is not None and act.state is not ActState.REQUESTED:
                return _granted(act)
    raise ActWaitsError(f"the act {act_id} is accepted; a worker does it, and the audit log will tell")


def _granted(act: ActView) -> ActView:
    if act.state is ActState.REFUSED:
        raise ActRefusedError(act.error_message or str(act.error_type))
    return act


def _request(wish: Wish, reason: str) -> ActRequest:
    return ActRequest(
        id=new_id(),
        wish=wish,
        reason=reason,
        actor=f"cli:{_login()}",
        address=None,
        idempotency_key=None,
        body_hash=None,
        request_id=new_id().hex,
        requested_at=utc_now(),
    )


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "unknown"


def minutes_of(given: str) -> int:
    """Of hours as people write them. Raises BadParameter."""
    try:
        minutes = Decimal(given) * 60
    except InvalidOperation:
        raise typer.BadParameter("a number of hours such as 2 or 1.50") from None
    if not minutes.is_finite() or not 0 < minutes <= MOST_MINUTES:
        raise typer.BadParameter(f"more than 0 and at most {MOST_MINUTES // 60}")
    if minutes != int(minutes):
        raise typer.BadParameter("a whole number of minutes")
    return int(minutes)


def reason_of(given: str) -> str:
    """Trimmed. Raises BadParameter."""
    reason = given.strip()
    if not 0 < len(reason) <= REASON_LENGTH or "\0" in reason:
        raise typer.BadParameter(f"1 to {REASON_LENGTH} characters")
    return reason


def as_json(act: ActView) -> dict[str, Any]:
    return {
        "id": str(act.id),
        "action": act.action,
        "target": act.target,
        "actor": act.actor,
        "reason": act.reason,
        "status": act.state,
        "before": act.before,
        "after": act.after,
        "at": instant(act.requested_at),
    }


def changes_of(act: ActView) -> list[tuple[str, ...]]:
    """A line for each package or sum that changed: what it is, what was there, what is there."""
    before, after = dict(act.before or {}), dict(act.after or {})
    if "packages" in after:
        pairs = zip(before["packages"], after["packages"], strict=True)
        return [line for was, now in pairs for line in _lines(was, now, f"package {now['transaction_id']}: ")]
    return _lines(before, after, "")


def _lines(before: dict[str, Any], after: dict[str, Any], prefix: str) -> list[tuple[str, ...]]:
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    return [
        (f"{prefix}{_named(name)}", _written(name, before.get(name)), "→", _written(name, value))
        for name, value in changed.items()
    ]


def _named(name: str) -> str:
    return name.replace("minutes", "hours").replace("_", " ")


def _written(name: str, value: Any) -> str:
    if value is None:
        return "-"
    return f"{hours(value)} h" if name.startswith("minutes") else str(value)
