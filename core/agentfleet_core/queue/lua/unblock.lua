-- Lifts a tenant's block and lets its parked tasks be claimed. ARGV from 4: tenant, how many at most.
-- Returns how many are still parked. Invariant: a task that failed keeps its own retry time; configure.lua names the
-- tenant until none is parked.
--@include pool
local tenant = ARGV[4]
local lifted = call('ZREM', tag .. ':blocked', tenant)
call('HDEL', tag .. ':blocked:why', tenant)
call('HDEL', tag .. ':blocked:limit', tenant)
local ids = call('SRANDMEMBER', deferred_prefix .. tenant, ARGV[5])
for _, id in ipairs(ids) do resume(id, now) end
if lifted == 1 then
  changed = true
  arrived = arrived + (call('HGET', tag .. ':waiting', tenant) or 0)
end
flush(true)
local left = call('SCARD', deferred_prefix .. tenant)
if left == 0 then call('SREM', tag .. ':lifting', tenant) end
return left
