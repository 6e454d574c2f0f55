-- Hands tasks to a worker in weighted fair share. ARGV from 4: worker, slots, lease in milliseconds, the claim's
-- number, how many revisions follow, those revisions (the worker's own first; none, or `*` among them: any), what is
-- paused: a tenant, or `y:` and a task type.
-- Returns {now, when something becomes due (0: never), tasks}; four items a task, in one flat list, which is much
-- cheaper to send than nested ones: id, its constants as pool.lua packs them, the envelope with input, and what came
-- before: an empty string, or `attempt failures started parked`, then the journal as field and value in turn.
-- Invariant: a claim sent twice under one number hands out the same tasks.
--@include pool
local worker, slots, lease_ms, number = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local revisions, paused, types_paused = nil, {}, false
local last_revision = 8 + tonumber(ARGV[8])
for i = 9, last_revision do
  revisions = revisions or {}
  revisions[ARGV[i]] = true
end
if revisions and revisions['*'] then revisions = nil end
for i = last_revision + 1, #ARGV do
  paused[ARGV[i]] = true
  types_paused = types_paused or string.sub(ARGV[i], 1, 2) == 'y:'
end

local QUANTUM = 10 -- a tenant's turn is at most one in so many of the slots asked for: each turn reads a lane anew

local tasks, remaining, given = {}, slots, {}
local leased, unqueued, waited_ms = {}, {}, 0
local lease_ends = string.format('%.0f', now + lease_ms)

local function next_check()
  local soonest = 0
  for _, key in ipairs({parked, leases, expiry, tag .. ':blocked'}) do
    local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
    if first and first ~= 'inf' and (soonest == 0 or tonumber(first) < soonest) then soonest = tonumber(first) end
  end
  return soonest
end

local function history_of(id, numbers)
  local found, all = {numbers}, call('HGETALL', task_prefix .. id)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'j:' then
      found[#found + 1] = string.sub(all[i], 3)
      found[#found + 1] = all[i + 1]
    end
  end
  return found
end

local function present(id, k, envelope, history)
  local n = #tasks
  tasks[n + 1], tasks[n + 2], tasks[n + 3], tasks[n + 4] = id, k, envelope, history
end

-- The same claim again, its answer lost: what it got and still holds.
local function repeated(answer)
  for id, attempt in string.gmatch(answer, ' (%w+)/(%d+)') do
    local at = call('HMGET', task_prefix .. id, 's', 'a', 'w', 'f', 'st', 'pk', 'e', 'k', 'ca')
    if at[1] == 'running' and at[2] == attempt and at[3] == worker then
      local numbers = attempt .. ' ' .. (at[4] or '0') .. ' ' .. (at[5] or at[9]) .. ' ' .. (at[6] or '0')
      present(id, at[8], at[7], history_of(id, numbers))
    end
  end
end

-- A task that was parked, given back or lost before. Returns its attempt, and what came before as `present` takes it.
local function start_again(id, key, attempts, followed)
  local before = call('HMGET', key, 'f', 'st', 'pk', 'pa', 'ca')
  local attempt, failures, started = (attempts or 0) + 1, before[1] or '0', before[2] or before[5] or now_text
  local parked_ms = tonumber(before[3] or 0)
  if before[4] then
    if attempt > 1 then parked_ms = parked_ms + now - before[4] end
    call('HDEL', key, 'pa')
    call('HSET', key, 'pk', parked_ms)
  end
  if attempt == 1 then
    call('HSET', key, 's', 'running', 'a', '1', 'w', worker, 'ca', now_text)
    announce(id, followed, 1)
  else
    -- The first start is the first claim; only a task that is claimed again needs it beside its last one.
    call('HSET', key, 'st', started)
    write(id, followed, attempt, 'reset', '{}', 's', 'running', 'a', attempt, 'w', worker, 'ca', now_text, 'r', '')
  end
  local numbers = attempt .. ' ' .. failures .. ' ' .. started .. ' ' .. parked_ms
  return attempt, attempt > 1 and history_of(id, numbers) or {numbers}
end

-- Returns what the start charges to the tenant; nil for a tombstone and for a task that has expired.
local function start(entry, id)
  local key, attempt, history = task_prefix .. id, '1', ''
  local at = call('HMGET', key, 's', 'n', 'k', 'e', 'a', 'si', 'fw')
  if at[1] ~= 'queued' or at[2] ~= entry then
    add(totals, 'tombstones', -1)
    return nil
  end
  unqueued[#unqueued + 1] = id
  local admitted, expires, expected = struct.unpack('>ddd', at[3])
  if now >= expires then
    expired(id)
    return nil
  end
  if at[5] or at[6] then
    attempt, history = start_again(id, key, at[5], at[7])
  else
    call('HSET', key, 's', 'running', 'a', '1', 'w', worker, 'ca', now_text)
    if at[7] then announce(id, at[7], 1) end
  end
  local n = #leased
  leased[n + 1], leased[n + 2] = lease_ends, id
  given[#given + 1] = id .. '/' .. attempt
  waited_ms = waited_ms + now - (at[6] or admitted)
  present(id, at[3], at[4], history)
  return expected > BASE_CHARGE and expected or BASE_CHARGE
end

local has_tombstones = tonumber(call('HGET', counters, 'tombstones') or 0) > 0

local type_room = {}
local function room_of_type(kind, most)
  if not most then return slots end
  if not type_room[kind] then
    type_room[kind] = most - tonumber(call('HGET', tag .. ':running', 'y:' .. kind) or 0)
  end
  return type_room[kind]
end

-- What a lane's name says; many tenants have lanes of one name.
local lanes_known = {}
local function known(lane)
  local found = lanes_known[lane]
  if not found then
    local priority, kind, revision = string.match(lane, '^(%d+):([^:]*):(.*)$')
    found = {lane = lane, kind = kind, ahead_ms = priority * AGEING_MS,
      open = (not revisions or revisions[revision]) and not (types_paused and paused['y:' .. kind])}
    lanes_known[lane] = found
  end
  return found
end

-- The tenant's lane to read next, oldest first after priority; how many others there are.
local function best_lane(lanes, most_of_type)
  local best, best_key, others = nil, nil, -1
  for lane, head in pairs(lanes) do
    local one = known(lane)
    if one.open and room_of_type(one.kind, most_of_type) > 0 then
      local key = entry_ms(head) - one.ahead_ms
      others = others + 1
      if not best or key < best_key then best, best_key = one, key end
    end
  end
  return best, others
end

-- Starts up to `most` tasks from the lane's head on; returns how many, what they charge, and the new head or nil.
local function read(tenant, best, head, most)
  local stream = stream_prefix .. tenant .. ':' .. best.lane
  local entries, taken, charged = call('XRANGE', stream, head, '+', 'COUNT', most + 1), 0, 0
  local left, count = #unqueued, math.min(most, #entries)
  for i = 1, count do
    local charge = start(entries[i][1], entries[i][2][2])
    if charge then taken, charged = taken + 1, charged + charge end
  end
  add(waiting_by, tenant, left - #unqueued)
  add(running_tenants, tenant, taken)
  add(running_types, best.kind, taken)
  local following = entries[most + 1]
  if not following then
    call('DEL', stream)
    call('HDEL', lanes_prefix .. tenant, best.lane)
    return taken, charged, nil
  end
  call('XTRIM', stream, 'MINID', following[1])
  if has_tombstones then return taken, charged, advance(tenant, best.lane, entries[count][1]) or nil end
  call('HSET', lanes_prefix .. tenant, best.lane, following[1])
  return taken, charged, following[1]
end

local function lanes_of(tenant)
  local lanes, flat = {}, call('HGETALL', lanes_prefix .. tenant)
  for i = 1, #flat, 2 do lanes[flat[i]] = flat[i + 1] end
  return lanes
end

-- Whether the tenant has a lane to read: who has none must not be dealt slots that others could use.
local function startable(tenant, policy)
  return not (types_paused or policy.kind) or best_lane(lanes_of(tenant), policy.kind) ~= nil
end

-- Starts up to `count` tasks of the tenant; returns how many and what they charge.
local function take(tenant, count, most_of_type)
  local lanes = lanes_of(tenant)
  local taken, charged = 0, 0
  while taken < count do
    local best, others = best_lane(lanes, most_of_type)
    if not best then break end
    local most = others == 0 and math.min(count - taken, room_of_type(best.kind, most_of_type)) or 1
    local found, charge, head = read(tenant, best, lanes[best.lane], most)
    taken, charged = taken + found, charged + charge
    if type_room[best.kind] then type_room[best.kind] = type_room[best.kind] - found end
    lanes[best.lane] = head
  end
  return taken, charged
end

-- Tenants that may start something, by virtual time, as many as could get a slot; the others do not save time up.
local function candidates(policy)
  local found, held_back, blocked, from = {}, {}, {}, 0
  for _, tenant in ipairs(call('ZRANGEBYSCORE', tag .. ':blocked', '(' .. now, '+inf')) do blocked[tenant] = true end
  while #found < remaining do
    local scored = call('ZRANGE', share, from, from + 127, 'WITHSCORES')
    if #scored == 0 then break end
    local running, rules, waiting = {}, {}, {}
    for i = 1, #scored, 2 do
      running[#running + 1] = 't:' .. scored[i]
      rules[#rules + 1] = 'm:' .. scored[i]
      rules[#rules + 1] = 'w:' .. scored[i]
      waiting[#waiting + 1] = scored[i]
    end
    local estimates = call('HMGET', tag .. ':unit', unpack(waiting))
    running = call('HMGET', tag .. ':running', unpack(running))
    waiting = call('HMGET', tag .. ':waiting', unpack(waiting))
    rules = policy.set and call('HMGET', tag .. ':policy', unpack(rules)) or {}
    for i = 1, #scored, 2 do
      local n = (i + 1) / 2
      local room = math.min(tonumber(rules[i] or slots + 1e9), policy.tenant or 1e9) - (running[n] or 0)
        - (running_tenants[scored[i]] or 0)
      local one = {name = scored[i], time = tonumber(scored[i + 1]), count = 0,
        weight = tonumber(rules[i + 1] or 1), most = math.min(room, (waiting[n] or 0) + (waiting_by[scored[i]] or 0))}
      one.step = (estimates[n] or BASE_CHARGE) / one.weight
      if room <= 0 or blocked[one.name] or paused[one.name] then
        held_back[#held_back + 1] = one
      elseif #found < remaining and one.most > 0 then
        local into = startable(one.name, policy) and found or held_back
        into[#into + 1] = one
      end
    end
    from = from + 128
  end
  return found, held_back
end

-- Lets what stands first in the heap of candidates sink to its place: the one that is furthest behind comes first.
local function sink(heap, n)
  local place, one = 1, heap[1]
  while true do
    local child = 2 * place
    if child > n then break end
    if child < n and heap[child + 1].at < heap[child].at then child = child + 1 end
    if heap[child].at >= one.at then break end
    heap[place], place = heap[child], child
  end
  heap[place] = one
end

-- Deals the slots to the candidates, each time a turn to the one that is furthest behind.
local function deal(found)
  local heap, n, left, turn = {}, #found, remaining, math.max(1, math.floor(slots / QUANTUM))
  for i, one in ipairs(found) do heap[i], one.at = one, one.time end
  while left > 0 and n > 0 do
    local first = heap[1]
    local count = math.min(turn, left, first.most - first.count)
    left, first.count, first.at = left - count, first.count + count, first.at + count * first.step
    if first.count >= first.most then
      heap[1], heap[n] = heap[n], nil
      n = n - 1
    end
    if n > 0 then sink(heap, n) end
  end
end

local function walk(policy)
  local found, held_back = candidates(policy)
  local virtual_now = tonumber(call('HGET', counters, 'vclock') or 0)
  deal(found)
  local got, moved = 0, {}
  for _, one in ipairs(found) do
    if one.count > 0 then
      local taken, charged = take(one.name, one.count, policy.kind)
      if taken > 0 then
        got = got + taken
        local unit = charged / taken
        virtual_now = math.max(virtual_now, one.time + (charged - unit) / one.weight)
        if unit ~= one.step * one.weight then call('HSET', tag .. ':unit', one.name, unit) end
        moved[#moved + 1] = one.time + charged / one.weight
        moved[#moved + 1] = one.name
      end
    end
  end
  for from = 1, #moved, 1000 do call('ZADD', share, unpack(moved, from, math.min(from + 999, #moved))) end
  for _, one in ipairs(held_back) do
    if one.time < virtual_now then call('ZADD', share, 'XX', virtual_now, one.name) end
  end
  if got > 0 then call('HSET', counters, 'vclock', virtual_now) end
  remaining = remaining - got
  return got
end

call('HSET', tag .. ':workers', worker, now .. ' ' .. (ARGV[8] ~= '0' and ARGV[9] or ''))
local answer = call('HGET', tag .. ':answers', worker)
if answer and string.match(answer, '^%S+') == number then
  repeated(answer)
elseif call('SISMEMBER', tag .. ':draining', worker) == 0 then
  tend(50)
  flush_leases()
  flush_waiting()
  has_tombstones = has_tombstones or (totals.tombstones or 0) > 0
  call('ZREMRANGEBYSCORE', tag .. ':blocked', '-inf', now)
  local rules = call('HMGET', tag .. ':policy', 'version', 'tenant', 'type')
  local policy = {set = rules[1], tenant = tonumber(rules[2] or nil), kind = tonumber(rules[3] or nil)}
  while remaining > 0 and walk(policy) > 0 do end
  if #given > 0 then
    add(running_workers, worker, #given)
    add(totals, 'started', #given)
    add(totals, 'wait_ms', waited_ms)
    for from = 1, #leased, 1000 do call('ZADD', leases, unpack(leased, from, math.min(from + 999, #leased))) end
    call('HSET', tag .. ':answers', worker, number .. ' ' .. table.concat(given, ' '))
    changed = true
  end
  for from = 1, #unqueued, 1000 do call('ZREM', expiry, unpack(unqueued, from, math.min(from + 999, #unqueued))) end
  flush(false)
  if remaining > 0 and call('ZCARD', share) == 0 then call('DEL', tag .. ':bell') end
end
return {now, next_check(), tasks}
