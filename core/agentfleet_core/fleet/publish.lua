-- Publishes a fleet config, unless a newer term has published or nothing changed.
-- KEYS: 1 config hash (version, term, digest, body)
-- ARGV: 1 term, 2 body, 3 channel for changes
-- Returns {1, version} when the term holds, {0, the term that holds} when a newer one does.
-- Invariant: term never falls; version grows by one exactly when the body changes. Sent twice, the second changes nothing.
local config, term, body, channel = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3]

local now = redis.call('HMGET', config, 'term', 'version', 'digest')
local current = tonumber(now[1] or '0')
if term < current then
  return {0, current}
end
local digest = redis.sha1hex(body)
if now[3] == digest then
  if term > current then
    redis.call('HSET', config, 'term', ARGV[1])
  end
  return {1, tonumber(now[2])}
end
local version = redis.call('HINCRBY', config, 'version', 1)
redis.call('HSET', config, 'term', ARGV[1], 'digest', digest, 'body', body)
redis.call('PUBLISH', channel, 'config')
return {1, version}
