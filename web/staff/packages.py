"""Packages of everybody: which expired or are about to, and how they are made to last longer."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.reads.expiring import (
    OwnedPackageView,
    expired_packages,
    expiring_packages,
    packages_of,
    unknown_transactions,
)
from billing.staff.wishes import BulkExtend, Extend
from web.answers import hours
from web.bodies import read_json
from web.door import Door
from web.errors import HttpError, invalid, not_found
from web.idempotency import idempotency_key
from web.packages import package_row
from web.pages import asked_slice, page_answer
from web.staff.acts import StaffActs, staff_member
from web.staff.bodies import LARGEST_ID, BulkExtendBody, ExtendBody

DAYS, LONGEST_LOOK_DAYS = 7, 365
NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)


class StaffPackageRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._acts = StaffActs(door)

    async def extend(self, request: Request) -> Response:
        who = await staff_member(self._door, request)
        idempotency_key(request)
        body = ExtendBody.of(await read_json(request))
        (transaction_id,) = await self._known([_number(request.path_params["transaction_id"])])
        wish = Extend(
            transaction_id=transaction_id,
            extension_days=body.extension_days,
            extend_from_now=body.extend_from_now,
            expected_expires_at=body.expected_expires_at,
        )

        async def shown(_: object) -> Mapping[str, Any]:
            (package,) = await self._packages(wish.transaction_ids)
            return package

        return await self._acts.ask(request, who, wish, body.reason, shown)

    async def bulk_extend(self, request: Request) -> Response:
        who = await staff_member(self._door, request)
        idempotency_key(request)
        body = BulkExtendBody.of(await read_json(request))
        ids = await self._known(body.transaction_ids)
        wish = BulkExtend(transaction_ids=tuple(ids), extension_days=body.extension_days)

        async def shown(_: object) -> Mapping[str, Any]:
            return {"packages": await self._packages(wish.transaction_ids)}

        return await self._acts.ask(request, who, wish, body.reason, shown)

    async def expired(self, request: Request) -> Response:
        await staff_member(self._door, request)
        part, now, zone = asked_slice(request), utc_now(), self._door.settings.zone
        page = await self._door.ask(lambda connection: expired_packages(connection, part, now=now))

        def row(one: OwnedPackageView) -> dict[str, Any]:
            lost = {"hours_expired": hours(one.minutes_lost), "is_swept": one.is_swept}
            return {**package_row(one.package, now, zone), "student": _student(one), **lost}

        return page_answer(request, part, page, row)

    async def expiring_soon(self, request: Request) -> Response:
        await staff_member(self._door, request)
        part, within = asked_slice(request), timedelta(days=_days(request))
        now, zone = utc_now(), self._door.settings.zone
        page = await self._door.ask(lambda connection: expiring_packages(connection, part, within, now=now))

        def row(one: OwnedPackageView) -> dict[str, Any]:
            return {**package_row(one.package, now, zone), "student": _student(one)}

        return page_answer(request, part, page, row)

    async def _known(self, transactions: Sequence[int]) -> Sequence[int]:
        """The same numbers. Raises HttpError 404 where there is no purchase of one of them."""
        unknown = await self._door.ask(lambda connection: unknown_transactions(connection, transactions))
        if unknown:
            raise HttpError(404, "not_found", f"There is no package {min(unknown)}.")
        return transactions

    async def _packages(self, transactions: Sequence[int]) -> Sequence[Mapping[str, Any]]:
        now, zone = utc_now(), self._door.settings.zone
        found = await self._door.ask(lambda connection: packages_of(connection, transactions, now=now))
        return [package_row(one.package, now, zone) for one in found]


def _student(one: OwnedPackageView) -> dict[str, Any]:
    return {"id": one.student_id, "name": one.student_name, "email": one.student_email}


def _number(given: str) -> int:
    """Raises HttpError 404 where it is none of a package."""
    if not NUMBER.fullmatch(given) or not 0 < int(given) <= LARGEST_ID:
        raise not_found()
    return int(given)


def _days(request: Request) -> int:
    given = request.query_params.get("days", str(DAYS))
    if not NUMBER.fullmatch(given) or not 1 <= int(given) <= LONGEST_LOOK_DAYS:
        raise invalid("days", f"must be an integer from 1 to {LONGEST_LOOK_DAYS}")
    return int(given)
