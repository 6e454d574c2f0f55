-- These workers claim nothing more. ARGV from 4: workers. Returns how many are new.
--@include pool
local new = 0
for i = 4, #ARGV do new = new + call('SADD', tag .. ':draining', ARGV[i]) end
if new > 0 then
  changed = true
  flush(false)
end
return new
