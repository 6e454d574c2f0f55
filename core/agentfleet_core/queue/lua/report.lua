-- What a worker's image lacks. ARGV from 4: `<revision> <module:function>`, why it cannot be loaded (empty: it can),
-- seconds that a report is kept. Returns 1 when it is news, else 0.
-- Invariant: at most REPORTS are kept, the newest; the key outlives its newest report by no more than its time.
--@include pool
local REPORTS = 20
local key, field, why = tag .. ':missing', ARGV[4], ARGV[5]
local before = call('HGET', key, field)
if why == '' then
  call('HDEL', key, field)
  if before then signal(true) end
  return before and 1 or 0
end
if not before and call('HLEN', key) >= REPORTS then
  local all, oldest, oldest_ms = call('HGETALL', key), nil, now
  for i = 1, #all, 2 do
    local seen = tonumber(string.match(all[i + 1], '^%d+'))
    if seen <= oldest_ms then oldest, oldest_ms = all[i], seen end
  end
  call('HDEL', key, oldest)
end
call('HSET', key, field, now_text .. ' ' .. why)
call('EXPIRE', key, ARGV[6])
if before and string.match(before, '^%d+ (.*)$') == why then return 0 end
signal(true)
return 1
