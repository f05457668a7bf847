"""What all doors count together, in Valkey: one round trip for all requests of a moment, judged and taken in one step.

A Valkey that is away is noticed once, within `PATIENCE_SECONDS`; from then on nobody waits for it until it is back,
and what was taken and given back meanwhile is told to it then.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha1
from typing import Any, Literal, cast

import orjson
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from web.own_counts import Hold

log: structlog.stdlib.BoundLogger = structlog.get_logger("web.limits")

PATIENCE_SECONDS = 0.08
GRACE_SECONDS = 0.02
"""A busy process may find answer and alarm in the same moment: then the answer, which has arrived, counts."""

PAUSE_SECONDS = 1.0
LEISURE_SECONDS = 1.0
"""The patience where no caller waits: at start, and when it comes back."""

MOST_OWED = 20_000
MOST_TOGETHER = 256
PREFIX = "{limits}:"

# A window is a sorted set of what was taken in it, by time, and a hash of who holds each. Nothing happens after the
# deadline: a server that was frozen must not carry out, once it wakes, what the door has long counted elsewhere.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local deadline = tonumber(ARGV[1])
if deadline > 0 and now > deadline then return {now} end

local function text(number) return string.format('%.0f', number) end

local function until_free(window, what)
  local name, most, period = KEYS[1] .. window[1], window[2], window[3]
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', name, '-inf', text(now - period))) do
    redis.call('ZREM', name, gone)
    redis.call('HDEL', name .. ':by', gone)
  end
  local over = redis.call('ZCARD', name) - most
  if over < 0 or redis.call('ZSCORE', name, what) then return 0 end
  return redis.call('ZRANGE', name, over, over, 'WITHSCORES')[2] + period - now
end

local function take(window, what, holder, age)
  local name, by = KEYS[1] .. window[1], KEYS[1] .. window[1] .. ':by'
  redis.call('ZADD', name, 'NX', text(now - age), what)
  local holders = redis.call('HGET', by, what) or ''
  if not string.find(holders, holder, 1, true) then redis.call('HSET', by, what, holders .. holder .. ' ') end
  redis.call('PEXPIRE', name, window[3])
  redis.call('PEXPIRE', by, window[3])
end

local function give_back(window, what, holder)
  local name, by = KEYS[1] .. window[1], KEYS[1] .. window[1] .. ':by'
  local holders = redis.call('HGET', by, what)
  if not holders then return end
  local left = string.gsub(holders, holder .. ' ', '', 1)
  if left ~= '' then redis.call('HSET', by, what, left) return end
  redis.call('HDEL', by, what)
  redis.call('ZREM', name, what)
end

local answers = {now}
for _, asked in ipairs(cjson.decode(ARGV[2])) do
  local verb, what, holder, age, windows = unpack(asked)
  local wait = 0
  if verb == 'ask' then
    for _, window in ipairs(windows) do wait = math.max(wait, until_free(window, what)) end
  end
  for _, window in ipairs(windows) do
    if verb == 'give_back' then give_back(window, what, holder)
    elseif wait == 0 then take(window, what, holder, age) end
  end
  answers[#answers + 1] = wait
end
return answers
"""
SCRIPT_SHA = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

Verb = Literal["ask", "take", "give_back"]
"""`ask` takes where there is room, `take` notes what was taken already."""


class _AwayError(Exception):
    """Nothing was answered in time; what was asked may have happened or not."""


@dataclass(frozen=True, slots=True)
class _Asked:
    verb: Verb
    hold: Hold
    at: float

    def written(self, now: float) -> list[Any]:
        windows = [[window.name, window.most, window.seconds * 1000] for window in self.hold.windows]
        return [self.verb, self.hold.what, self.hold.holder, round((now - self.at) * 1000), windows]


_Waiting = tuple[_Asked, asyncio.Future[float | None]]


@dataclass(slots=True)
class _Clock:
    """The server's time, known from its last answer."""

    ahead_ms: float | None = None

    def learn(self, server_ms: int) -> None:
        self.ahead_ms = server_ms - time.monotonic() * 1000

    def deadline_ms(self, patience_seconds: float) -> int:
        """0 is none: nothing is known of the server's time yet."""
        return 0 if self.ahead_ms is None else round((time.monotonic() + patience_seconds) * 1000 + self.ahead_ms)


