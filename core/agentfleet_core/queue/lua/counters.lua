-- Reads what the autoscaler needs of a pool. ARGV[4]: how many blocked tenants to name (0: all). Returns {waiting,
-- blocked, running, parked, due, orphaned, oldest waiting, next due, now, tasks of all blocked tenants, {total, its
-- count, …}, {blocked tenant, its tasks, until when (0: until it is unblocked), the limit that refused it, …},
-- {what is missing, as report.lua keeps it, …}}. Writes nothing.
-- A blocked tenant's tasks are those that wait in its lanes and those that were parked when it was found out.
--@include pool
local function soonest(a, b)
  if a == 0 then return b end
  return b == 0 and a or math.min(a, b)
end

local blocked_by, blocked_total, blocked_tasks, next_due, is_blocked = {}, 0, 0, 0, {}
local blocked = call('ZRANGEBYSCORE', tag .. ':blocked', '(' .. now, '+inf', 'WITHSCORES')
for i = 1, #blocked, 2 do
  local waiting = tonumber(call('HGET', tag .. ':waiting', blocked[i]) or 0)
  is_blocked[blocked[i]] = true
  local tasks = waiting + call('SCARD', deferred_prefix .. blocked[i])
  blocked_tasks = blocked_tasks + tasks
  local ends = blocked[i + 1] == 'inf' and '0' or blocked[i + 1]
  if tasks > 0 then blocked_by[#blocked_by + 1] = {blocked[i], tasks, ends} end
  if waiting > 0 then
    blocked_total = blocked_total + waiting
    if blocked[i + 1] ~= 'inf' then next_due = soonest(next_due, tonumber(blocked[i + 1])) end
  end
end
table.sort(blocked_by, function(a, b) return a[2] > b[2] end)
local named, largest = tonumber(ARGV[4]), {}
for i = 1, named == 0 and #blocked_by or math.min(named, #blocked_by) do
  for _, part in ipairs(blocked_by[i]) do largest[#largest + 1] = part end
  largest[#largest + 1] = call('HGET', tag .. ':blocked:limit', blocked_by[i][1]) or ''
end

local oldest = 0
for _, tenant in ipairs(call('ZRANGE', share, 0, -1)) do
  if not is_blocked[tenant] then
    for _, entry in ipairs(call('HVALS', lanes_prefix .. tenant)) do oldest = soonest(oldest, entry_ms(entry)) end
  end
end

local due = call('ZCOUNT', parked, '-inf', now)
local first_later = call('ZRANGEBYSCORE', parked, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
next_due = soonest(next_due, tonumber(first_later[2] or 0))
local orphaned = call('ZCOUNT', leases, '-inf', now)
return {call('ZCARD', expiry) - blocked_total, blocked_total, call('ZCARD', leases) - orphaned,
  call('ZCARD', parked) - due, due, orphaned, oldest, next_due, now, blocked_tasks,
  call('HGETALL', counters), largest, call('HGETALL', tag .. ':missing')}
