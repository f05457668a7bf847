"""`billing students`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from billing import clock
from billing.cli import acts, refunds, warnings
from billing.cli.reading import NothingFoundError, ask, table
from billing.clock import utc_now
from billing.config import Settings
from billing.reads.balances import BalanceView, balance_of, written_sums
from billing.reads.history import TransactionView, history_of
from billing.reads.ledger import EntryView, ledger_of
from billing.reads.packages import PackageView
from billing.reads.pages import Slice
from billing.reads.students import CaseView, StudentView, find_student, open_cases
from billing.reads.whose import Whose, of_address, of_id
from billing.reads.written import euros, hours, instant
from billing.staff.wishes import LONGEST_DAYS, MOST_PACKAGES, BulkExtend, Correct, Extend, Grant, Wish

app = typer.Typer(help="What students have.", no_args_is_help=True)
app.command()(warnings.warnings)
app.command()(refunds.refund)

Who = Annotated[str, typer.Argument(metavar="EMAIL|ID", help="An address, our id, or the platform's id.")]
Hours = Annotated[int, typer.Option(parser=acts.minutes_of, metavar="HOURS", help="Such as 2 or 1.50.")]
Days = Annotated[int, typer.Option(min=1, max=LONGEST_DAYS, help="Whole days after today, or after the last one.")]
Reason = Annotated[str, typer.Option(callback=acts.reason_of, help="Why; it stays in the audit log.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]

LATEST = Slice(size=10)


@app.callback()
def nouns() -> None:
    """What students have."""


@dataclass(frozen=True, slots=True)
class Record:
    """All that support wants to see at once."""

    student: StudentView
    balance: BalanceView
    transactions: Sequence[TransactionView]
    entries: Sequence[EntryView]
    cases: Sequence[CaseView]


@app.command()
def show(who: Who, as_json: AsJson = False) -> None:
    """Who it is, hours and packages, the last purchases and entries, open cases."""
    record = ask(_settings(), lambda connection: _record(connection, _whose(who), utc_now()))
    if record is None:
        raise _nobody(who)
    if as_json:
        typer.echo(json.dumps(_as_json(record)))
    else:
        _print(record)


@app.command()
def balance(who: Who, as_json: AsJson = False) -> None:
    """What may be spent now, and where all other hours went."""
    found = ask(_settings(), lambda connection: balance_of(connection, _whose(who), now=utc_now()))
    if found is None:
        raise _nobody(who)
    if as_json:
        typer.echo(json.dumps({"student_id": found.student_id, "email": found.email, **written_sums(found)}))
    else:
        table([(name.replace("_", " "), value) for name, value in written_sums(found).items()])


@app.command()
def grant(who: Who, hours: Hours, days: Days, reason: Reason, as_json: AsJson = False) -> None:
    """Give hours that nobody pays for."""
    settings = _settings()
    wish = Grant(student_id=_student(settings, who).id, minutes=hours, validity_days=days)
    _perform(settings, wish, reason, as_json=as_json)


@app.command()
def correct(who: Who, hours: Hours, reason: Reason, as_json: AsJson = False) -> None:
    """Take back hours that should never have been there."""
    settings = _settings()
    _perform(settings, Correct(student_id=_student(settings, who).id, minutes=hours), reason, as_json=as_json)


@app.command()
def extend(
    transaction_ids: Annotated[list[int], typer.Argument(metavar="TRANSACTION_ID...", min=1, max=2**63 - 1)],
    days: Days,
    reason: Reason,
    from_now: Annotated[bool, typer.Option("--from-now", help="After today, not after the last day.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let packages last longer: all of these, or none. What was written off of them comes back."""
    if len(transaction_ids) > MOST_PACKAGES:
        raise typer.BadParameter(f"{MOST_PACKAGES} at most", param_hint="TRANSACTION_ID...")
    each_once = tuple(dict.fromkeys(transaction_ids))
    wish: Wish = BulkExtend(transaction_ids=each_once, extension_days=days, extend_from_now=from_now)
    if len(each_once) == 1:
        wish = Extend(transaction_id=each_once[0], extension_days=days, extend_from_now=from_now)
    _perform(_settings(), wish, reason, as_json=as_json)


def _perform(settings: Settings, wish: Wish, reason: str, *, as_json: bool) -> None:
    act = acts.perform(settings, wish, reason)
    if as_json:
        typer.echo(json.dumps(acts.as_json(act)))
    else:
        typer.echo(f"{act.action} of {act.target}: {act.state}")
        table(acts.changes_of(act), indent="  ")


def _student(settings: Settings, who: str) -> StudentView:
    found = ask(settings, lambda connection: find_student(connection, _whose(who)))
    if found is None:
        raise _nobody(who)
    return found


