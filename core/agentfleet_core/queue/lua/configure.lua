-- Sets fair-share weights and running caps. ARGV from 4: version, running per tenant, running per type (0: none),
-- then tenant, weight, most running (0: none) in turn. Returns 1, or 0 when a newer version stands.
-- Invariant: of two workers with different fleet configs, the newer one's policy stands.
--@include pool
local key = tag .. ':policy'
if tonumber(call('HGET', key, 'version') or -1) > tonumber(ARGV[4]) then return 0 end
call('DEL', key)
call('HSET', key, 'version', ARGV[4])
if ARGV[5] ~= '0' then call('HSET', key, 'tenant', ARGV[5]) end
if ARGV[6] ~= '0' then call('HSET', key, 'type', ARGV[6]) end
for i = 7, #ARGV, 3 do
  call('HSET', key, 'w:' .. ARGV[i], ARGV[i + 1])
  if ARGV[i + 2] ~= '0' then call('HSET', key, 'm:' .. ARGV[i], ARGV[i + 2]) end
end
return 1
