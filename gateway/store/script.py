"""The Lua script that spends all quotas of a stage in one round trip; `memory` counts by the same formulas.

KEYS: one counter each. ARGV: three for each key: algorithm, count, window in microseconds. Returns remaining and wait for
each key, remaining -1 where it refuses; if any does, nothing is written. Time is Redis's own, so replicas agree on it; where it
stepped back, a counter's latest time counts on. Integers stay below 2^53, so that Lua's numbers are exact (a sliding count times
its window may pass that from 100,000 a day on: then by one unit in 10^15).
"""

from typing import Final

SPEND: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local out, writes, refused = {}, {}, false

local function store(key, value, microseconds)
  writes[#writes + 1] = {key, value, string.format('%.0f', math.ceil(microseconds / 1000) + 1)}
end

local function until_at_most(target, previous, current, left, window)
  if current <= target then
    return math.max(left - math.floor(((target - current + 1) * window - 1) / previous), 0)
  end
  return left + window - math.min(math.floor(((target + 1) * window - 1) / current), window - 1)
end

local function sliding(key, count, window, raw)
  local start, previous, current = now - now % window, 0, 0
  if raw then
    local s, p, c = string.match(raw, '^(%d+):(%d+):(%d+)$')
    s, p, c = tonumber(s), tonumber(p), tonumber(c)
    if s >= start then start, previous, current = s, p, c
    elseif s == start - window then previous = c end
  end
  local left = window - 1 - math.max(now - start, 0)
  local used = math.floor(previous * left / window) + current
  if used >= count then return -1, until_at_most(count - 1, previous, current, left, window) end
  store(key, string.format('%.0f:%.0f:%.0f', start, previous, current + 1), 2 * window)
  return count - used - 1, until_at_most(used, previous, current + 1, left, window)
end

local function fixed(key, count, window, raw)
  local stop, current = now + window, 0
  if raw then
    local s, c = string.match(raw, '^(%d+):(%d+)$')
    s, c = tonumber(s), tonumber(c)
    if now < s then stop, current = math.min(s, now + window), c end
  end
  if current >= count then return -1, stop - now end
  store(key, string.format('%.0f:%.0f', stop, current + 1), stop - now)
  return count - current - 1, stop - now
end

local function bucket(key, count, interval, raw)
  local depth = count * interval
  local full = math.min(math.max(tonumber(raw or 0), now), now + depth)
  local filled = full + interval - now
  if filled > depth then return -1, filled - depth end
  store(key, string.format('%.0f', full + interval), filled)
  local remaining = math.floor((depth - filled) / interval)
  return remaining, filled - depth + (remaining + 1) * interval
end

local algorithms = {sliding = sliding, fixed = fixed, bucket = bucket}
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 3
  local take = algorithms[ARGV[at + 1]]
  local remaining, wait = take(key, tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), redis.call('GET', key))
  if remaining < 0 then refused = true end
  out[2 * i - 1], out[2 * i] = remaining, wait
end
if refused then
  for i = 1, #KEYS do
    if out[2 * i - 1] >= 0 then out[2 * i - 1] = out[2 * i - 1] + 1 end
  end
  return out
end
for _, write in ipairs(writes) do redis.call('SET', write[1], write[2], 'PX', write[3]) end
return out
"""
