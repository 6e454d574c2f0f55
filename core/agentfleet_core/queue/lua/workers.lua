-- Reads a pool's workers. Returns name, `<seen> <revision>`, tasks held, 1 when draining, in turn. Writes nothing.
--@include pool
local found, all = {}, call('HGETALL', tag .. ':workers')
for i = 1, #all, 2 do
  found[#found + 1] = all[i]
  found[#found + 1] = all[i + 1]
  found[#found + 1] = call('HGET', tag .. ':running', 'w:' .. all[i]) or '0'
  found[#found + 1] = call('SISMEMBER', tag .. ':draining', all[i])
end
return found
