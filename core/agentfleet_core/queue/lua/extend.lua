-- Renews a worker's leases. ARGV from 4: worker, lease in milliseconds, then id and attempt in turn.
-- Returns the ids that it no longer holds. Invariant: only the current attempt keeps its lease.
--@include pool
local lost_ids, renewed = {}, {}
for i = 6, #ARGV, 2 do
  local at = call('HMGET', task_prefix .. ARGV[i], 's', 'a')
  if at[1] == 'running' and at[2] == ARGV[i + 1] then
    renewed[#renewed + 1] = now + ARGV[5]
    renewed[#renewed + 1] = ARGV[i]
  else
    lost_ids[#lost_ids + 1] = ARGV[i]
  end
end
for from = 1, #renewed, 1000 do
  call('ZADD', leases, 'XX', unpack(renewed, from, math.min(from + 999, #renewed)))
end
local seen = call('HGET', tag .. ':workers', ARGV[4])
if seen then call('HSET', tag .. ':workers', ARGV[4], now .. ' ' .. string.match(seen, '^%S+ (.*)$')) end
return lost_ids
