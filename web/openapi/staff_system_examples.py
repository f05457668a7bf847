"""One answer of each kind about the service itself."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from web.openapi import staff_system_answers as shapes

AT, EARLIER, NEXT = "2026-04-20T09:30:01.250Z", "2026-04-20T09:30:00.000Z", "2026-04-20T09:31:00.000Z"

STAFF_SYSTEM_EXAMPLES: Mapping[type[BaseModel], Mapping[str, Any]] = {
    shapes.Health: {
        "at": AT,
        "work": [{"kind": "purchase", "open": 2, "in_hand": 1, "overdue_seconds": 0.4, "dead_letters": 0}],
        "workers": [{"name": "payments@host", "seen_seconds": 0.6}],
        "events": {
            "by_outcome": [{"state": "applied", "outcome": "applied", "last_hour": 12, "last_day": 210}],
            "lag_seconds": {"p50": 0.021, "p95": 0.18},
        },
        "purchases": {"completed": 31, "failed": 2, "pending": 4},
        "schedule": [
            {
                "name": "billing.reconciliation.read_events",
                "every_seconds": 60,
                "last_at": EARLIER,
                "next_at": NEXT,
                "is_late": False,
            }
        ],
        "audit": {"at": EARLIER, "students": 812, "violations": 0},
        "reconciliation": {
            "read_up_to": EARLIER,
            "succeeded_at": {"events": EARLIER, "ledger": None},
            "open_findings": {"refund_missing": 1},
            "events_by_list": 3,
        },
        "cases": {"amount_differs": 1},
        "disputes": {"open": 1, "due_soon": 0, "next_due_at": "2026-05-02T23:59:59.000Z"},
        "stripe": {
            "is_paused": False,
            "paused_seconds": 0.0,
            "reason": None,
            "recent_calls": 14,
            "failing_share": 0.0,
            "calls_per_second": 18.75,
            "rate_share": 1.0,
            "waits": {"purchase": 0},
            "put_off": {"purchase": 0},
        },
        "tonight": {
            "at": "2026-04-21T01:30:00.000Z",
            "cutoff": "2026-04-20T01:30:00.000Z",
            "students": 2,
            "lots": 3,
            "minutes": 270,
            "hours": "4.50",
        },
    },
    shapes.History: {
        "quarters": [
            {
                "at": "2026-04-20T09:30:00.000Z",
                "accepted": 4,
                "completed": 3,
                "failed": 1,
                "events": 21,
                "lag_p95_seconds": 0.18,
                "credited_minutes": 1800,
            }
        ]
    },
}
