--@include hold
-- Give an unsent hold back. One that was sent stays: it ends by settle, or by its lease.
-- KEYS: 1 the tenant's leases, 2 the hold, 3.. a hash per limit window of the hold
-- ARGV: 1 hold id, 2 tombstone ms, 3 room channel
-- Returns: 1 when this call released it, else 0
-- Invariant: held falls by the hold's amount once; spent is untouched.

local hold = read_hold(KEYS[2])
if not hold or hold.state ~= 'h' then
  return 0
end
book({unpack(KEYS, 3)}, hold, '0', false)
redis.call('ZREM', KEYS[1], ARGV[1])
bury(KEYS[2], 'r', hold.amount, hold.windows, ARGV[2])
redis.call('PUBLISH', ARGV[3], 'room')
return 1
