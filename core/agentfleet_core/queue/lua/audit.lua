-- Recounts what the scripts count as they go. ARGV from 4: 1 to read every live task, 0 to compare sums first.
-- Returns 1 when all was right, 0 when something was mended. Invariant: counts follow the records, never the reverse.
--@include pool
local waiting, running = {}, {}

local function sums_agree()
  local total, by = 0, {t = 0, y = 0, w = 0}
  for _, n in ipairs(call('HVALS', tag .. ':waiting')) do total = total + n end
  local all = call('HGETALL', tag .. ':running')
  for i = 1, #all, 2 do
    local kind = string.sub(all[i], 1, 1)
    by[kind] = by[kind] + all[i + 1]
  end
  local held = call('ZCARD', leases)
  return total == call('ZCARD', expiry) and by.t == held and by.y == held and by.w == held
end

local function recount(set, state, into)
  for _, id in ipairs(call('ZRANGE', set, 0, -1)) do
    local at = call('HMGET', task_prefix .. id, 's', 'k', 'w')
    if at[1] ~= state then
      call('ZREM', set, id)
      changed = true
    else
      local _, _, _, _, tenant, kind = constants(at[2])
      into(tenant, kind, at[3])
    end
  end
end

local function mend(key, right)
  local all = call('HGETALL', key)
  for i = 1, #all, 2 do
    if tonumber(all[i + 1]) ~= (right[all[i]] or 0) then
      call('HDEL', key, all[i])
      changed = true
    end
  end
  for name, n in pairs(right) do
    if tonumber(call('HGET', key, name) or 0) ~= n then
      call('HSET', key, name, n)
      changed = true
    end
  end
end

tend(200)
flush(false)
changed = false
if ARGV[4] ~= '1' and sums_agree() then return 1 end
recount(expiry, 'queued', function(tenant) add(waiting, tenant, 1) end)
recount(leases, 'running', function(tenant, kind, worker)
  add(running, 't:' .. tenant, 1)
  add(running, 'y:' .. kind, 1)
  add(running, 'w:' .. worker, 1)
end)
recount(parked, 'parked', function() end)
mend(tag .. ':waiting', waiting)
mend(tag .. ':running', running)
if not changed then return 1 end
signal(false)
return 0
