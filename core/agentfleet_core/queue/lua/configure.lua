-- Sets fair-share weights, running caps and what the tenants' limits are. ARGV from 4: version, running per tenant,
-- running per type (0: none), then tenant, weight, most running (0: none), digest of its limits in turn.
-- Returns the tenants to unblock: their limits are others than those that parked their tasks. False when a newer
-- version stands.
-- Invariant: of two processes with different fleet configs, the newer one's policy stands; a tenant is returned each
-- time until it is unblocked, whoever began that.
--@include pool
local key, lifting, digests = tag .. ':policy', tag .. ':lifting', {}
local before = call('HGETALL', key)
for i = 1, #before, 2 do digests[before[i]] = before[i + 1] end
if tonumber(digests.version or -1) > tonumber(ARGV[4]) then return false end

local function holds_back(tenant)
  return call('EXISTS', deferred_prefix .. tenant) == 1 or call('ZSCORE', tag .. ':blocked', tenant)
end

call('DEL', key)
call('HSET', key, 'version', ARGV[4])
if ARGV[5] ~= '0' then call('HSET', key, 'tenant', ARGV[5]) end
if ARGV[6] ~= '0' then call('HSET', key, 'type', ARGV[6]) end
for i = 7, #ARGV, 4 do
  local tenant, digest = ARGV[i], ARGV[i + 3]
  call('HSET', key, 'w:' .. tenant, ARGV[i + 1], 'd:' .. tenant, digest)
  if ARGV[i + 2] ~= '0' then call('HSET', key, 'm:' .. tenant, ARGV[i + 2]) end
  if digests['d:' .. tenant] ~= digest and holds_back(tenant) then call('SADD', lifting, tenant) end
end
return call('SMEMBERS', lifting)
