-- Reads tasks. ARGV from 4: ids. Returns for each the fields that records.py names, or nothing. Writes nothing.
--@include pool
local found = {}
for i = 4, #ARGV do
  local at = call('HMGET', task_prefix .. ARGV[i], 'k', 's', 'e', 'a', 'f', 'st', 'z', 'nb', 'r', 'o', 'er', 'x', 'lm',
    'c', 'w', 'dl', 'ca')
  found[#found + 1] = at[1] and at or false
end
return found
