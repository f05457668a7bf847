"""Stripe's objects as rows: the body as it is answered, and the columns that lists filter by."""

from dataclasses import dataclass
from sqlite3 import Row
from typing import Any

import orjson

from billing.sandbox.database import Database

Body = dict[str, Any]


@dataclass
class Stored:
    """An object and what Stripe knows about it and never shows: how its test payment method behaves.

    The behaviour of an intent that collects an invoice is the invoice's id, and the other way round.
    """

    body: Body
    behaviour: str | None = None

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def kind(self) -> str:
        return str(self.body["object"])

    @property
    def payment_intent(self) -> str | None:
        """The intent that the object is found by."""
        found: str | None = self.body.get("payment_intent") or self.body.get("payment", {}).get("payment_intent")
        return found

    @classmethod
    def of(cls, row: Row) -> "Stored":
        return cls(orjson.loads(row["body"]), row["behaviour"])


class Objects:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, stored: Stored, created: int) -> None:
        self._database.run(
            "INSERT INTO objects (id, kind, created, customer, payment_intent, body, behaviour)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            stored.id,
            stored.kind,
            created,
            stored.body.get("customer"),
            stored.payment_intent,
            orjson.dumps(stored.body).decode(),
            stored.behaviour,
        )

    def save(self, stored: Stored) -> None:
        self._database.run(
            "UPDATE objects SET customer = ?, body = ?, behaviour = ? WHERE id = ?",
            stored.body.get("customer"),
            orjson.dumps(stored.body).decode(),
            stored.behaviour,
            stored.id,
        )

    def of_charge(self, kind: str, charge: Body) -> list[Stored]:
        """Refunds, disputes or warnings of one charge, the oldest first; its intent is what they are found by."""
        rows = self._database.rows(
            "SELECT body, behaviour FROM objects WHERE payment_intent = ? AND kind = ?"
            " AND json_extract(body, '$.charge') = ? ORDER BY seq",
            charge["payment_intent"],
            kind,
            charge["id"],
        )
        return [Stored.of(row) for row in rows]

    def of_customer(self, kind: str, customer: str) -> list[Stored]:
        """The oldest first."""
        rows = self._database.rows(
            "SELECT body, behaviour FROM objects WHERE customer = ? AND kind = ? ORDER BY seq", customer, kind
        )
        return [Stored.of(row) for row in rows]

    def of_invoice(self, invoice_id: str) -> list[Stored]:
        """What was or is to be paid on an invoice, which knows its intent."""
        rows = self._database.rows(
            "SELECT body, behaviour FROM objects WHERE kind = 'invoice_payment'"
            " AND payment_intent = (SELECT behaviour FROM objects WHERE id = ?) ORDER BY seq",
            invoice_id,
        )
        return [Stored.of(row) for row in rows]

    def need(self, kind: str, object_id: str) -> Stored:
        """One that another object names."""
        stored = self.get(kind, object_id)
        if stored is None:
            raise LookupError(f"{kind} {object_id} is named and not there")
        return stored

    def get(self, kind: str, object_id: str) -> Stored | None:
        row = self._database.row("SELECT body, behaviour FROM objects WHERE id = ? AND kind = ?", object_id, kind)
        return None if row is None else Stored.of(row)
