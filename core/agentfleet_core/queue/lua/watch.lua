-- Reads a task's events after a number and keeps its followers woken for a minute. ARGV from 4: id, after, how many
-- at most. Returns nothing for an unknown task, else {state, first number, events}; an event is `attempt type data`.
-- Invariant: an event written after this is published on `<tag>:e:<id>`, so who subscribed before misses none.
--@include pool
local key = task_prefix .. ARGV[4]
local at = call('HMGET', key, 's', 'v', 'a', 'z')
if not at[1] then return false end
local written = last_event(at[2], at[3])
local last = at[4] and written + 1 or written
local first = math.max(tonumber(ARGV[5]) + 1, last - EVENTS_KEPT + 1)
local names, events = {}, {}
local newest = math.min(last, first + tonumber(ARGV[6]) - 1)
for number = first, math.min(newest, written) do names[#names + 1] = 'v:' .. number end
if #names > 0 then events = call('HMGET', key, unpack(names)) end
if first == 1 and written > 0 then events[1] = '1 started {}' end
if newest > written then events[newest - first + 1] = (at[3] or '0') .. ' ended {"state":"' .. at[1] .. '"}' end
if not at[4] then call('HSET', key, 'fw', now + 60000) end
return {at[1], first, events}
