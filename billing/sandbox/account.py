"""One Stripe account: its time, objects, events and appointments, over one database."""

from dataclasses import dataclass
from pathlib import Path

from billing.sandbox.clock import Clock
from billing.sandbox.database import Database
from billing.sandbox.deliveries import Deliveries, DeliveryPlan
from billing.sandbox.events import Events
from billing.sandbox.objects import Objects
from billing.sandbox.schedule import Schedule
from billing.sandbox.settings import Settings

_SETTLEMENT = "settlement_delay_seconds"
SETTLEMENT_SECONDS = 3.0


@dataclass(frozen=True)
class Webhook:
    """Where every event is delivered, and what it is signed with."""

    url: str
    secret: str


@dataclass(frozen=True)
class Account:
    database: Database
    settings: Settings
    clock: Clock
    objects: Objects
    deliveries: Deliveries
    events: Events
    schedule: Schedule
    webhook: Webhook

    @classmethod
    def open(cls, folder: Path, webhook: Webhook) -> "Account":
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = Database(folder / "sandbox.sqlite3")
        settings, deliveries = Settings(database), Deliveries(database)
        clock = Clock(settings)
        events, schedule = Events(database, clock, deliveries), Schedule(database, clock)
        return cls(database, settings, clock, Objects(database), deliveries, events, schedule, webhook)

    @property
    def settlement_seconds(self) -> float:
        """How long a bank debit is `processing`; days at Stripe."""
        return self.settings.get(_SETTLEMENT, SETTLEMENT_SECONDS)

    def settle_after(self, seconds: float) -> None:
        self.settings.put(_SETTLEMENT, seconds)

    def reset(self) -> None:
        self.database.empty()
        self.clock.reload()
        self.deliveries.follow(DeliveryPlan())
