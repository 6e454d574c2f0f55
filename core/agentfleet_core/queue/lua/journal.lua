-- Writes step results and events of running attempts. ARGV from 4, seven each: id, attempt, step, cost, value, event's
-- type, event's data; no step: the event alone; no type: the step alone. Returns 1 or 0 (the attempt is stale) each.
-- Invariant: a step's first value stays, and its cost counts once.
--@include pool
local answers, spent = {}, 0

-- Writes the event with the fields that follow.
local function note(id, followed, number, what, ...)
  local key, numeral = task_prefix .. id, string.format('%d', number)
  call('HSET', key, 'v', numeral, 'v:' .. numeral, what, ...)
  if number > EVENTS_KEPT then call('HDEL', key, 'v:' .. (number - EVENTS_KEPT)) end
  if followed then announce(id, followed, number) end
end

local function put(i)
  local id, attempt, step, kind = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 5]
  local key, field = task_prefix .. id, 'j:' .. step
  local at = call('HMGET', key, 's', 'a', 'v', 'fw', field)
  if at[1] ~= 'running' or at[2] ~= attempt then return 0 end
  local new = step ~= '' and not at[5]
  if kind ~= '' then
    local number, what = last_event(at[3], attempt) + 1, attempt .. ' ' .. kind .. ' ' .. ARGV[i + 6]
    if new then
      note(id, at[4], number, what, field, ARGV[i + 4])
    else
      note(id, at[4], number, what)
    end
  elseif new then
    call('HSET', key, field, ARGV[i + 4])
  end
  if new and ARGV[i + 3] ~= '0' then
    call('HINCRBY', key, 'c', ARGV[i + 3])
    spent = spent + ARGV[i + 3]
  end
  return 1
end

for i = 4, #ARGV, 7 do answers[#answers + 1] = put(i) end
if spent ~= 0 then
  call('HINCRBY', counters, 'spent', spent)
  signal(false)
end
return answers
