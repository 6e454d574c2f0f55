-- The words that a pool's scripts share. Every key is built from the tag KEYS[1], so one slot holds them all.
-- ARGV[1] the signals' channel, ARGV[2] the pool's name, ARGV[3] seconds that an ended task is kept.
-- Invariant: a live task is in exactly one of expiry (queued), parked and leases (running); a lane is in its
-- tenant's hash, and has a stream, exactly while a task waits in it; the hash names the stream id of the first one.
-- A task's hash, times in ms; a field that does not apply is left out:
--   s state                     k constants, packed           e envelope with input       a attempt, the newest
--   f attempts that failed      l of them: leases lost        w worker of the attempt     ca its claim
--   st first claim, once claimed again                        n its entry in the stream   q its lane, if not k's own
--   si waits again since        pa parked since               nb parked until             pk parked before, in all
--   r why it waits or ended     o output                      er problem it ended with    x those before, one a line
--   lm limitations              c cost, nano-USD              cc that of attempts before  z ended       dl 1: erased
--   v its newest event's number v:<number> an event           j:<step> a step's record    fw followed until
local tag, channel, pool, retention = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_text = string.format('%.0f', now) -- for writing: Redis converts a number anew each time

local AGEING_MS = 10000  -- one point of priority is worth this much waiting
local RESUMED = 100      -- points that a task which has started before is ahead of the others
local LOST_FREE = 10     -- lost leases that do not count against max_attempts
local KEPT_ERRORS = 20
local BELL_TOKENS = 64
local SIGNAL_MS = 200
local BASE_CHARGE = 1000 -- nano-USD of virtual time that each start costs, so that free tasks take turns too
local EVENTS_KEPT = 200

local expiry, parked, leases = tag .. ':expiry', tag .. ':parked', tag .. ':leases'
local share, counters = tag .. ':share', tag .. ':counters'
local task_prefix = tag .. ':t:'
local lanes_prefix, deferred_prefix, stream_prefix = tag .. ':l:', tag .. ':d:', tag .. ':q:'

local waiting_by, totals = {}, {}
local running_tenants, running_types, running_workers = {}, {}, {}
local unleased, charges, changed, arrived = {}, {}, false, 0

local function add(into, name, n)
  into[name] = (into[name] or 0) + n
end

-- The number of a task's newest event but its end, from its fields v and a. Most events are fields `v:<number>` of
-- the task's hash, the newest kept; the first start is number 1 and the end the last, and both only stand in the record.
local function last_event(v, attempt)
  if v then return tonumber(v) end
  return attempt and tonumber(attempt) > 0 and 1 or 0
end

-- Wakes followers; `followed` is until when somebody follows, or false.
local function announce(id, followed, number)
  if followed and tonumber(followed) > now then call('PUBLISH', tag .. ':e:' .. id, number) end
end

-- Writes fields of a task that has started before together with an event that followers see.
local function write(id, followed, attempt, kind, data, ...)
  local key = task_prefix .. id
  local number = last_event(call('HGET', key, 'v'), attempt) + 1
  call('HSET', key, 'v', number, 'v:' .. number, attempt .. ' ' .. kind .. ' ' .. data, ...)
  if number > EVENTS_KEPT then call('HDEL', key, 'v:' .. (number - EVENTS_KEPT)) end
  announce(id, followed, number)
end

-- The constant part of a task: admitted, expires, expected cost, attempts, tenant, type, revision, priority.
local function constants(k)
  return struct.unpack('>ddddssss', k)
end

local function enqueue(id, tenant, priority, kind, revision, expires)
  local lane = priority .. ':' .. kind .. ':' .. revision
  local stream = stream_prefix .. tenant .. ':' .. lane
  local entry = call('XADD', stream, '*', 't', id)
  call('HSETNX', lanes_prefix .. tenant, lane, entry)
  call('ZADD', expiry, expires, id)
  add(waiting_by, tenant, 1)
  arrived, changed = arrived + 1, true
  return entry, lane
end

local function entry_ms(entry)
  return tonumber(string.match(entry, '^%d+'))
end

-- The lane's first task is now the first live one after `entry`; tombstones on the way go. False: nothing waits.
local function advance(tenant, lane, entry)
  local stream = stream_prefix .. tenant .. ':' .. lane
  while true do
    local head = call('XRANGE', stream, '(' .. entry, '+', 'COUNT', 1)[1]
    if not head then
      call('HDEL', lanes_prefix .. tenant, lane)
      call('DEL', stream)
      return false
    end
    local at = call('HMGET', task_prefix .. head[2][2], 's', 'n')
    if at[1] == 'queued' and at[2] == head[1] then
      call('HSET', lanes_prefix .. tenant, lane, head[1])
      return head[1]
    end
    entry = head[1]
    call('XDEL', stream, entry)
    add(totals, 'tombstones', -1)
  end
end

