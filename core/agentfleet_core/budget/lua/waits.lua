-- Who waits for open holds to end now: noted, not over, and without a hold of its own so far. The keys of holds are
-- built from the tenant's tag, so they are in the slot of the declared one.
-- KEYS: 1 the tenant's waits
-- ARGV: 1 key tag
-- Returns: `amount|limit|hold id` of each, the soonest to end first
-- Invariant: it only reads.

local tag = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local waits = {}
for _, note in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')) do
  local id = string.match(note, '^%d+|[^|]*|(.*)$')
  if redis.call('EXISTS', tag .. ':hold:' .. id) == 0 then
    waits[#waits + 1] = note
  end
end
return waits
