"""What is done to the pipeline and to what is around it. Each fault returns how it is undone, if it is."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from billing.chaos.ground import Ground
from billing.chaos.kept import children_of
from billing.chaos.place import BEAT, TWIN
from billing.chaos.plan import FaultKind

T = TypeVar("T")
Undo = Callable[[], None] | None

WORKERS = ("payments", "webhooks", "hours", "maintenance")
WITH_A_POOL = "webhooks"
HOURS_AHEAD = (1, 2, 5, 23)
"""Stripe forgets keys after a day, and two jumps go beyond it. One that did so in the middle of a call, which lasts for
less than a minute, would be a fault that cannot be."""
ANYWHERE = {"path": "^/v1/"}
STRIPE: Sequence[Mapping[str, object]] = (
    {"when": "before", "do": {"status": 500}, "share": 0.6},
    {"when": "after", "do": {"status": 500}, "share": 0.5},
    {"when": "after", "do": {"status": 503}, "share": 0.5},
    {"when": "before", "do": {"status": 429}, "share": 0.8},
    {"when": "before", "do": {"delay_seconds": 1.5}, "share": 0.5},
    {"when": "before", "do": {"cut": True}, "share": 0.5},
    {"when": "after", "do": {"cut": True}, "share": 0.5},
    {"when": "after", "do": {"cut": "body"}, "share": 0.5},
    {"when": "after", "do": {"html_200": True}, "share": 0.5},
    {"when": "before", "do": {"status": 503}},
)
DELIVERY: Sequence[Mapping[str, object]] = (
    {"duplicates": 3},
    {"reorder_seconds": 3},
    {"delay_seconds": 2, "reorder_seconds": 2, "duplicates": 1},
    {"parallel": 1},
)
IMMEDIATELY = 0.6
"""The share of ends of the database that are as `pg_ctl stop -m immediate` makes them."""


def kill(ground: Ground, luck: float) -> Undo:
    ground.keeper[_one(WORKERS, luck)].signal(signal.SIGKILL)
    return None


def kill_child(ground: Ground, luck: float) -> Undo:
    pid = ground.keeper[WITH_A_POOL].pid
    if pid is not None and (children := children_of(pid)):
        with suppress(ProcessLookupError):
            os.kill(_one(children, luck), signal.SIGKILL)
    return None


def kill_web(ground: Ground, _luck: float) -> Undo:
    ground.keeper["web"].signal(signal.SIGKILL)
    return None


def stop(ground: Ground, luck: float) -> Undo:
    return _freeze(ground, _one(WORKERS, luck))


def freeze_broker(ground: Ground, _luck: float) -> Undo:
    return _freeze(ground, "valkey")


def restart_broker(ground: Ground, _luck: float) -> Undo:
    ground.keeper["valkey"].signal(signal.SIGKILL)
    return None


def wipe(ground: Ground, _luck: float) -> Undo:
    ground.wipe_broker()
    return None


def end_postgres(ground: Ground, luck: float) -> Undo:
    ground.keeper["postgres"].signal(signal.SIGQUIT if luck < IMMEDIATELY else signal.SIGKILL)
    return None


def break_stripe(ground: Ground, luck: float) -> Undo:
    ground.break_stripe({"match": ANYWHERE, **_one(STRIPE, luck)})
    return ground.mend_stripe


def disturb_delivery(ground: Ground, luck: float) -> Undo:
    ground.deliver(_one(DELIVERY, luck))
    return ground.deliver


def disturb_beat(ground: Ground, luck: float) -> Undo:
    twin = ground.keeper[TWIN]
    if luck < 0.5 or twin.pid is not None:
        ground.keeper[BEAT].signal(signal.SIGKILL)
        return None
    twin.start()
    return twin.end


def jump(ground: Ground, luck: float) -> Undo:
    ground.jump(_one(HOURS_AHEAD, luck))
    return None


BEGIN: Mapping[FaultKind, Callable[[Ground, float], Undo]] = {
    FaultKind.KILL: kill,
    FaultKind.CHILD: kill_child,
    FaultKind.WEB: kill_web,
    FaultKind.STOP: stop,
    FaultKind.BROKER: freeze_broker,
    FaultKind.RESTART: restart_broker,
    FaultKind.WIPE: wipe,
    FaultKind.POSTGRES: end_postgres,
    FaultKind.STRIPE: break_stripe,
    FaultKind.DELIVERY: disturb_delivery,
    FaultKind.BEAT: disturb_beat,
    FaultKind.CLOCK: jump,
}


def _freeze(ground: Ground, name: str) -> Undo:
    kept = ground.keeper[name]
    kept.signal_group(signal.SIGSTOP)
    return lambda: kept.signal_group(signal.SIGCONT)


def _one(several: Sequence[T], luck: float) -> T:
    """`luck` is at least 0 and less than 1."""
    scaled = luck * 97 % 1  # so that what the same luck decides elsewhere goes with every choice here
    return several[int(scaled * len(several))]
