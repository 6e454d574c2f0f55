--@include hold
-- The request of a hold leaves now: from here it is charged if its lease ends.
-- KEYS: 1 the tenant's leases, 2 the hold
-- ARGV: 1 hold id
-- Returns: 1, or 0 when the hold is gone or its lease is over: then nothing may be sent
-- Invariant: money is untouched. Sent twice is sent.

local hold = read_hold(KEYS[2])
if not is_open(hold) then
  return 0
end
local lease_ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not lease_ends or tonumber(lease_ends) <= now_ms() then
  return 0
end
if hold.state == 'h' then
  redis.call('SET', KEYS[2], 's|' .. hold.amount .. '|' .. hold.windows)
end
return 1
