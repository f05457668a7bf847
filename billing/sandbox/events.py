"""What happened, kept as it was then, listed for whoever asks and delivered to the webhook.

Pages: "The Event object" and "Types of events" of Stripe's API reference.
"""

from sqlite3 import Row
from typing import Any

import orjson

from billing.sandbox.chance import new_id
from billing.sandbox.clock import Clock
from billing.sandbox.database import Database
from billing.sandbox.deliveries import Deliveries
from billing.sandbox.objects import Body
from billing.sandbox.origins import Origin

COLUMNS = "body, (SELECT count(*) FROM deliveries d WHERE d.event = events.id AND d.state = 'pending') AS pending"
_ONE = " ".join(("SELECT", COLUMNS, "FROM events WHERE id = ?"))


class Events:
    def __init__(self, database: Database, clock: Clock, deliveries: Deliveries) -> None:
        self._database = database
        self._clock = clock
        self._deliveries = deliveries

    def record(self, origin: Origin, event_type: str, subject: Body, before: Body | None = None) -> None:
        """`before` holds the former values of what changed, for events of an update.

        Dated when it is recorded, also where the clock is held at an appointment: whoever reads on from the newest
        event misses none.
        """
        event = _event(origin, event_type, int(self._clock.exact()), subject, before)
        self._database.run(
            "INSERT INTO events (id, type, created, body) VALUES (?, ?, ?, ?)",
            event["id"],
            event_type,
            event["created"],
            orjson.dumps(event, option=orjson.OPT_INDENT_2).decode(),
        )
        self._deliveries.add(event["id"], event_type)

    def get(self, event_id: str) -> Body | None:
        row = self._database.row(_ONE, event_id)
        return None if row is None else shown(row)

    def payload(self, event_id: str) -> str | None:
        """The very bytes that are delivered."""
        row = self._database.row("SELECT body FROM events WHERE id = ?", event_id)
        return None if row is None else str(row["body"])


def shown(row: Row) -> Body:
    event: Body = orjson.loads(row["body"])
    return {**event, "pending_webhooks": row["pending"]}


def _event(origin: Origin, event_type: str, created: int, subject: Body, before: Body | None) -> Body:
    data: dict[str, Any] = {"object": subject}
    if before is not None:
        data["previous_attributes"] = before
    return {
        "id": new_id("evt"),
        "object": "event",
        "api_version": origin.api_version,
        "created": created,
        "data": data,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": origin.request_id, "idempotency_key": origin.idempotency_key},
        "type": event_type,
    }
