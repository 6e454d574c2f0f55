--@include hold
-- Renew the leases of open holds; those that have ended stay ended.
-- KEYS: 1 the tenant's leases
-- ARGV: 1 lease ms, 2.. hold ids
-- Returns: nothing
-- Invariant: money is untouched, and no hold comes back.

local ends = string.format('%.0f', now_ms() + tonumber(ARGV[1]))
for n = 2, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', ends, ARGV[n])
end
