-- A hold's record is `state|amount|window,window`, amounts in nano-USD. States: h held, s sent, c charged at its
-- amount as unconfirmed, d settled (amount is the cost), r released. All but h and s are tombstones that expire.

local function read_hold(key)
  local record = redis.call('GET', key)
  if not record then
    return nil
  end
  local state, amount, windows = string.match(record, '^(%a)|(%d+)|(.*)$')
  return {state = state, amount = amount, windows = windows}
end

local function is_open(hold)
  return hold and (hold.state == 'h' or hold.state == 's')
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Of an amount in a string: '5' as '-5', '0' as '0', which Redis takes where it refuses '-0'.
local function negative(amount)
  return amount == '0' and amount or '-' .. amount
end

-- Ends an open hold on its limits' hashes, `spent` (a string) taking its place; '0' gives it back.
local function book(limit_keys, hold, spent, unconfirmed)
  for _, key in ipairs(limit_keys) do
    if redis.call('EXISTS', key) == 1 then
      redis.call('HINCRBY', key, 'held', negative(hold.amount))
      if spent ~= '0' then
        redis.call('HINCRBY', key, 'spent', spent)
        if unconfirmed then
          redis.call('HINCRBY', key, 'unconfirmed', spent)
        end
      end
    end
  end
end

local function bury(hold_key, state, amount, windows, tombstone_ms)
  redis.call('SET', hold_key, state .. '|' .. amount .. '|' .. windows, 'PX', tombstone_ms)
end
