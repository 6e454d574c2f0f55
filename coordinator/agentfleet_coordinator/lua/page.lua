-- A page of a tenant's tasks, newest first.
-- KEYS[1] the tenant's index  ARGV[1] task id of the cursor ('' for the first page)  ARGV[2] its score
-- ARGV[3] how many
-- Returns {id, score, id, score, …} behind the cursor, also when the cursor's own task has left the index.
local first = 0
if ARGV[1] ~= '' then
  local rank = redis.call('ZREVRANK', KEYS[1], ARGV[1])
  if rank then
    first = rank + 1
  else
    first = redis.call('ZCOUNT', KEYS[1], ARGV[2], '+inf')
  end
end
return redis.call('ZREVRANGE', KEYS[1], first, first + ARGV[3] - 1, 'WITHSCORES')