-- A queued task leaves its stream: at once at the head, else its entry stays as a tombstone, which is what an entry
-- is that its task's record does not name as queued.
local function leave_queue(id, tenant, lane, entry)
  call('ZREM', expiry, id)
  add(waiting_by, tenant, -1)
  changed = true
  if call('HGET', lanes_prefix .. tenant, lane) == entry then
    call('XDEL', stream_prefix .. tenant .. ':' .. lane, entry)
    advance(tenant, lane, entry)
  else
    add(totals, 'tombstones', 1)
  end
end

local function leave_running(id, tenant, kind, worker)
  unleased[#unleased + 1] = id
  add(running_tenants, tenant, -1)
  add(running_types, kind, -1)
  add(running_workers, worker, -1)
  changed = true
end

-- An attempt is over: its tenant is charged what the task has cost since the last one was (field cc), instead of
-- what its start charged. The cost is to be kept as cc where another attempt may follow.
local function charge(id, tenant, attempt, expected, cost)
  local before = attempt ~= '1' and call('HGET', task_prefix .. id, 'cc') or 0
  add(charges, tenant, math.max(cost - before, BASE_CHARGE) - math.max(expected, BASE_CHARGE))
end

local function leave_parked(id, tenant)
  call('ZREM', parked, id)
  call('SREM', deferred_prefix .. tenant, id)
  changed = true
end

-- The task ends; what it holds of queue, lease or parking place must have been left before.
local function finish(id, followed, attempt, state, ...)
  local key = task_prefix .. id
  call('HSET', key, 's', state, 'z', now_text, ...)
  call('EXPIRE', key, retention)
  if followed then announce(id, followed, last_event(call('HGET', key, 'v'), attempt) + 1) end
  changed = true
end

-- The task ends by the queue's own hand: no worker settles it, so it is counted here.
local function finish_unsettled(id, kind, followed, attempt, state, ...)
  add(totals, 'end:' .. state .. ':' .. kind, 1)
  finish(id, followed, attempt, state, ...)
end

local function problem(slug, title, status, detail)
  return cjson.encode({type = 'https://agentfleet.dev/problems/' .. slug, title = title, status = status, detail = detail})
end

local function expired(id)
  local at = call('HMGET', task_prefix .. id, 'fw', 'a', 'k')
  local _, _, _, _, _, kind = constants(at[3])
  finish_unsettled(id, kind, at[1], at[2], 'failed', 'r', 'Expired', 'er', problem('deadline-exceeded', 'Deadline exceeded', 504,
    'The task expired before it ended; raise expires_after_seconds, or give its pool more workers.'))
end

-- Errors of failed attempts, one JSON a line, the newest kept.
local function with_error(errors, err)
  if not errors or errors == '' then return err end
  local kept, n = errors, 1
  for _ in string.gmatch(errors, '\n') do n = n + 1 end
  if n >= KEPT_ERRORS then kept = string.sub(errors, string.find(errors, '\n', 1, true) + 1) end
  return kept .. '\n' .. err
end

-- Back into the queue; what has started goes ahead of what has not. `ago` is since when it waits.
local function requeue(id, k, ago, attempt)
  local _, expires, _, _, tenant, kind, revision, priority = constants(k)
  if attempt then priority = tostring(priority + RESUMED) end
  local entry, lane = enqueue(id, tenant, priority, kind, revision, expires)
  call('HSET', task_prefix .. id, 's', 'queued', 'n', entry, 'q', lane, 'si', ago)
end

local function park(id, k, due, deferred)
  local _, expires, _, _, tenant = constants(k)
  if due == 0 or due > expires then due = expires end
  call('ZADD', parked, due, id)
  if deferred then call('SADD', deferred_prefix .. tenant, id) end
  call('HSET', task_prefix .. id, 's', 'parked', 'nb', due, 'pa', now)
  changed = true
end

local function lane_of(q, k)
  if q then return q end
  local _, _, _, _, _, kind, revision, priority = constants(k)
  return priority .. ':' .. kind .. ':' .. revision
end

-- A parked task goes on. Its deadline stands still from the park to the next claim.
local function resume(id, ago)
  local at = call('HMGET', task_prefix .. id, 'k', 'a')
  local _, expires, _, _, tenant = constants(at[1])
  leave_parked(id, tenant)
  if now >= expires then
    expired(id)
  else
    requeue(id, at[1], ago, at[2])
  end
end

-- A lease that ended: the attempt failed with its worker. The task goes on elsewhere, or ends dead.
local function lost(id, ended_at)
  local at = call('HMGET', task_prefix .. id, 'k', 'a', 'f', 'l', 'w', 'x', 'fw', 'c')
  local k, attempt, worker = at[1], at[2], at[5]
  local _, expires, expected, most, tenant, kind = constants(k)
  local failures, losses = (at[3] or 0) + 1, (at[4] or 0) + 1
  local err = problem('worker-lost', 'Worker lost', 500,
    'Attempt ' .. attempt .. ' ended with its worker ' .. worker .. ', which no longer renewed its lease.')
  local errors = with_error(at[6], err)
  leave_running(id, tenant, kind, worker)
  charge(id, tenant, attempt, expected, at[8] or 0)
  call('HSET', task_prefix .. id, 'f', failures, 'l', losses, 'x', errors, 'cc', at[8] or 0)
  if failures - math.min(losses, LOST_FREE) >= most then
    finish_unsettled(id, kind, at[7], attempt, 'dead', 'r', 'WorkerLost', 'er', err)
  elseif now >= expires then
    expired(id)
  else
    requeue(id, k, ended_at, attempt)
  end
end

-- What time alone has changed: due, lost and expired tasks, at most `limit` of each.
local function tend(limit)
  local ids = call('ZRANGEBYSCORE', leases, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit)
  for i = 1, #ids, 2 do lost(ids[i], ids[i + 1]) end
  ids = call('ZRANGEBYSCORE', parked, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit)
  for i = 1, #ids, 2 do resume(ids[i], ids[i + 1]) end
  ids = call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    local at = call('HMGET', task_prefix .. id, 'k', 'q', 'n')
    local _, _, _, _, tenant = constants(at[1])
    expired(id)
    leave_queue(id, tenant, lane_of(at[2], at[1]), at[3])
  end
end

local function join_share(tenant)
  if call('ZSCORE', share, tenant) then return end
  local left_with = tonumber(call('HGET', tag .. ':vt', tenant) or 0)
  local virtual_now = tonumber(call('HGET', counters, 'vclock') or 0)
  call('ZADD', share, math.max(left_with, virtual_now), tenant)
  call('HDEL', tag .. ':vt', tenant)
end

local function leave_share(tenant)
  local virtual_time = call('ZSCORE', share, tenant)
  if virtual_time then call('HSET', tag .. ':vt', tenant, virtual_time) end
  call('ZREM', share, tenant)
  call('HDEL', tag .. ':waiting', tenant)
end

local function flush_leases()
  for from = 1, #unleased, 1000 do
    call('ZREM', leases, unpack(unleased, from, math.min(from + 999, #unleased)))
  end
  unleased = {}
end

-- Appends what has changed to both lists, each name with the prefix.
local function changes(prefix, by, names, differences)
  for name, n in pairs(by) do
    if n ~= 0 then
      names[#names + 1] = prefix .. name
      differences[#differences + 1] = n
    end
  end
  return names, differences
end

-- Adds to many fields of a hash with two commands; returns the new counts.
local function add_all(key, names, differences)
  local counts = {}
  for from = 1, #names, 1000 do
    local last = math.min(from + 999, #names)
    local old, fields = call('HMGET', key, unpack(names, from, last)), {}
    for i = from, last do
      counts[i] = (old[i - from + 1] or 0) + differences[i]
      fields[#fields + 1] = names[i]
      fields[#fields + 1] = counts[i]
    end
    call('HSET', key, unpack(fields))
  end
  return counts
end

-- Before a tenant joins or leaves the share: it joins where it stands.
local function flush_charges()
  for tenant, difference in pairs(charges) do
    if difference ~= 0 then
      local weighted = difference / (call('HGET', tag .. ':policy', 'w:' .. tenant) or 1)
      if call('ZSCORE', share, tenant) then
        call('ZINCRBY', share, weighted, tenant)
      else
        call('HINCRBYFLOAT', tag .. ':vt', tenant, weighted)
      end
    end
  end
  charges = {}
end

local function flush_waiting()
  flush_charges()
  local names, differences = changes('', waiting_by, {}, {})
  local counts = add_all(tag .. ':waiting', names, differences)
  for i, tenant in ipairs(names) do
    if counts[i] == 0 then
      leave_share(tenant)
    elseif differences[i] > 0 then
      join_share(tenant)
    end
  end
  waiting_by = {}
end

local function flush_running()
  local names, differences = changes('t:', running_tenants, {}, {})
  changes('y:', running_types, names, differences)
  changes('w:', running_workers, names, differences)
  local counts, gone = add_all(tag .. ':running', names, differences), {}
  for i, name in ipairs(names) do
    if counts[i] == 0 then gone[#gone + 1] = name end
  end
  for from = 1, #gone, 1000 do
    call('HDEL', tag .. ':running', unpack(gone, from, math.min(from + 999, #gone)))
  end
end

local function signal(at_once)
  local last = tonumber(call('HGET', counters, 'signalled') or 0)
  if at_once or now - last >= SIGNAL_MS then
    call('PUBLISH', channel, 'pool/' .. pool)
    call('HSET', counters, 'signalled', now)
  end
end

local function ring(tokens)
  local room = BELL_TOKENS - call('LLEN', tag .. ':bell')
  for _ = 1, math.min(tokens, room) do call('RPUSH', tag .. ':bell', '1') end
end

-- Writes what the script gathered. `was_idle`: before it, nothing waited or ran, so the signal goes out at once.
local function flush(was_idle)
  flush_leases()
  flush_waiting()
  flush_running()
  for name, n in pairs(totals) do
    if n ~= 0 then call('HINCRBY', counters, name, n) end
  end
  if arrived > 0 then ring(arrived) end
  if changed then signal(was_idle and arrived > 0) end
end
