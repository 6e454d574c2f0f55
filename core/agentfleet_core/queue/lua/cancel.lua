-- Ends a live task as cancelled. ARGV from 4: id, reason. Returns 1, or 0 when it is unknown or had ended.
-- Invariant: a running attempt is fenced off at once; it learns so at its next journal, settle or extend.
--@include pool
local id = ARGV[4]
local at = call('HMGET', task_prefix .. id, 's', 'a', 'n', 'q', 'k', 'w', 'r', 'fw', 'c')
local state, k = at[1], at[5]
if not k then return 0 end
local _, _, expected, _, tenant, kind = constants(k)
if state == 'cancelled' and at[7] == ARGV[5] then return 1 end
if state ~= 'queued' and state ~= 'running' and state ~= 'parked' then return 0 end
finish_unsettled(id, kind, at[8], at[2], 'cancelled', 'r', ARGV[5])
if state == 'queued' then
  leave_queue(id, tenant, lane_of(at[4], k), at[3])
elseif state == 'running' then
  leave_running(id, tenant, kind, at[6])
  charge(id, tenant, at[2], expected, at[9] or 0)
else
  leave_parked(id, tenant)
end
flush(false)
return 1