class SharedCounts:
    def __init__(self, url: str) -> None:
        self._valkey = Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
        self._clock = _Clock()
        self._waiting: deque[_Waiting] = deque()
        self._owed: deque[_Asked] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None

    @property
    def is_away(self) -> bool:
        return self._returning is not None

    async def open(self) -> None:
        """The first connection is made before anybody waits for it."""
        try:
            await self._call([], LEISURE_SECONDS)
        except _AwayError as error:
            self._leave_alone(error)

    async def close(self) -> None:
        for task in (self._returning, self._sending):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self._valkey.aclose()

    async def take(self, hold: Hold) -> float | None:
        """0 where the places are taken, the seconds until there are some, or None: nobody could be asked."""
        return await self._ask("ask", hold)

    async def give_back(self, hold: Hold) -> None:
        """The caller may rely on it: if not now, Valkey hears of it as soon as it is back."""
        await self._ask("give_back", hold)

    async def _ask(self, verb: Verb, hold: Hold) -> float | None:
        asked = _Asked(verb, hold, time.monotonic())
        if self.is_away:
            self._owe(asked)
            return None
        answer: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await answer

    def _owe(self, asked: _Asked) -> None:
        """What was asked and not answered was taken all the same, by this door's own count."""
        if len(self._owed) < MOST_OWED:
            self._owed.append(replace(asked, verb="take") if asked.verb == "ask" else asked)

    async def _send_all(self) -> None:
        """Whoever asks while an answer is on its way shares the next one."""
        batch: list[_Waiting] = []
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))]
                _answer(batch, await self._call([asked for asked, _ in batch]))
        except _AwayError as error:
            self._leave_alone(error)
            missed = [*batch, *self._waiting]
            self._waiting.clear()
            for asked, _ in missed:
                self._owe(asked)
            _answer(missed, [None] * len(missed))
        finally:
            self._sending = None

    async def _call(self, batch: Sequence[_Asked], patience_seconds: float = PATIENCE_SECONDS) -> list[float]:
        """Twice where the server's clock was set: what comes after the deadline has not happened."""
        for _ in range(2):
            server_ms, *waits = await self._run(batch, patience_seconds)
            self._clock.learn(server_ms)
            if len(waits) == len(batch):
                return [wait / 1000 for wait in waits]
        raise _AwayError("late")

    async def _run(self, batch: Sequence[_Asked], patience_seconds: float) -> list[int]:
        """A task of its own: a driver that waits for a frozen server does not give up when it is told to."""
        now = time.monotonic()
        written = orjson.dumps([asked.written(now) for asked in batch])
        running = asyncio.create_task(self._evaluate(1, PREFIX, self._clock.deadline_ms(patience_seconds), written))
        for seconds in (patience_seconds, GRACE_SECONDS):
            if (await asyncio.wait([running], timeout=seconds))[0]:
                break
        else:
            running.add_done_callback(_forget)
            running.cancel()
            raise _AwayError("silent")
        if error := running.exception():
            raise _AwayError(type(error).__name__)
        return running.result()

    async def _evaluate(self, *arguments: Any) -> list[int]:
        try:
            return await cast("Awaitable[list[int]]", self._valkey.evalsha(SCRIPT_SHA, *arguments))
        except NoScriptError:
            return await cast("Awaitable[list[int]]", self._valkey.eval(SCRIPT, *arguments))

    def _leave_alone(self, error: _AwayError) -> None:
        log.warning("shared_limits_away", error=str(error))
        self._returning = asyncio.create_task(self._come_back())

    async def _come_back(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                await self._tell_what_is_owed()
            except _AwayError:
                continue
            self._returning = None
            log.info("shared_limits_back")
            return

    async def _tell_what_is_owed(self) -> None:
        await self._call([], LEISURE_SECONDS)
        while batch := [*self._owed][:MOST_TOGETHER]:
            await self._call(batch, LEISURE_SECONDS)
            for _ in batch:
                self._owed.popleft()


def _answer(batch: Sequence[_Waiting], answers: Sequence[float | None]) -> None:
    for (_, waiting), answer in zip(batch, answers, strict=True):
        if not waiting.done():  # its caller may have gone
            waiting.set_result(answer)


def _forget(running: asyncio.Task[list[int]]) -> None:
    """Nobody waits for this answer any more, nor for its error."""
    if not running.cancelled():
        running.exception()
