"""Both ways of counting calls, and time that passes for them at a word."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis import Redis

from billing.brakes import Lane, Limits, SharedBrakes
from billing.brakes.own import OwnBrakes
from billing.brakes.script import PREFIX
from billing.brakes.terms import SLOT_SECONDS, Bucket
from billing.brakes.words import Asked, Counting, Kind, Outcome, Turn, Verdict

WIDE = Limits(Bucket(1e6, 1e6), Bucket(1e6, 1e6))
TIMES = ("at", "probe_at", "since")


class Counted:
    """What a process asks and tells, in one line each."""

    def __init__(self, counting: Counting, pass_time: Callable[[float], None]) -> None:
        self.counting = counting
        self.pass_time = pass_time

    def ask(self, endpoint: str = "create", lane: Lane = Lane.PURCHASE, patience: float = 1.0) -> Verdict:
        return self.counting.ask(Asked(endpoint, lane, patience, is_first=True))

    def granted(self, endpoint: str = "create", lane: Lane = Lane.PURCHASE) -> int:
        """How many pass before one has to wait."""
        count = 0
        while self.ask(endpoint, lane).kind is Kind.GO:
            count += 1
        return count

    def tell(self, *outcomes: Outcome) -> list[Turn | None]:
        """Of calls that were let through just now."""
        return [self.counting.tell(self.ask(), outcome) for outcome in outcomes]

    def probe(self, outcome: Outcome) -> Turn | None:
        verdict = self.ask()
        assert verdict.kind is Kind.PROBE
        return self.counting.tell(verdict, outcome)


class OldValkey:
    """Makes everything in it older."""

    def __init__(self, client: "Redis") -> None:
        self._client = client

    def pass_time(self, seconds: float) -> None:
        for name in sorted(self._client.scan_iter(f"{PREFIX}*")):
            if b":window:" in name:
                self._move_slot(name, seconds)
            elif b":line:" in name:
                self._client.incrby(name, -round(seconds * 1e6))
            else:
                self._move_times(name, seconds)

    def _move_times(self, name: bytes, seconds: float) -> None:
        for field in TIMES:
            if (at := self._client.hget(name, field)) is not None:
                self._client.hset(name, field, f"{float(at) - seconds * 1e6:.0f}")

    def _move_slot(self, name: bytes, seconds: float) -> None:
        start, _, number = name.decode().rpartition(":")
        self._client.rename(name, f"{start}:{int(number) - int(seconds / SLOT_SECONDS)}")


@contextmanager
def counting_in_valkey(url: str, limits: Limits) -> Iterator[Counted]:
    shared = SharedBrakes(url, limits)
    with Redis.from_url(url) as client:
        yield Counted(shared, OldValkey(client).pass_time)
    shared.close()


@contextmanager
def counting_alone(limits: Limits) -> Iterator[Counted]:
    now = [1000.0]

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    yield Counted(OwnBrakes(limits, lambda: now[0]), pass_time)
