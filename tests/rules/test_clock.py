"""Time, chance and new identifiers come in at the edges; what is below is told, and can be tested."""

import pytest

from tests.rules.sources import Module, modules

UTC_NOW, MACHINE_NOW, NOW, TODAY, EPOCH = "utc_now", "machine_now", "now", "today", "epoch"
CHANCE, SECRETS, UUID = "chance", "secrets", "uuid"

WAYS = {
    "billing.clock.utc_now": UTC_NOW,
    "clock.utc_now": UTC_NOW,
    "billing.clock.machine_now": MACHINE_NOW,
    "clock.machine_now": MACHINE_NOW,
    "datetime.now": NOW,
    "datetime.utcnow": NOW,
    "datetime.today": TODAY,
    "date.today": TODAY,
    "time.time": EPOCH,
    "time.time_ns": EPOCH,
    "random": CHANCE,
    "os.urandom": SECRETS,
    "secrets": SECRETS,
    "uuid.uuid1": UUID,
    "uuid.uuid4": UUID,
    "uuid.uuid6": UUID,
    "uuid.uuid7": UUID,
}

EDGES = {
    "billing/clock.py": {NOW},  # the one that asks
    "billing/ids.py": {UUID},  # the one that draws
    "billing/migrations/": {UUID},  # the installation's id
    "billing/retry.py": {CHANCE},  # jitter
    "billing/chaos/": {CHANCE},  # all of it from one seed
    "billing/cli/": {UTC_NOW, MACHINE_NOW},
    "billing/local/": {SECRETS, EPOCH, CHANCE},  # ports and passwords of this machine
    "billing/sandbox/": {UTC_NOW, NOW, EPOCH, CHANCE, SECRETS, UUID},  # a world of its own
    "web/": {UTC_NOW},
    "web/auth.py": {MACHINE_NOW},  # whether a token has expired: by the real time, as whoever made it counts
    "web/admin/": {MACHINE_NOW},  # how long a sign-in lasts: as its token does, by the real time
    "workers/runtime.py": {UTC_NOW},
    "workers/task.py": {MACHINE_NOW},  # which tick of beat it is
    "workers/sweeper.py": {UTC_NOW, CHANCE},  # when an unreadable message came; the sweeper's ± 20 %
}


def asked(module: Module) -> set[str]:
    """Which sources of time and chance a module takes for itself."""
    written = module.imported() | module.attributes()
    return {source for way, source in WAYS.items() if way in written or any(_is_of(way, name) for name in written)}


def _is_of(way: str, name: str) -> bool:
    return way in ("random", "secrets") and name.startswith(f"{way}.")


def allowed(module: Module) -> set[str]:
    return set().union(*(sources for place, sources in EDGES.items() if module.is_in((place,))))


def test_only_the_edges_ask_for_time_chance_and_identifiers() -> None:
    """A rule that asks the clock itself cannot be tested on the night of a clock change."""
    found = {module.path: sorted(asked(module) - allowed(module)) for module in modules()}
    assert {path: sources for path, sources in found.items() if sources} == {}


@pytest.mark.parametrize("place", EDGES)
def test_no_edge_is_listed_for_nothing(place: str) -> None:
    """A permission that nobody needs is one that somebody will use."""
    assert any(asked(module) for module in modules() if module.is_in((place,)))


@pytest.mark.parametrize(
    "line",
    [
        "from billing.clock import utc_now",
        "from billing import clock\nclock.utc_now()",
        "from billing.clock import machine_now",
        "clock.machine_now()",
        "datetime.now(UTC)",
        "dt.datetime.now(UTC)",
        "date.today()",
        "time.time()",
        "from time import time",
        "import random",
        "from random import uniform",
        "import secrets",
        "from uuid import UUID, uuid4",
        "uuid.uuid4()",
        "os.urandom(8)",
    ],
)
def test_the_rule_sees_every_way_of_asking(line: str) -> None:
    """A rule that cannot fail proves nothing."""
    assert asked(Module("billing/students.py", line))


@pytest.mark.parametrize(
    "line", ["from billing.secrets import Vault", "from uuid import UUID", "time.monotonic()", "runtime.now()"]
)
def test_the_rule_leaves_other_words_alone(line: str) -> None:
    """Durations, our own secrets and what was passed in are no ambient facts."""
    assert not asked(Module("billing/students.py", line))
