--@include hold
-- Replace a hold by its real cost, once. One that was charged as unconfirmed meanwhile is corrected to it.
-- KEYS: 1 the tenant's leases, 2 the hold, 3.. a hash per limit window of the hold
-- ARGV: 1 hold id, 2 cost, 3 unconfirmed 0|1, 4 tombstone ms, 5 correctable ms, 6 room channel
-- Returns: {already 0|1, cost as booked, amount that was held}
-- Invariant: held falls by the hold's amount once; spent + held grows only by what the cost exceeds the hold.

local hold = read_hold(KEYS[2])
local limit_keys = {unpack(KEYS, 3)}
local unconfirmed = ARGV[3] == '1'

if is_open(hold) then
  book(limit_keys, hold, ARGV[2], unconfirmed)
  redis.call('ZREM', KEYS[1], ARGV[1])
elseif hold and hold.state == 'c' and not unconfirmed then
  local change = string.format('%.0f', tonumber(ARGV[2]) - tonumber(hold.amount))
  for _, key in ipairs(limit_keys) do
    if redis.call('EXISTS', key) == 1 then
      redis.call('HINCRBY', key, 'spent', change)
      redis.call('HINCRBY', key, 'unconfirmed', negative(hold.amount))
    end
  end
else
  return {1, hold and hold.state ~= 'r' and hold.amount or '0', '0'}
end

if unconfirmed then
  bury(KEYS[2], 'c', ARGV[2], hold.windows, ARGV[5])
else
  bury(KEYS[2], 'd', ARGV[2], hold.windows, ARGV[4])
end
redis.call('PUBLISH', ARGV[6], 'room')
return {0, ARGV[2], hold.amount}
