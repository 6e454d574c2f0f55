-- Erases what an ended task was about. ARGV from 4: id. Returns 1, or 0 when it is unknown or has not ended.
-- Invariant: its state, times, attempts and cost stay as long as they would have.
--@include pool
local key = task_prefix .. ARGV[4]
local at = call('HMGET', key, 's', 'e', 'z')
if not at[1] or not at[3] then return 0 end
local erased, all = {'o', 'er', 'x', 'lm'}, call('HKEYS', key)
for _, field in ipairs(all) do
  if string.match(field, '^[jv]:') then erased[#erased + 1] = field end
end
for from = 1, #erased, 1000 do call('HDEL', key, unpack(erased, from, math.min(from + 999, #erased))) end
call('HSET', key, 'dl', '1', 'e', string.match(at[2], '^[^\n]*\n') or '')
return 1
