"""Writing off what expired, on the word of staff: first as a look at what it would take, then done."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_now
from billing.expiry.preview import Preview, preview
from billing.expiry.sweep import cutoff
from billing.reads.staff_acts import ActView
from billing.reads.sweep_runs import SweepRunView, find_run
from billing.staff.wishes import ProcessExpired
from billing.states import SweepState
from web.answers import Json, hours, instant
from web.bodies import read_json
from web.door import Door
from web.errors import invalid
from web.idempotency import idempotency_key
from web.prefer import wait_seconds
from web.staff.acts import StaffActs, staff_member
from web.staff.bodies import ProcessExpiredBody
from web.waiting import unless_gone

LOOK_EVERY_SECONDS = 0.25


class StaffExpiryRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._acts = StaffActs(door)

    async def process(self, request: Request) -> Response:
        who = await staff_member(self._door, request)
        idempotency_key(request)
        body = ProcessExpiredBody.of(await read_json(request))
        default = self._door.settings.expiry_grace_hours
        grace_hours = default if body.grace_hours is None else body.grace_hours
        if body.dry_run:
            return Json(await self._preview(grace_hours))
        if body.reason is None:
            raise invalid("reason", "is required")
        over_at = asyncio.get_running_loop().time() + (wait_seconds(request) or 0)

        async def shown(act: ActView) -> Mapping[str, Any]:
            run_id = (act.after or {})["run_id"]
            return _run(await unless_gone(request.receive, self._swept(run_id, over_at)))

        return await self._acts.ask(request, who, ProcessExpired(grace_hours=grace_hours), body.reason, shown)

    async def _preview(self, grace_hours: int) -> Mapping[str, Any]:
        until = cutoff(utc_now(), grace_hours)
        found = await self._door.ask(lambda connection: preview(connection, cutoff=until))
        settled = {"success": True, "dry_run": True, "grace_hours": grace_hours, "cutoff": instant(until)}
        return {**settled, **_preview(found)}

    async def _swept(self, run_id: int, over_at: float) -> SweepRunView:
        """The run when it is finished, or as it stands when the time is over."""
        while True:
            run = await self._door.ask(lambda connection: find_run(connection, run_id))
            is_over = asyncio.get_running_loop().time() >= over_at or self._door.waiting.is_over
            if run.state is not SweepState.RUNNING or is_over:
                return run
            await asyncio.sleep(LOOK_EVERY_SECONDS)


def _preview(found: Preview) -> dict[str, Any]:
    return {
        **_sums(found.students, found.lots, found.minutes),
        "losses": [
            {
                "student": {"id": loss.student_id, "email": loss.email},
                "packages": loss.lots,
                "hours": hours(loss.minutes),
                "minutes": loss.minutes,
                "expired_since": instant(loss.expires_at),
            }
            for loss in found.losses
        ],
    }


def _run(run: SweepRunView) -> dict[str, Any]:
    return {
        "dry_run": False,
        "grace_hours": run.grace_hours,
        "cutoff": instant(run.cutoff),
        **_sums(run.students, run.lots, run.minutes),
        "run": {
            "id": run.id,
            "status": run.state,
            "started_at": instant(run.started_at),
            "finished_at": run.finished_at and instant(run.finished_at),
        },
    }


def _sums(students: int, lots: int, minutes: int) -> dict[str, Any]:
    return {"students": students, "packages": lots, "hours": hours(minutes), "minutes": minutes}
