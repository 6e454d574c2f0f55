-- Reads tasks. ARGV from 4: ids. Returns for each the fields that records.py names, or nothing. Writes nothing.
-- Invariant: a blocked tenant's task that waits in its lane is told as parked, until the block ends and for its reason.
--@include pool
local found, blocks = {}, {}

-- Until when the tenant may not start, or false, and why.
local function block_of(tenant)
  if not blocks[tenant] then
    local ends = call('ZSCORE', tag .. ':blocked', tenant)
    local holds = ends and tonumber(ends) > now
    blocks[tenant] = {holds and tonumber(ends), holds and call('HGET', tag .. ':blocked:why', tenant)}
  end
  return blocks[tenant][1], blocks[tenant][2]
end

local function as_parked(at)
  local _, expires, _, _, tenant = constants(at[1])
  local ends, why = block_of(tenant)
  if ends then at[2], at[8], at[9] = 'parked', string.format('%.0f', math.min(ends, expires)), why end
end

for i = 4, #ARGV do
  local at = call('HMGET', task_prefix .. ARGV[i], 'k', 's', 'e', 'a', 'f', 'st', 'z', 'nb', 'r', 'o', 'er', 'x', 'lm',
    'c', 'w', 'dl', 'ca')
  if at[1] and at[2] == 'queued' then as_parked(at) end
  found[#found + 1] = at[1] and at or false
end
return found
