--@include expired
-- Hold an amount on all limits that apply, or on none.
-- KEYS: 1 the tenant's leases, 2 the hold, 3.. a hash per limit window
-- ARGV: 1 key tag, 2 hold id, 3 amount, 4 lease ms, 5 windows, joined by commas, 6 tombstone ms, 7 correctable ms,
--       8 room channel, then per limit: amount, start ms, end ms (0: never ends), kept ms after its end
-- Returns: {'reserved'} | {'stale', limit} | {'refused', limit, spent, held, by holds 0|1}; limits count from 1
-- Invariant: spent + held <= amount on each limit after it, if it was so before. The same id is the same hold.

if redis.call('EXISTS', KEYS[2]) == 1 then
  return {'reserved'}
end

local now = now_ms()
local first = 9
local limits = #KEYS - 2
for n = 1, limits do
  local starts, ends = tonumber(ARGV[first + 4 * n - 3]), tonumber(ARGV[first + 4 * n - 2])
  if ends > 0 and (now < starts or now >= ends) then
    return {'stale', n}
  end
end

local released, charged = sweep_expired(ARGV[1], KEYS[1], now, 16, ARGV[6], ARGV[7])
if released + charged > 0 then
  redis.call('PUBLISH', ARGV[8], 'room')
end

-- Of several limits without room, the one that stays so the longest: exhausted before held, then the latest reset.
local amount = tonumber(ARGV[3])
local refusal
for n = 1, limits do
  local counts = redis.call('HMGET', KEYS[n + 2], 'spent', 'held')
  local spent, held = tonumber(counts[1] or 0), tonumber(counts[2] or 0)
  local most, ends = tonumber(ARGV[first + 4 * n - 4]), tonumber(ARGV[first + 4 * n - 2])
  if spent + held + amount > most then
    local by_holds = spent + amount <= most
    local lasts = by_holds and -1 or (ends == 0 and math.huge or ends)
    if not refusal or lasts > refusal.lasts then
      refusal = {limit = n, spent = counts[1] or '0', held = counts[2] or '0', by_holds = by_holds, lasts = lasts}
    end
  end
end
if refusal then
  return {'refused', refusal.limit, refusal.spent, refusal.held, refusal.by_holds and 1 or 0}
end

for n = 1, limits do
  local key, ends = KEYS[n + 2], tonumber(ARGV[first + 4 * n - 2])
  redis.call('HINCRBY', key, 'held', ARGV[3])
  if ends > 0 then
    redis.call('PEXPIREAT', key, string.format('%.0f', ends + tonumber(ARGV[first + 4 * n - 1])))
  end
end
redis.call('SET', KEYS[2], 'h|' .. ARGV[3] .. '|' .. ARGV[5])
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[4])), ARGV[2])
return {'reserved'}
