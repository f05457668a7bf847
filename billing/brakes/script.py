"""What Valkey carries out in one step: a place taken or not, an outcome counted, a pause begun or ended.

Microseconds by the server's clock, so that no machine's own counts. `billing.brakes.own` does the same alone.
"""

from hashlib import sha1

from billing.brakes import terms

PREFIX = "{stripe-brakes}:"

FIGURES = {
    "SLOWEST": terms.SLOWEST,
    "HALVED_EVERY": terms.HALVED_EVERY_SECONDS * 1e6,
    "REGAINED": terms.REGAINED_A_SECOND / 1e6,
    "RAMP_FROM": terms.RAMP_FROM,
    "LONGEST_LINE": terms.LONGEST_LINE_SECONDS * 1e6,
    "SLOT": terms.SLOT_SECONDS * 1e6,
    "SLOTS": terms.SLOTS,
    "FEWEST_CALLS": terms.FEWEST_CALLS,
    "FAILING_SHARE": terms.FAILING_SHARE,
    "PROBE_EVERY": terms.PROBE_EVERY_SECONDS * 1e6,
    "PROBE_JITTER": terms.PROBE_JITTER,
    "PROBE_LOST": terms.PROBE_LOST_SECONDS * 1e6,
    "GOOD_PROBES": terms.GOOD_PROBES,
}

# Keys: the breaker (epoch, open, since, reason, probe_at, good), the limiter's factor (from, at), a bucket for each
# endpoint and one for all (places, at), by bucket and lane when the last of those comes back who were sent away, and
# what was counted in each slot of the window. Times that lie ahead come from a server whose clock was set back, and
# count as now.
BODY = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local breaker, limiter = KEYS[1] .. 'breaker', KEYS[1] .. 'limiter'

local function whole(number) return string.format('%.0f', number) end
local function exact(number) return string.format('%.6f', number) end
local function since(at) return math.max(0, now - at) end

local function factor()
  local from, at = unpack(redis.call('HMGET', limiter, 'from', 'at'))
  if not at then return 1 end
  return math.min(1, from + since(at) * REGAINED)
end

local function slow_down(from)
  redis.call('HSET', limiter, 'from', exact(from), 'at', whole(now))
  redis.call('PEXPIRE', limiter, 60000)
end

local function halve()
  local at = redis.call('HGET', limiter, 'at')
  if at and now >= tonumber(at) and now - at < HALVED_EVERY then return nil end
  slow_down(math.max(SLOWEST, factor() / 2))
  return 'slowed'
end

local function slot(back) return KEYS[1] .. 'window:' .. whole(math.floor(now / SLOT) - back) end

local function count(what)
  redis.call('HINCRBY', slot(0), what, 1)
  redis.call('PEXPIRE', slot(0), (SLOTS + 1) * SLOT / 1000)
end

local function counted(...)
  local fields, sums = {...}, {}
  for index = 1, #fields do sums[index] = 0 end
  for back = 0, SLOTS - 1 do
    for index, found in ipairs(redis.call('HMGET', slot(back), unpack(fields))) do
      sums[index] = sums[index] + (tonumber(found) or 0)
    end
  end
  return sums
end

local function state()
  local found = redis.call('HMGET', breaker, 'epoch', 'open', 'probe_at', 'good', 'since', 'reason')
  return {
    epoch = tonumber(found[1]) or 0, is_open = found[2] == '1', probe_at = tonumber(found[3]) or 0,
    good = tonumber(found[4]) or 0, since = tonumber(found[5]) or now, reason = found[6] or ''
  }
end

local function keep(...)
  redis.call('HSET', breaker, ...)
  redis.call('PEXPIRE', breaker, 86400000)
end

local function until_next_probe()
  return now + PROBE_EVERY * (1 - PROBE_JITTER + 2 * PROBE_JITTER * (now % 1000) / 1000)
end

local function places(name, capacity, per_second)
  local left, at = unpack(redis.call('HMGET', KEYS[1] .. 'bucket:' .. name, 'places', 'at'))
  if not at then return capacity end
  return math.min(capacity, left + since(at) * per_second / 1000000)
end

