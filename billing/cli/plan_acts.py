"""`billing plans create`, `edit` and the like: the acts of the door, with a reason, in this process."""

import json
from contextlib import suppress
from datetime import UTC, date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from billing import clock
from billing.cli import acts
from billing.cli.reading import NothingFoundError, ask, table
from billing.cli.refunds import cents_of
from billing.config import Settings
from billing.plans.terms import LONGEST_DAYS
from billing.reads.plans import find_plan
from billing.staff.accept_plan import accept_plan
from billing.staff.plan_wishes import LARGEST_ID, LAST_PLACE, CreatePlan, EditPlan, SetPlans
from billing.staff.wishes import Wish
from billing.states import PlanType

Number = Annotated[int, typer.Argument(metavar="PLAN_ID", min=1, max=LARGEST_ID)]
Numbers = Annotated[list[int], typer.Argument(metavar="PLAN_ID...", min=1, max=LARGEST_ID)]
Price = Annotated[int, typer.Option(parser=cents_of, metavar="EUROS", help="Such as 140 or 140.00.")]
Hours = Annotated[int, typer.Option(parser=acts.minutes_of, metavar="HOURS", help="Such as 10 or 1.50.")]
Name = Annotated[str, typer.Option(help="Of no other active plan.")]
Description = Annotated[str, typer.Option(help="What buyers read.")]
Days = Annotated[int | None, typer.Option(min=1, max=LONGEST_DAYS, help="Of a package: how long its hours last.")]
Rollover = Annotated[
    int | None,
    typer.Option(parser=acts.minutes_of, metavar="HOURS", help="Of a subscription: what a period hands on at most."),
]
Begin = Annotated[
    str | None, typer.Option("--from", metavar="DAY|INSTANT", help="A day in business time; now, if absent.")
]
Place = Annotated[int, typer.Option("--place", min=0, max=LAST_PLACE, help="Of the first; the others stand behind.")]
Reason = Annotated[str, typer.Option(callback=acts.reason_of, help="Why; it stays in the audit log.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def create(
    name: Name,
    hours: Hours,
    price: Price,
    reason: Reason,
    description: Description = "",
    days: Days = None,
    rollover: Rollover = None,
    begin: Begin = None,
    as_json: AsJson = False,
) -> None:
    """Make a plan: with --days a package, without them a subscription of a month."""
    settings = Settings.load()
    wish = CreatePlan(
        name=name.strip(),
        description=description.strip(),
        plan_type=PlanType.SUBSCRIPTION if days is None else PlanType.PACKAGE,
        minutes=hours,
        price_cents=price,
        validity_days=days,
        rollover_minutes=rollover,
        effective_from=_begin(begin, settings.zone),
    )
    _do(settings, wish, reason, as_json=as_json)


def edit(
    plan_id: Number,
    reason: Reason,
    name: Annotated[str | None, typer.Option(help="Of no other active plan.")] = None,
    description: Annotated[str | None, typer.Option(help="What buyers read.")] = None,
    hours: Annotated[int | None, typer.Option(parser=acts.minutes_of, metavar="HOURS")] = None,
    price: Annotated[int | None, typer.Option(parser=cents_of, metavar="EUROS")] = None,
    days: Days = None,
    rollover: Rollover = None,
    no_rollover: Annotated[bool, typer.Option("--no-rollover", help="A period hands nothing on.")] = False,
    begin: Begin = None,
    expected_version: Annotated[int | None, typer.Option(help="That you have seen; the newest, if absent.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change what a plan says, by a new version; who has bought keeps what he bought."""
    settings = Settings.load()
    wish = EditPlan(
        plan_id=plan_id,
        expected_version=_newest(settings, plan_id) if expected_version is None else expected_version,
        name=name and name.strip(),
        description=None if description is None else description.strip(),
        minutes=hours,
        price_cents=price,
        validity_days=days,
        rollover_minutes=0 if no_rollover else rollover,
        effective_from=_begin(begin, settings.zone),
    )
    _do(settings, wish, reason, as_json=as_json)


def activate(plan_ids: Numbers, reason: Reason, as_json: AsJson = False) -> None:
    """Put plans on sale."""
    _do(Settings.load(), SetPlans(plan_ids=tuple(plan_ids), is_active=True), reason, as_json=as_json)


def deactivate(plan_ids: Numbers, reason: Reason, as_json: AsJson = False) -> None:
    """Take plans off sale; who has bought keeps what he bought."""
    _do(Settings.load(), SetPlans(plan_ids=tuple(plan_ids), is_active=False), reason, as_json=as_json)


def feature(plan_ids: Numbers, reason: Reason, as_json: AsJson = False) -> None:
    """Show plans as featured."""
    _do(Settings.load(), SetPlans(plan_ids=tuple(plan_ids), is_featured=True), reason, as_json=as_json)


def unfeature(plan_ids: Numbers, reason: Reason, as_json: AsJson = False) -> None:
    """Show plans as any other."""
    _do(Settings.load(), SetPlans(plan_ids=tuple(plan_ids), is_featured=False), reason, as_json=as_json)


def order(plan_ids: Numbers, place: Place, reason: Reason, as_json: AsJson = False) -> None:
    """Show plans in this order, from a place of the list on."""
    _do(Settings.load(), SetPlans(plan_ids=tuple(plan_ids), display_order=place), reason, as_json=as_json)


ACTS = (create, edit, activate, deactivate, feature, unfeature, order)


def _do(settings: Settings, wish: Wish, reason: str, *, as_json: bool) -> None:
    clock.follow(settings)
    act = acts.perform(settings, wish, reason, accept_plan)
    if as_json:
        typer.echo(json.dumps(acts.as_json(act)))
        return
    typer.echo(f"{act.action} of {act.target}: {act.state}")
    before, after = dict(act.before or {}), dict(act.after or {})
    pairs = zip(before.get("plans", [before]), after.get("plans", [after]), strict=True)
    if lines := [line for was, now in pairs for line in _lines(was, now)]:
        table(lines, indent="  ")


def _lines(was: dict[str, object], now: dict[str, object]) -> list[tuple[str, ...]]:
    """What is otherwise of one plan."""
    plan = f"plan {now['plan_id']}: "
    changed = [name for name in now if was.get(name) != now[name] and name not in ("plan_id", "minutes")]
    return [(plan + name.replace("_", " "), _said(was.get(name)), "→", _said(now[name])) for name in changed]


def _said(value: object) -> str:
    return "-" if value in (None, "") else str(value)


def _newest(settings: Settings, plan_id: int) -> int:
    found = ask(settings, lambda connection: find_plan(connection, plan_id))
    if found is None or found.newest is None:
        raise NothingFoundError(f"there is no plan {plan_id}")
    return found.newest.version


def _begin(given: str | None, zone: ZoneInfo) -> datetime | None:
    """Of a day its first instant. Raises BadParameter."""
    if given is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(given), time(), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return _instant(given)


def _instant(given: str) -> datetime:
    """Raises BadParameter where it is none, or has no zone."""
    with suppress(ValueError, OverflowError):
        at = datetime.fromisoformat(given)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    raise typer.BadParameter("a day such as 2026-09-01, or an instant with its zone", param_hint="--from")
