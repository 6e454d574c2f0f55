--@include expired
-- End holds whose lease is over, some at a time: call again while `charged + released` is `most`.
-- KEYS: 1 the tenant's leases
-- ARGV: 1 key tag, 2 most, 3 tombstone ms, 4 correctable ms, 5 room channel
-- Returns: {released, charged, amount charged}
-- Invariant: each hold ends once; spent + held does not grow.

local released, charged, amount = sweep_expired(ARGV[1], KEYS[1], now_ms(), tonumber(ARGV[2]), ARGV[3], ARGV[4])
if released + charged > 0 then
  redis.call('PUBLISH', ARGV[5], 'room')
end
return {released, charged, string.format('%.0f', amount)}
