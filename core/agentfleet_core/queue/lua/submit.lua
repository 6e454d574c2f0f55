-- Admits tasks. ARGV from 4, eleven each: id, when the id was minted, tenant, type, priority, revision,
-- milliseconds until it expires, expected cost, attempts, not before, envelope with input. Returns when each was
-- admitted, ms, or 0 where its id was known already and nothing changed.
-- Invariant: an id is admitted once, whatever became of it: its record is kept until its minting is so long ago
-- that it is refused for its age alone.
--@include pool
local was_idle = call('ZCARD', expiry) == 0 and call('ZCARD', leases) == 0
local answers = {}
for i = 4, #ARGV, 11 do
  local id, minted, tenant, kind = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
  local priority, revision = ARGV[i + 4], ARGV[i + 5]
  local key = task_prefix .. id
  if call('EXISTS', key) == 1 or now - minted > retention * 950 then
    answers[#answers + 1] = 0
  else
    local expires, not_before = now + ARGV[i + 6], tonumber(ARGV[i + 9])
    local k = struct.pack('>ddddssss', now, expires, tonumber(ARGV[i + 7]), tonumber(ARGV[i + 8]), tenant, kind,
      revision, priority)
    if not_before > now then
      call('HSET', key, 'k', k, 'e', ARGV[i + 10])
      park(id, k, not_before, false)
    else
      local entry = enqueue(id, tenant, priority, kind, revision, expires)
      call('HSET', key, 's', 'queued', 'n', entry, 'k', k, 'e', ARGV[i + 10])
    end
    add(totals, 'admitted', 1)
    answers[#answers + 1] = now
  end
end
flush(was_idle)
return answers