async def _record(connection: AsyncConnection, whose: Whose, now: datetime) -> Record | None:
    student = await find_student(connection, whose)
    balance = await balance_of(connection, whose, now=now)
    if student is None or balance is None:
        return None
    history = await history_of(connection, whose, LATEST)
    ledger = await ledger_of(connection, whose, LATEST)
    return Record(student, balance, history.rows, ledger.rows, await open_cases(connection, whose))


def _settings() -> Settings:
    """What has expired is what the door shows as expired, also where the sandbox's clock was moved."""
    settings = Settings.load()
    clock.follow(settings)
    return settings


def _whose(who: str) -> Whose:
    given = who.strip()
    return of_address(given.lower()) if "@" in given else of_id(given)


def _nobody(who: str) -> NothingFoundError:
    return NothingFoundError(f"no student has the address or id {who}; `billing students show` takes either")


def _as_json(record: Record) -> dict[str, Any]:
    student = record.student
    return {
        "student": {
            "id": student.id,
            "external_id": student.external_id,
            "email": student.email,
            "email_verified": student.email_verified,
            "name": student.name,
            "created_at": instant(student.created_at),
        },
        "balance_summary": written_sums(record.balance),
        "packages": [_package(package) for package in record.balance.packages],
        "transactions": [_transaction(one) for one in record.transactions],
        "entries": [_entry(one) for one in record.entries],
        "open_cases": [_case(one) for one in record.cases],
    }


def _package(package: PackageView) -> dict[str, Any]:
    return {
        "transaction_id": package.transaction_id,
        "plan_name": package.plan_name,
        "hours_included": hours(package.minutes_included),
        "hours_consumed": hours(package.minutes_consumed),
        "hours_remaining": hours(package.minutes_remaining),
        "expires_at": package.expires_at and instant(package.expires_at),
        "is_expired": package.is_expired,
    }


def _transaction(one: TransactionView) -> dict[str, Any]:
    return {
        "transaction_id": one.transaction_id,
        "task_id": str(one.task_id),
        "plan_name": one.plan_name,
        "amount": euros(one.amount_cents),
        "refunded_eur": euros(one.refunded_cents),
        "payment_status": one.payment_status,
        "created_at": instant(one.created_at),
        "paid_at": one.paid_at and instant(one.paid_at),
    }


def _entry(one: EntryView) -> dict[str, Any]:
    return {
        "id": one.id,
        "at": instant(one.at),
        "kind": one.kind,
        "hours": hours(one.minutes),
        "minutes": one.minutes,
        "balance_after": hours(one.balance_after),
        "source": one.source,
    }


def _case(one: CaseView) -> dict[str, Any]:
    return {
        "id": one.id,
        "reason": one.reason,
        "detail": one.detail,
        "transaction_id": one.transaction_id,
        "opened_at": instant(one.opened_at),
    }


def _print(record: Record) -> None:
    student, sums = record.student, written_sums(record.balance)
    known = f"platform id {student.external_id}" if student.external_id else "guest"
    proven = "verified" if student.email_verified else "not verified"
    typer.echo(f"{student.name} <{student.email}> ({proven}), student {student.id}, {known}")
    typer.echo(f"{sums.pop('remaining_hours')} hours to spend; {sums.pop('balance_amount')} € paid and kept")
    typer.echo(", ".join(f"{value} {name.removeprefix('hours_')}" for name, value in sums.items()))
    _section("packages", [_package_line(package) for package in record.balance.packages])
    _section("last purchases", [_transaction_line(one) for one in record.transactions])
    _section("last entries", [_entry_line(one) for one in record.entries])
    _section("open cases", [(f"#{one.id}", one.reason, f"#{one.transaction_id}", one.detail) for one in record.cases])


def _section(title: str, rows: list[tuple[str, ...]]) -> None:
    typer.echo(f"\n{title}{'' if rows else ': none'}")
    if rows:
        table(rows, indent="  ")


def _package_line(package: PackageView) -> tuple[str, ...]:
    until = f"until {instant(package.expires_at)}" if package.expires_at else "without end"
    left = f"{hours(package.minutes_remaining)} of {hours(package.minutes_included)} h left"
    number = f"#{package.transaction_id}" if package.transaction_id else "-"
    return number, package.plan_name, left, until, "expired" if package.is_expired else ""


def _transaction_line(one: TransactionView) -> tuple[str, ...]:
    refunded = f"{euros(one.refunded_cents)} € refunded" if one.refunded_cents else ""
    amount = f"{euros(one.amount_cents)} €"
    return f"#{one.transaction_id}", one.payment_status, one.plan_name, amount, instant(one.created_at), refunded


def _entry_line(one: EntryView) -> tuple[str, ...]:
    return instant(one.at), one.kind, f"{hours(one.minutes)} h", f"= {hours(one.balance_after)} h", one.source
