-- Lets bytes of a region come no faster than its rate (generic cell rate algorithm, ITU-T I.371).
-- KEYS[1] holds when all bytes that were let come will have come. ARGV: bytes, bytes a second, seconds that leave is given ahead.
-- Returns the bytes that may come, 0 where others come first, and after how many seconds.
local now = redis.call('TIME')
local at = tonumber(now[1]) + tonumber(now[2]) / 1000000
local count, rate, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or at), at)
if free - at > ahead then
  return {0, string.format('%.6f', free - at - ahead)}
end
local over = free + count / rate
redis.call('SET', KEYS[1], string.format('%.6f', over), 'PX', math.ceil((over - at) * 1000) + 1000)
return {count, string.format('%.6f', free - at)}
