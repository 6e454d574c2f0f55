-- Notes that a provider takes no calls to a model for a while.
-- KEYS: 1 throttles hash (tier/model to until when, ms by Redis's clock)
-- ARGV: 1 tier/model, 2 for how long, ms, 3 channel for changes
-- Returns until when, ms. Invariant: that never falls, and the hash ends with its last entry. Sent twice, the
-- second adds at most the time between the two; only the first rings.
local throttles, name, ms, channel = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local before = tonumber(redis.call('HGET', throttles, name) or '0')
if before >= now + ms then
  return before
end
redis.call('HSET', throttles, name, string.format('%.0f', now + ms))
if redis.call('PTTL', throttles) < ms then
  redis.call('PEXPIRE', throttles, string.format('%.0f', ms))
end
if before <= now then
  redis.call('PUBLISH', channel, 'throttles')
end
return now + ms
