--@include hold
-- Renew the leases of open holds; those that have ended stay ended.
-- KEYS: 1 the tenant's leases
-- ARGV: 1 lease ms, 2.. hold ids
-- Returns: how many are open
-- Invariant: money is untouched, and no hold comes back.

local ends = string.format('%.0f', now_ms() + tonumber(ARGV[1]))
local open = 0
for n = 2, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[n]) then
    redis.call('ZADD', KEYS[1], 'XX', ends, ARGV[n])
    open = open + 1
  end
end
return open
