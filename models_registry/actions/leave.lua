-- Lets bytes of a region come no faster than its rate (generic cell rate algorithm, ITU-T I.371).
-- KEYS[1] holds when all bytes that were let come will have come. KEYS[2]: the nodes that got no leave, since when; KEYS[3]: until when each is waited for.
-- ARGV: bytes, bytes a second, seconds that leave is given ahead, the node, seconds after which a node that waits asks again at the latest.
-- Returns the bytes that may come, 0 where others come first, and after how many seconds.
local now = redis.call('TIME')
local at = tonumber(now[1]) + tonumber(now[2]) / 1000000
local count, rate, ahead, node, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or at), at)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.6f', at))) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
-- Whoever asks without pause would take all before those who wait as they were told: half of what is given ahead is for who waits longest.
local first = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
if first and first ~= node then
  ahead = ahead / 2
end
if free - at > ahead then
  local wait = math.min(longest, free - at - ahead)
  redis.call('ZADD', KEYS[2], 'NX', string.format('%.6f', at), node)
  redis.call('ZADD', KEYS[3], string.format('%.6f', at + wait + 1), node)
  redis.call('PEXPIRE', KEYS[2], math.ceil((longest + 1) * 1000))
  redis.call('PEXPIRE', KEYS[3], math.ceil((longest + 1) * 1000))
  return {0, string.format('%.6f', wait)}
end
redis.call('ZREM', KEYS[2], node)
redis.call('ZREM', KEYS[3], node)
local over = free + count / rate
redis.call('SET', KEYS[1], string.format('%.6f', over), 'PX', math.ceil((over - at) * 1000) + 1000)
return {count, string.format('%.6f', free - at)}
