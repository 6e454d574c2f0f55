-- Ends attempts. ARGV from 4, five each: id, attempt, what becomes of it (retry, park, hand_back, or the state in which
-- the task ends), output, and more as JSON, or empty: cost, reason, error, limitations, not_before, block (the tenant),
-- limit (that refused a call), digest (of the tenant's limits then).
-- Returns done, stale or dead each.
-- Invariant: an attempt is settled once; the same settlement again gets the same answer and changes nothing. What
-- waits for money was refused by the limits that hold now.
--@include pool
local outcomes = {}

local OTHER_LIMITS_MS = 1000 -- until a task is tried again whose worker knew other limits than the pool's

local NO_MORE = {cost = 0, reason = '', error = '', limitations = '', not_before = 0, block = false, limit = '', digest = ''}

-- The answer to a settlement that was made before, or stale.
local function repeated(state, attempt, current, wanted)
  if attempt ~= current then return 'stale' end
  if wanted == 'retry' and state == 'dead' then return 'dead' end
  if wanted ~= 'retry' and wanted ~= 'park' and wanted ~= 'hand_back' then return state == wanted and 'done' or 'stale' end
  return (state == 'parked' or state == 'queued') and 'done' or 'stale'
end

local function book(id, known, cost)
  if cost > known then
    call('HSET', task_prefix .. id, 'c', cost)
    add(totals, 'spent', cost - known)
    return cost
  end
  return known
end

local function finish_with(id, attempt, at, state, output, more)
  if more == NO_MORE and attempt == '1' then
    finish(id, at[7], attempt, state, 'o', output)
    return
  end
  local fields, n = {'o', output, 'r', more.reason}, 4
  if more.error ~= '' then fields[n + 1], fields[n + 2], n = 'er', more.error, n + 2 end
  if more.limitations ~= '' then fields[n + 1], fields[n + 2] = 'lm', more.limitations end
  finish(id, at[7], attempt, state, unpack(fields))
end

local function not_before(due)
  return '{"not_before_ms":' .. string.format('%.0f', due) .. '}'
end

-- The attempt failed: another may follow at its time, unless its attempts have run out.
local function retry(id, attempt, at, most, cost, more)
  local before, err, due = call('HMGET', task_prefix .. id, 'f', 'l', 'x'), more.error, more.not_before
  local failures = (before[1] or 0) + 1
  local errors = with_error(before[3], err)
  if failures - math.min(before[2] or 0, LOST_FREE) >= most then
    finish(id, at[7], attempt, 'dead', 'f', failures, 'r', more.reason, 'x', errors, 'er', err)
    return 'dead'
  end
  write(id, at[7], attempt, 'retry', not_before(due), 'f', failures, 'r', more.reason, 'x', errors,
    'cc', cost)
  if due > now then
    park(id, at[3], due, false)
  else
    requeue(id, at[3], now, attempt)
  end
  return 'done'
end

-- Whether the worker that was refused, or this pool, has not seen the tenant's newest limits yet.
local function other_limits(tenant, digest)
  local stands = digest ~= '' and call('HGET', tag .. ':policy', 'd:' .. tenant)
  return stands and stands ~= digest
end

local function set_aside(id, attempt, at, tenant, cost, more)
  local other = other_limits(tenant, more.digest)
  local due = other and now + OTHER_LIMITS_MS or more.not_before
  write(id, at[7], attempt, 'parked', not_before(due), 'r', more.reason, 'cc', cost)
  park(id, at[3], due, not other)
  if more.block and not other then
    call('ZADD', tag .. ':blocked', due == 0 and '+inf' or due, tenant)
    call('HSET', tag .. ':blocked:why', tenant, more.reason)
    call('HSET', tag .. ':blocked:limit', tenant, more.limit)
  end
end

local function settle(id, attempt, wanted, output, more)
  local at = call('HMGET', task_prefix .. id, 's', 'a', 'k', 'ca', 'c', 'w', 'fw')
  if at[1] ~= 'running' or at[2] ~= attempt then return repeated(at[1], attempt, at[2], wanted) end
  local expected, most, tenant, task_type = struct.unpack('>ddss', at[3], 17)
  leave_running(id, tenant, task_type, at[6])
  add(totals, 'ended', 1)
  add(totals, 'busy_ms', now - at[4])
  local cost = book(id, tonumber(at[5] or 0), more.cost)
  charge(id, tenant, attempt, expected, cost)
  if wanted == 'retry' then return retry(id, attempt, at, most, cost, more) end
  if wanted == 'park' then
    set_aside(id, attempt, at, tenant, cost, more)
  elseif wanted == 'hand_back' then
    write(id, at[7], attempt, 'handed_back', '{}', 'cc', cost)
    requeue(id, at[3], now, attempt)
  else
    finish_with(id, attempt, at, wanted, output, more)
  end
  return 'done'
end

for i = 4, #ARGV, 5 do
  local more = ARGV[i + 4] == '' and NO_MORE or cjson.decode(ARGV[i + 4])
  outcomes[#outcomes + 1] = settle(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], more)
end
flush(false)
if call('ZCARD', share) > 0 and call('LLEN', tag .. ':bell') == 0 then ring(1) end
return outcomes
