--@include hold
-- Ends at most `most` holds whose lease is over: unsent ones are released, sent ones charged as unconfirmed. Their
-- keys are built from the tenant's tag, so they are in the slot of the declared ones.
local function sweep_expired(tag, leases, now, most, tombstone_ms, correctable_ms)
  local released, charged, amount = 0, 0, 0
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, most)) do
    local key = tag .. ':hold:' .. id
    local hold = read_hold(key)
    if is_open(hold) then
      local limit_keys = {}
      for window in string.gmatch(hold.windows, '[^,]+') do
        limit_keys[#limit_keys + 1] = tag .. ':limit:' .. window
      end
      if hold.state == 's' then
        book(limit_keys, hold, hold.amount, true)
        bury(key, 'c', hold.amount, hold.windows, correctable_ms)
        charged, amount = charged + 1, amount + tonumber(hold.amount)
      else
        book(limit_keys, hold, '0', false)
        bury(key, 'r', hold.amount, hold.windows, tombstone_ms)
        released = released + 1
      end
    end
    redis.call('ZREM', leases, id)
  end
  return released, charged, amount
end
