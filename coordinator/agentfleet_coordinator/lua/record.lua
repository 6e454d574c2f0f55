-- Note submissions in the tenant's slot, before they are enqueued: index entries and idempotency records.
-- KEYS[1] the tenant's index (sorted set: task id by admission time in microseconds)
-- ARGV[1] prefix of idempotency keys (same slot)  ARGV[2] their life in ms
-- ARGV[3…] per task: idempotency key ('' for none), body digest, task id
-- Returns per task: '' when it is new, the recorded id when the same body came before, '!' .. the recorded id
-- when another body came with the same key.
-- Invariant: a key names one task id for its whole life; sent twice, the second finds what the first wrote.
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local answers = {}
for i = 3, #ARGV, 3 do
  local name, body, id = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local answer = ''
  if name ~= '' then
    local key = ARGV[1] .. name
    local record = redis.call('GET', key)
    if not record then
      redis.call('SET', key, body .. id, 'PX', ARGV[2])
    elseif string.sub(record, 1, #body) == body then
      answer = string.sub(record, #body + 1)
    else
      answer = '!' .. string.sub(record, #body + 1)
    end
  end
  if answer == '' then
    redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', micros + (i - 3) / 3), id)
  end
  answers[#answers + 1] = answer
end
return answers
