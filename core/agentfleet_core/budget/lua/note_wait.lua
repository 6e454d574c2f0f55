-- Note that a call waits for open holds to end, for whoever asks why. Nothing is decided by it.
-- KEYS: 1 the tenant's waits
-- ARGV: 1 `amount|limit|hold id`, 2 ms that it waits at most, 3 how many are kept
-- Returns: 1
-- Invariant: so many at most, the soonest to end gone first; all are forgotten when the last would end.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[3]) - 1)
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last[2])))
return 1
