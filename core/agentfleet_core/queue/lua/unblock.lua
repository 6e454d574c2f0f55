-- Lifts a tenant's not-before and lets its parked tasks be claimed. ARGV from 4: tenant, how many at most.
-- Returns how many are still parked. Invariant: a task that failed keeps its own retry time.
--@include pool
local tenant = ARGV[4]
local lifted = call('ZREM', tag .. ':blocked', tenant)
call('HDEL', tag .. ':blocked:why', tenant)
local ids = call('SRANDMEMBER', deferred_prefix .. tenant, ARGV[5])
for _, id in ipairs(ids) do resume(id, now) end
if lifted == 1 then
  changed = true
  arrived = arrived + (call('HGET', tag .. ':waiting', tenant) or 0)
end
flush(true)
return call('SCARD', deferred_prefix .. tenant)
