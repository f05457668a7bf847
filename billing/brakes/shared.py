"""What all processes count together, in Valkey."""

from typing import Any

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from billing.brakes.lanes import TERMS, Lane
from billing.brakes.script import PREFIX, SCRIPT, SCRIPT_SHA
from billing.brakes.terms import Limits
from billing.brakes.words import Asked, BrakesAwayError, BrakesView, Kind, Outcome, Turn, Verdict

PATIENCE_SECONDS = 0.1
MICROSECONDS = 1_000_000


class SharedBrakes:
    """Safe to share between threads; every method raises BrakesAwayError, and waits for PATIENCE_SECONDS at most."""

    def __init__(self, url: str, limits: Limits) -> None:
        self._valkey = Redis.from_url(
            url,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        bucket, each = limits.all_calls, limits.endpoint
        self._in_all = ("all", bucket.capacity, bucket.per_second)
        self._of_each = (each.capacity, each.per_second)

    def ask(self, asked: Asked) -> Verdict:
        patience = round(asked.patience_seconds * MICROSECONDS)
        who = (asked.lane.value, TERMS[asked.lane].reserve, patience, int(asked.is_first))
        kind, epoch, wait = self._run("ask", *who, *self._in_all, f"of:{asked.endpoint}", *self._of_each)
        return Verdict(Kind(kind), epoch, wait / MICROSECONDS)

    def tell(self, verdict: Verdict, outcome: Outcome) -> Turn | None:
        turn = self._run("tell", verdict.epoch, outcome.value, int(verdict.kind is Kind.PROBE))
        return Turn(turn) if turn else None

    def view(self) -> BrakesView:
        is_open, open_for, reason, factor, calls, failures, *sums = self._run("look", *(lane.value for lane in Lane))
        return BrakesView(
            is_paused=bool(is_open),
            paused_seconds=int(open_for) / MICROSECONDS,
            reason=reason,
            calls=calls,
            failures=failures,
            rate_share=float(factor),
            waits=dict(zip(Lane, sums[::2], strict=True)),
            put_off=dict(zip(Lane, sums[1::2], strict=True)),
        )

    def close(self) -> None:
        self._valkey.close()

    def _run(self, *arguments: Any) -> Any:
        try:
            try:
                return self._valkey.evalsha(SCRIPT_SHA, 1, PREFIX, *arguments)
            except NoScriptError:
                return self._valkey.eval(SCRIPT, 1, PREFIX, *arguments)
        except (RedisError, OSError) as error:
            raise BrakesAwayError(type(error).__name__) from None
