-- Writes step results and events of running attempts. ARGV from 4: how many entries; each entry: id, attempt, step,
-- cost, value; then each event: id, attempt, type, data. Returns 1 or 0 (the attempt is stale) for each entry.
-- Invariant: a step's first value stays, and its cost counts once.
--@include pool
local answers, tasks, order, spent = {}, {}, {}, 0
local last_entry = 4 + 5 * tonumber(ARGV[4])

-- The task as this script knows it; `step` is read in the same call when it is the first.
local function task_of(id, attempt, step)
  local name = id .. '/' .. attempt
  local task = tasks[name]
  if task then return task end
  local at = call('HMGET', task_prefix .. id, 's', 'a', 'v', 'fw', step)
  task = {key = task_prefix .. id, id = id, current = at[1] == 'running' and at[2] == attempt,
    number = last_event(at[3], attempt), followed = at[4], known = {}, fields = {}}
  task.known[step] = at[5] and true or false
  tasks[name] = task
  order[#order + 1] = task
  return task
end

local function put(task, field, value)
  local n = #task.fields
  task.fields[n + 1], task.fields[n + 2] = field, value
end

for i = 5, last_entry, 5 do
  local step, cost = 'j:' .. ARGV[i + 2], ARGV[i + 3]
  local task = task_of(ARGV[i], ARGV[i + 1], step)
  answers[#answers + 1] = task.current and 1 or 0
  if task.current then
    if task.known[step] == nil then task.known[step] = call('HEXISTS', task.key, step) == 1 end
    if not task.known[step] then
      task.known[step] = true
      put(task, step, ARGV[i + 4])
      if cost ~= '0' then
        call('HINCRBY', task.key, 'c', cost)
        spent = spent + cost
      end
    end
  end
end
for i = last_entry + 1, #ARGV, 4 do
  local task = task_of(ARGV[i], ARGV[i + 1], 's')
  if task.current then
    task.number = task.number + 1
    put(task, 'v:' .. task.number, ARGV[i + 1] .. ' ' .. ARGV[i + 2] .. ' ' .. ARGV[i + 3])
    task.noted = true
    if task.number > EVENTS_KEPT then call('HDEL', task.key, 'v:' .. (task.number - EVENTS_KEPT)) end
  end
end
for _, task in ipairs(order) do
  if task.noted then
    put(task, 'v', task.number)
    if task.followed and tonumber(task.followed) > now then call('PUBLISH', tag .. ':e:' .. task.id, task.number) end
  end
  for from = 1, #task.fields, 1000 do
    call('HSET', task.key, unpack(task.fields, from, math.min(from + 999, #task.fields)))
  end
end
if spent ~= 0 then
  call('HINCRBY', counters, 'spent', spent)
  signal(false)
end
return answers
