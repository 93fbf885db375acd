-- Number one frame of a tenant and remember what it said, if no other publisher leads by now.
-- KEYS: number of the leadership, sequence, series, published
-- ARGV: the number under which this was made, point, most points, cursor ("" for none), count of fields that follow, field, value, ..., gone node, ...
-- Returns the frame's number, or 0 when another process leads: then nothing was changed.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('RPUSH', KEYS[3], ARGV[2])
redis.call('LTRIM', KEYS[3], -tonumber(ARGV[3]), -1)
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[4], '#cursor', ARGV[4])
end
local said = tonumber(ARGV[5])
for i = 6, 5 + 2 * said, 2 do
  redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1])
end
for i = 6 + 2 * said, #ARGV do
  redis.call('HDEL', KEYS[4], ARGV[i])
end
return redis.call('INCR', KEYS[2])
