"""What answers to staff look like."""

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from billing.states import ActState, StaffAction, SweepState
from web.openapi.answers import MAYBE, Absent, Hours, Instant, Package, PageOf, Path, Shape


class StaffActAccepted(Shape):
    """The act is committed; what becomes of it is at `status_url`."""

    success: Literal[True]
    id: UUID
    status: ActState = Field(description="`requested`; of a repeated request the state of now.")
    status_url: Path


class ExtendedPackage(Package):
    success: Literal[True]


class ExtendedPackages(Shape):
    success: Literal[True]
    packages: list[Package]


class PackageOwner(Shape):
    id: int
    name: str
    email: str


class ExpiringPackage(Package):
    student: PackageOwner


class ExpiringPackagePage(PageOf):
    results: list[ExpiringPackage]


class ExpiredPackage(ExpiringPackage):
    hours_expired: Hours = Field(description="What nobody took in time, written off or not yet.")
    is_swept: bool = Field(description="Whether nothing is left to be written off.")


class ExpiredPackagePage(PageOf):
    results: list[ExpiredPackage]


class Sweep(Shape):
    id: int
    status: SweepState
    started_at: Instant
    finished_at: Instant | None


class Loser(Shape):
    id: int
    email: str


class Loss(Shape):
    student: Loser
    packages: int
    hours: Hours
    minutes: int
    expired_since: Instant = Field(description="When the first of these packages expired.")


class ProcessedExpired(Shape):
    """What a sweep has written off so far, or what one would write off now."""

    success: Literal[True]
    dry_run: bool
    grace_hours: int
    cutoff: Instant = Field(description="What expired then or earlier.")
    students: int
    packages: int
    hours: Hours
    minutes: int
    run: Sweep | Absent = MAYBE
    losses: list[Loss] | Absent = MAYBE
    """Of a dry run: those who would lose most."""


class StaffActRow(Shape):
    """One line of the audit log."""

    id: UUID
    action: StaffAction
    actor: str = Field(description="The `sub` of a token; `cli:` and a login name for a command.")
    reason: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    address: str | None
    status: ActState
    success: bool | None = Field(description="Null as long as it is not decided.")
    error_type: str | None
    error_message: str | None
    at: Instant
    decided_at: Instant | None


class StaffActPage(PageOf):
    results: list[StaffActRow]
