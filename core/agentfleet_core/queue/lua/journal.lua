-- Writes step results and events of running attempts. ARGV from 4: how many entries; each entry: id, attempt, step,
-- cost, value; then each event: id, attempt, type, data. Returns 1 or 0 (the attempt is stale) for each entry.
-- Invariant: a step's first value stays, and its cost counts once.
--@include pool
local answers, current, spent = {}, {}, 0
local last_entry = 4 + 5 * tonumber(ARGV[4])

local function is_current(id, attempt)
  local name = id .. '/' .. attempt
  if current[name] == nil then
    local at = call('HMGET', task_prefix .. id, 's', 'a')
    current[name] = at[1] == 'running' and at[2] == attempt
  end
  return current[name]
end

for i = 5, last_entry, 5 do
  local id, cost = ARGV[i], ARGV[i + 3]
  if not is_current(id, ARGV[i + 1]) then
    answers[#answers + 1] = 0
  else
    if call('HSETNX', task_prefix .. id, 'j:' .. ARGV[i + 2], ARGV[i + 4]) == 1 and cost ~= '0' then
      call('HINCRBY', task_prefix .. id, 'c', cost)
      spent = spent + cost
    end
    answers[#answers + 1] = 1
  end
end
for i = last_entry + 1, #ARGV, 4 do
  if is_current(ARGV[i], ARGV[i + 1]) then event(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
end
if spent ~= 0 then
  call('HINCRBY', counters, 'spent', spent)
  signal(false)
end
return answers
