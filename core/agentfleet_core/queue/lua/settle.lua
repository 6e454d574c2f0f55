-- Ends attempts. ARGV from 4, eleven each: id, attempt, kind, state, output, error, limitations, cost, reason,
-- not before, 1 to block the tenant. Returns done, stale or dead each.
-- Invariant: an attempt is settled once; the same settlement again gets the same answer and changes nothing.
--@include pool
local outcomes, charged = {}, {}

-- The answer to a settlement that was made before, or stale.
local function repeated(state, attempt, current, kind, wanted)
  if attempt ~= current then return 'stale' end
  if kind == 'end' then return state == wanted and 'done' or 'stale' end
  if kind == 'retry' and state == 'dead' then return 'dead' end
  return (state == 'parked' or state == 'queued') and 'done' or 'stale'
end

local function correct_charge(tenant, expected, actual)
  add(charged, tenant, math.max(actual, BASE_CHARGE) - math.max(expected, BASE_CHARGE))
end

local function book(id, known, cost)
  if cost > known then
    call('HSET', task_prefix .. id, 'c', cost)
    add(totals, 'spent', cost - known)
    return cost
  end
  return known
end

local function finish_with(i, id, attempt, at)
  local fields, n = {'o', ARGV[i + 4]}, 2
  if ARGV[i + 8] ~= '' or attempt ~= '1' then fields[3], fields[4], n = 'r', ARGV[i + 8], 4 end
  if ARGV[i + 5] ~= '' then fields[n + 1], fields[n + 2], n = 'er', ARGV[i + 5], n + 2 end
  if ARGV[i + 6] ~= '' then fields[n + 1], fields[n + 2] = 'lm', ARGV[i + 6] end
  finish(id, at[7], attempt, ARGV[i + 3], unpack(fields))
end

local function not_before(due)
  return '{"not_before_ms":' .. string.format('%.0f', due) .. '}'
end

-- The attempt failed: another may follow at its time, unless its attempts have run out.
local function retry(i, id, attempt, at, most)
  local before, err = call('HMGET', task_prefix .. id, 'f', 'l', 'x'), ARGV[i + 5]
  local failures = (before[1] or 0) + 1
  local due = tonumber(ARGV[i + 9])
  local errors = with_error(before[3], err)
  if failures - math.min(before[2] or 0, LOST_FREE) >= most then
    finish(id, at[7], attempt, 'dead', 'f', failures, 'r', ARGV[i + 8], 'x', errors, 'er', err)
    return 'dead'
  end
  write(id, at[7], attempt, 'retry', not_before(due), 'f', failures, 'r', ARGV[i + 8], 'x', errors)
  if due > now then
    park(id, at[3], due, false)
  else
    requeue(id, at[3], now, attempt)
  end
  return 'done'
end

local function set_aside(i, id, attempt, at, tenant)
  local due = tonumber(ARGV[i + 9])
  write(id, at[7], attempt, 'parked', not_before(due), 'r', ARGV[i + 8])
  park(id, at[3], due, true)
  if ARGV[i + 10] == '1' then
    call('ZADD', tag .. ':blocked', due == 0 and '+inf' or due, tenant)
  end
end

local function settle(i)
  local id, attempt, kind = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local at = call('HMGET', task_prefix .. id, 's', 'a', 'k', 'ca', 'c', 'w', 'fw')
  if at[1] ~= 'running' or at[2] ~= attempt then return repeated(at[1], attempt, at[2], kind, ARGV[i + 3]) end
  local _, _, expected, most, tenant, task_type = constants(at[3])
  leave_running(id, tenant, task_type, at[6])
  add(totals, 'ended', 1)
  add(totals, 'busy_ms', now - at[4])
  local cost = book(id, tonumber(at[5] or 0), tonumber(ARGV[i + 7]))
  if kind == 'end' then
    correct_charge(tenant, expected, cost)
    finish_with(i, id, attempt, at)
  elseif kind == 'retry' then
    return retry(i, id, attempt, at, most)
  elseif kind == 'park' then
    correct_charge(tenant, expected, 0)
    set_aside(i, id, attempt, at, tenant)
  else
    correct_charge(tenant, expected, 0)
    write(id, at[7], attempt, 'handed_back', '{}')
    requeue(id, at[3], now, attempt)
  end
  return 'done'
end

for i = 4, #ARGV, 11 do outcomes[#outcomes + 1] = settle(i) end
for tenant, difference in pairs(charged) do
  if difference ~= 0 then
    local weighted = difference / (call('HGET', tag .. ':policy', 'w:' .. tenant) or 1)
    if call('ZSCORE', share, tenant) then
      call('ZINCRBY', share, weighted, tenant)
    else
      call('HINCRBYFLOAT', tag .. ':vt', tenant, weighted)
    end
  end
end
flush(false)
if call('ZCARD', share) > 0 and call('LLEN', tag .. ':bell') == 0 then ring(1) end
return outcomes
