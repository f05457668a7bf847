"""Live and ready: what a load balancer asks, and what a person is told who may know more."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from billing.config import AppEnv
from billing.errors import DatabaseUnavailableError
from billing.migrate import is_migrated
from billing.reads.readiness import OVERDUE_SECONDS, DatabaseState, look_at_database
from web.answers import Json
from web.door import Door
from web.insiders import is_insider


class HealthRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def live(self, request: Request) -> Response:
        return Json({"status": "live"})

    async def ready(self, request: Request) -> Response:
        may_know_more = await is_insider(request, self._door)
        try:
            state = await self._door.ask(look_at_database)
        except DatabaseUnavailableError:
            state = None
        checks = self._checks(state)
        is_ready = all(checks.values())
        details = self._details(state, checks) if may_know_more else {}
        return Json({"status": "ready" if is_ready else "unavailable", **details}, 200 if is_ready else 503)

    def _details(self, state: DatabaseState | None, checks: dict[str, bool]) -> dict[str, Any]:
        """A broker that is away makes nobody unready: hints are late then, and nothing else."""
        return {
            "checks": checks,
            "revision": state and state.revision,
            "oldest_overdue_seconds": state and round(state.overdue_seconds, 1),
            "broker_reachable": self._door.hints.is_reachable,
            "hints_dropped": self._door.hints.dropped,
        }

    def _checks(self, state: DatabaseState | None) -> dict[str, bool]:
        if state is None:
            return {"database": False}
        return {
            "database": True,
            "migrations": is_migrated(state.revision),
            "durability": state.is_durable or self._door.settings.app_env is AppEnv.DEVELOPMENT,
            "work": state.overdue_seconds <= OVERDUE_SECONDS,
        }
