"""Purchases that change while somebody waits for them, and what is sent to those who follow one."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx2
import redis
from sqlmodel import col, select

from billing.db import Begin
from billing.messages import PurchaseChanged
from billing.models import Purchase, PurchaseTransition
from billing.secrets import Vault
from billing.states import PurchaseState, Step
from tests.support.factories import add_purchase, add_student
from tests.web.support import API

S = PurchaseState
CLOSED = {"due_at": None, "hint_at": None}


@dataclass
class Worker:
    """Changes purchases as workers do: commit, then tell; or only commit, where the word is lost."""

    begin: Begin
    valkey_url: str
    vault: Vault
    now: datetime

    def buy(self, state: PurchaseState = S.QUEUED, **facts: Any) -> Purchase:
        return add_purchase(self.begin, at=self.now, state=state, **facts)

    def newest(self) -> Purchase:
        """What the door accepted last."""
        with self.begin() as session:
            return session.exec(select(Purchase).order_by(col(Purchase.transaction_id).desc())).all()[0]

    def change(self, purchase: Purchase, *steps: tuple[Step, PurchaseState], tell: bool = True, **facts: Any) -> None:
        with self.begin() as session:
            row = session.get_one(Purchase, purchase.id, with_for_update=True)
            for name, value in facts.items():
                setattr(row, name, value)
            for step, state in steps:
                row.state = state
                session.add(PurchaseTransition(purchase_id=row.id, step=step, state=state, cause="test", at=self.now))
                session.flush()
        if tell:
            self.tell(purchase.id)

    def prepare(self, purchase: Purchase, **options: Any) -> None:
        secret = self.vault.seal("pi_1_secret_2")
        facts = {"payment_intent_id": f"pi_{purchase.id.hex}", "client_secret": secret, "error_type": None, **options}
        self.change(purchase, (Step.INTENT_CREATED, S.PENDING), **facts)

    def complete(self, purchase: Purchase, **options: Any) -> None:
        student = add_student(self.begin, f"{purchase.id.hex}@example.com", at=self.now)
        paid = {"student_id": student, "paid_at": purchase.accepted_at, "client_secret": None}
        facts = {**paid, **CLOSED, **options}
        self.change(purchase, (Step.PAID, S.COMPLETED), (Step.CREDITED, S.COMPLETED), **facts)

    def tell(self, *ids: UUID) -> None:
        with redis.Redis.from_url(self.valkey_url) as client:
            changes = [PurchaseChanged(purchase_id=purchase_id) for purchase_id in ids]
            client.publish(PurchaseChanged.channel, PurchaseChanged.together(changes))

    def key(self, purchase: Purchase) -> dict[str, str]:
        return {"X-Access-Token": self.vault.access_token(purchase.id)}


def path_of(purchase: Purchase, more: str = "") -> str:
    return f"{API}purchase/{purchase.id}/{more}"


@contextmanager
def soon(act: Callable[[], object], *, after_seconds: float = 0.3) -> Iterator[None]:
    """Do it while the block waits."""
    timer = threading.Timer(after_seconds, act)
    timer.start()
    try:
        yield
    finally:
        timer.join()


@dataclass(frozen=True)
class Event:
    id: str
    data: dict[str, Any]

    @property
    def last_step(self) -> str:
        return str(self.data["timeline"][-1]["step"])


def events_in(lines: Iterator[str]) -> Iterator[Event]:
    """The events of a stream, as they come."""
    fields: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Event(fields["id"], json.loads(fields["data"]))
            fields = {}
        else:
            fields = {}


@contextmanager
def stream_of(port: int, purchase: Purchase, headers: dict[str, str]) -> Iterator[Iterator[Event]]:
    with (
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
        client.stream("GET", path_of(purchase, "events/"), headers=headers) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        yield events_in(answer.iter_lines())