local function take(name, left)
  local bucket = KEYS[1] .. 'bucket:' .. name
  redis.call('HSET', bucket, 'places', exact(left), 'at', whole(now))
  redis.call('PEXPIRE', bucket, 120000)
end

-- Who is sent away comes back at a time of his own: at each moment as many as there will be places.
local function stand_in_line(lane, name, wait, per_second)
  local line = KEYS[1] .. 'line:' .. lane .. ':' .. name
  local last = math.min(tonumber(redis.call('GET', line)) or 0, now + LONGEST_LINE)
  local mine = math.max(now + wait, last + 1000000 / per_second)
  redis.call('SET', line, whole(mine), 'PX', 120000)
  return mine - now
end

local function ask(lane, reserve, patience, is_first, buckets)
  local now_is = state()
  if now_is.is_open then
    local ahead = now_is.probe_at - now
    if ahead > 0 and ahead <= PROBE_LOST then return {'parked', now_is.epoch, 0} end
    keep('probe_at', whole(now + PROBE_LOST))
    return {'probe', now_is.epoch, 0}
  end
  local slowed, wait, left, narrow, pace = factor(), 0, {}, nil, nil
  for index = 1, #buckets, 3 do
    local name, capacity = buckets[index], math.max(1, buckets[index + 1] * slowed)
    local per_second = buckets[index + 2] * slowed
    local found, needed = places(name, capacity, per_second), 1 + reserve * (capacity - 1)
    left[name] = found
    local missing = (needed - found) / per_second * 1000000
    if missing > wait then wait, narrow, pace = missing, name, per_second end
  end
  for name, found in pairs(left) do take(name, wait > 0 and found or found - 1) end
  if wait == 0 then return {'go', now_is.epoch, 0} end
  if is_first then count('waits:' .. lane) end
  if wait > patience then
    count('put_off:' .. lane)
    return {'crowded', now_is.epoch, math.ceil(stand_in_line(lane, narrow, wait, pace))}
  end
  return {'wait', now_is.epoch, math.ceil(wait)}
end

local function open(reason)
  keep('open', '1', 'since', whole(now), 'reason', reason, 'good', 0, 'probe_at', whole(until_next_probe()))
  return 'opened'
end

local function probed(now_is, is_good)
  if not is_good then
    keep('good', 0, 'probe_at', whole(until_next_probe()))
  elseif now_is.good + 1 < GOOD_PROBES then
    keep('good', now_is.good + 1, 'probe_at', whole(now))
  else
    keep('open', '0', 'epoch', now_is.epoch + 1)
    slow_down(RAMP_FROM)
    return 'closed'
  end
  return nil
end

local function tell(epoch, outcome, is_probe)
  local now_is = state()
  if epoch ~= now_is.epoch then return nil end
  local is_good = outcome == 'fine' or outcome == 'busy'
  local turn = nil
  if outcome == 'busy' then turn = halve() end
  if now_is.is_open then
    if is_probe then turn = probed(now_is, is_good) or turn end
    return turn
  end
  local calls, failures = 'calls:' .. epoch, 'failures:' .. epoch
  count(calls)
  if is_good then return turn end
  count(failures)
  if outcome == 'refused' then return open('refused') end
  local sums = counted(calls, failures)
  if sums[1] >= FEWEST_CALLS and sums[2] >= FAILING_SHARE * sums[1] then return open('failing') end
  return nil
end

local function look(lanes)
  local now_is, names = state(), {}
  for _, lane in ipairs(lanes) do
    names[#names + 1] = 'waits:' .. lane
    names[#names + 1] = 'put_off:' .. lane
  end
  local sums = counted('calls:' .. now_is.epoch, 'failures:' .. now_is.epoch, unpack(names))
  local open_for = now_is.is_open and whole(since(now_is.since)) or '0'
  return {now_is.is_open and 1 or 0, open_for, now_is.reason, exact(factor()), unpack(sums)}
end

if ARGV[1] == 'ask' then
  return ask(ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1', {unpack(ARGV, 6)})
elseif ARGV[1] == 'tell' then
  return tell(tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1')
end
return look({unpack(ARGV, 2)})
"""

SCRIPT = "\n".join([*(f"local {name} = {value!r}" for name, value in FIGURES.items()), BODY])
SCRIPT_SHA = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
