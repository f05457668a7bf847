"""One campaign from its first process to its report."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import text

from billing import db, ledger, migrate, plans
from billing.chaos.books import missing, read_ours, read_stripe
from billing.chaos.clients import Clients, Sign
from billing.chaos.course import Course
from billing.chaos.ground import Ground
from billing.chaos.kept import Keeper
from billing.chaos.line import Line
from billing.chaos.load import Load
from billing.chaos.place import TWIN, Place
from billing.chaos.plan import FaultKind, plan
from billing.chaos.report import Money, Report
from billing.chaos.settling import Settling
from billing.chaos.witness import Witness
from billing.clock import Offset, path_of
from billing.config import Settings
from billing.db import Begin
from billing.local.watch import Watch

LOOK_EVERY_SECONDS = 0.05
ASK_EVERY_SECONDS, TELL_EVERY_SECONDS = 0.25, 5.0
NO_PROGRESS_SECONDS = 180.0
SERVERS = ("postgres", "valkey", "sandbox")
DEAD = text("SELECT kind, count(*) FROM dead_letter GROUP BY kind")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a campaign is to be like; `drop_share` of the events never reach the door."""

    seed: int
    purchases: int
    seconds: float
    kinds: Sequence[FaultKind]
    drop_share: float
    wipe_broker: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What only a command knows; `tell` takes a line about how far it is."""

    settings: Settings
    sign: Sign
    now: Callable[[], datetime]
    tell: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ending:
    """Seconds from the end of the last fault; what was `unfinished` when there was no more time to settle."""

    served: float
    settled: float | None
    unfinished: str | None


class Campaign:
    def __init__(self, wish: Wish, place: Place, keeper: Keeper, around: Surroundings, begin: Begin) -> None:
        settings = around.settings
        self._wish, self._place, self._keeper, self._begin = wish, place, keeper, begin
        self._now, self._tell = around.now, around.tell
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._clients = Clients.of(settings, place.door, self._over, around.sign, around.now)
        self._stripe = Line(settings.stripe_api_base, {"Authorization": f"Bearer {settings.stripe_secret_key}"})
        self._load = Load(self._clients, wish.seed, wish.purchases, wish.seconds)
        self._witness = Witness(begin)
        offset = Offset(path_of(settings))
        ground = Ground(keeper, self._clients.control, offset, settings.broker_url, wish.drop_share, wish.seed)
        self._course = Course(ground, plan(wish.seed, wish.seconds, wish.kinds), wish.wipe_broker)
        self._settling = Settling(begin, self._clients.control, self._stripe)

    def run(self) -> Report:
        watching = threading.Thread(target=self._watch, name="witness", daemon=True)
        try:
            self._load.begin()
            watching.start()
            self._go()
            ending = self._settle()
        finally:
            self._load.end(self._over)
        watching.join()
        if self._failure:
            raise self._failure
        self._load.raise_what_went_wrong()
        return self._report(ending)

    def _watch(self) -> None:
        try:
            self._witness.watch(self._over)
        except BaseException as error:  # raised by whoever waits for this thread
            self._failure = error

    def _go(self) -> None:
        """Load and faults, for as long as the campaign shall last."""
        began = time.monotonic()
        self._course.begin()
        told_at = 0.0
        while (elapsed := time.monotonic() - began) < self._wish.seconds:
            self._load.look(elapsed)
            self._course.look(elapsed)
            self._keeper.look()
            if elapsed - told_at > TELL_EVERY_SECONDS:
                told_at = elapsed
                self._tell(f"{elapsed:.0f} s, {self._load.left} buyers to come, {self._course.done.total()} faults")
            time.sleep(LOOK_EVERY_SECONDS)
        self._load.look(self._wish.seconds)
        self._course.end()

    def _settle(self) -> Ending:
        """However many buyers still come: what is settled within a time is what is left when the last of them went."""
        began = progress = time.monotonic()
        served, left, told, asked_at = 0.0, self._load.left, "", 0.0
        while (now := time.monotonic()) - progress < NO_PROGRESS_SECONDS:
            self._keeper.look()
            if left and self._load.left != left:
                left, progress, served = self._load.left, now, now - began
            if now - asked_at > ASK_EVERY_SECONDS:
                unfinished, asked_at = self._unfinished(), now
                if unfinished is None:
                    return Ending(served, round(time.monotonic() - began, 1), None)
                if unfinished != told:
                    told = unfinished
                    self._tell(f"{now - began:.0f} s after the last fault: {told}")
            time.sleep(LOOK_EVERY_SECONDS)
        return Ending(served, None, told)

    def _unfinished(self) -> str | None:
        left = self._load.left
        return f"{left} buyers on their way" if left else self._settling.unfinished()

    def _report(self, ending: Ending) -> Report:
        stripe, ours, promises = read_stripe(self._stripe), read_ours(self._begin), self._clients.promises
        deliveries = self._clients.control.ask("GET", "/deliveries")
        return Report(
            seed=self._wish.seed,
            seconds=self._wish.seconds,
            drop_share=self._wish.drop_share,
            promised={
                "purchases": len(promises.purchases),
                "bookings": len(promises.bookings),
                "refunds": len(promises.staff_acts),
            },
            missing=missing(self._begin, promises.purchases, promises.bookings, promises.staff_acts),
            paid=len(stripe.paid),
            credited=sum(number > 0 for number in ours.credits.values()),
            lost=ours.lost(stripe),
            doubled=ours.doubled(),
            duplicates=stripe.duplicates(),
            unpaid=ours.unpaid(stripe),
            violations=self._witness.seen,
            looks=self._witness.looks,
            audit_holds=ledger.prove(self._begin, now=self._now()).holds,
            money=Money(stripe.kept_cents, ours.kept_cents),
            served_seconds=round(ending.served, 1),
            settled_seconds=ending.settled,
            unfinished=ending.unfinished,
            faults={str(kind): number for kind, number in self._course.done.items()},
            deaths=self._keeper.deaths(),
            dropped=deliveries.body["dropped"] if deliveries else -1,
            dead_letters=self._dead_letters(),
            answers=dict(promises.answers),
            ends=dict(promises.ends),
            odd=promises.odd,
        )

    def _dead_letters(self) -> dict[str, int]:
        with self._begin() as session:
            return {str(row[0]): int(row[1]) for row in session.execute(DEAD)}


def hold(wish: Wish, place: Place, around: Surroundings) -> Report:
    """A campaign, with nothing left running afterwards, however it ended."""
    with ExitStack() as ends:
        keeper = ends.enter_context(_keeper(place))
        begin = ends.enter_context(_connected(around.settings))
        keeper.bring_up(*SERVERS)
        migrate.upgrade(around.settings)
        plans.load_defaults(begin, force=False, now=around.now())
        keeper.bring_up(*(name for name in place.apps if name != TWIN))
        around.tell("everything runs")
        return Campaign(wish, place, keeper, around, begin).run()


@contextmanager
def _keeper(place: Place) -> Iterator[Keeper]:
    """The guard ends what was started here also where this process is killed."""
    services = {"postgres": place.postgres, "valkey": place.valkey, "sandbox": place.sandbox, **place.apps}
    watch = Watch.start(place.state.lock)
    keeper = Keeper(services, place.folder, watch)
    try:
        yield keeper
    finally:
        keeper.end()
        watch.end()


@contextmanager
def _connected(settings: Settings) -> Iterator[Begin]:
    engine = db.connect(settings.database_url, "chaos", pool_size=2)
    try:
        yield partial(db.begin, engine)
    finally:
        engine.dispose()
