-- Sets or lifts a pause.
-- KEYS: 1 switches hash (target to JSON {by, at_ms})
-- ARGV: 1 target, 2 '1' to pause or '0' to resume, 3 who, as a JSON string, 4 channel for changes
-- Returns 1 when it changed something, else 0. Invariant: the first pause's name and time stay until it is lifted.
local switches, target, on, by, channel = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local changed
if on == '1' then
  local time = redis.call('TIME')
  local at_ms = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
  changed = redis.call('HSETNX', switches, target, '{"by":' .. by .. ',"at_ms":' .. at_ms .. '}')
else
  changed = redis.call('HDEL', switches, target)
end
if changed == 1 then
  redis.call('PUBLISH', channel, 'switches')
end
return changed
